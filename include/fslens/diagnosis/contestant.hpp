// A sampler that is run here and judged.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "fslens/diagnosis/problem.hpp"
#include "fslens/samplers/sampler.hpp"

namespace fslens {

/// States that a run begins with, at the grid's first time. @shape result [count, d]
using StartStates = std::function<Matrix(std::size_t count, const RandomStream& stream)>;

/// A sampler with what the diagnosis must know about it.
struct Contestant {
  std::string name;                            ///< unique among the contestants
  std::map<std::string, std::string> options;  ///< as a report shows them
  std::shared_ptr<const PosteriorSampler> sampler;
  /// The same sampler on the exact denoiser of the problem's prior, if `sampler` runs on another one: what differs is the prior's error.
  std::shared_ptr<const PosteriorSampler> on_exact_denoiser;
  /// The same sampler with a measurement that says nothing (y = 1 of A = 0), on the exact denoiser. Null: not known.
  std::shared_ptr<const PosteriorSampler> unguided;
  StartStates start;                           ///< empty: N(b, s² I)
  /// Grid and integrator of the run with the exact score that it is compared with.
  Integrator integrator = Integrator::euler_maruyama;
  double eta = 0.0;
  std::string method;  ///< its name in the catalogue, for advice; "" for a sampler that is not in it
};

/// The sampler that a specification names, on the problem's exact denoiser or on `denoiser`. `exact` has no sampler.
/// @throws UsageError, InvalidArgument
Contestant make_contestant(const Problem& problem, const SamplerSpec& spec, std::shared_ptr<const Denoiser> denoiser = nullptr);

/// The exact score of `measure` under an integrator: what a sampler with it is compared with.
std::unique_ptr<PosteriorSampler> exact_score_sampler(const Problem& problem, Integrator integrator, double eta,
                                                      Measure measure = Measure::posterior);

}  // namespace fslens
