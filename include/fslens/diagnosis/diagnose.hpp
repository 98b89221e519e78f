// The main job: judge samplers against the exact posterior.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/diagnosis/contestant.hpp"
#include "fslens/diagnosis/court.hpp"
#include "fslens/diagnosis/diagnosis.hpp"
#include "fslens/diagnosis/problem.hpp"
#include "fslens/diagnosis/recording.hpp"

namespace fslens {

struct DiagnoseOptions {
  std::vector<SamplerSpec> samplers;    ///< run here; "exact" is drawn by the lens
  std::vector<Contestant> contestants;  ///< run here too: samplers that have no name in the catalogue
  std::vector<Recording> recordings;    ///< made elsewhere
  /// A denoiser of the user's that `samplers` run on instead of the exact one of the prior; each is also run on that one, and the difference
  /// is the prior's row of the budget.
  std::shared_ptr<const Denoiser> denoiser;
  bool error_budget = true;             ///< runs of the exact score on the same grid: about one run a sampler
  Sweeps sweeps = Sweeps::unless_passed;
  bool planar_laws = false;             ///< laws of chains in the plane too, a minute or more each; on the line they are always there
  double false_alarm_rate = 0.01;      ///< that any check of an exact sampler fails, over the whole diagnosis
};

/// Runs each sampler on the exact denoiser of the problem's prior, measures its states at the recorded times against
/// exact draws, and judges. States are never kept beyond the batch. @throws UsageError, InvalidArgument, Interrupted
Diagnosis diagnose(const Problem& problem, const DiagnoseOptions& options, Observer& observer);

/// The stream of a contestant's random numbers: a function of the seed and its name and parameters alone.
RandomStream sampler_stream(std::uint64_t seed, const SamplerSpec& spec);

/// "pigdm", or with what was given of its parameters: "pigdm r2=flat".
std::string sampler_label(const SamplerSpec& spec);

}  // namespace fslens
