// The posterior that a likelihood approximation implies at one diffusion time, computed on a grid without sampling.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "fslens/guidance/guidance.hpp"
#include "fslens/lens/lens.hpp"

namespace fslens {

struct ImpliedPosteriorOptions {
  /// Grid points along each axis. 0: as many as the densities need; else ≥ 5, and an even number counts as one more.
  std::size_t points_per_axis = 0;
  /// d = 1: integrate the guidance's score even where it has a density. `tmpd` needs this for the posterior that its
  /// sampler aims at: it drops a derivative, so its score is not the gradient of its density.
  bool by_score = false;
};

/// p̃_t(x) ∝ p_t(x) p̃(y | x) beside the exact p_t(x | y).
struct ImpliedPosterior {
  std::vector<double> points[2];      ///< equally spaced along each axis; the second is empty for d = 1
  std::vector<double> density;        ///< p̃_t, normalised, row-major [n_0] or [n_0, n_1]
  std::vector<double> exact_density;  ///< p_t(x | y) at the same points
  std::vector<double> mean;           ///< of p̃_t [d]
  double variance = 0.0;              ///< Tr Cov of p̃_t
  std::optional<double> sd;           ///< √variance, d = 1 only
  double total_variation = 0.0;       ///< ½ ∫ |p̃_t(x) − p_t(x | y)| dx
  double resolution_error = 0.0;      ///< relative change of the normaliser if every second point is left out
  bool by_score = false;              ///< p̃ was had by integrating the score
};

/// The posterior implied by an approximation: p_t from the lens times the density p̃(y | x) that the guidance has, or,
/// for d = 1, p_t exp ∫ (guidance score) dx where it has none or `by_score` asks for it.
///
/// In general this is not the law of the sampler's chain: it is what the approximate score is the score of. The grid
/// spans a x_i + b ± 10 s over all atoms (mixtures: prior and posterior mean ± 10 sd) and grows until nothing is cut
/// off.
/// @throws InvalidArgument if d > 2, t is outside of the schedule, the score is to be integrated for d = 2, or the
///         densities are too narrow for a grid; UsageError if the guidance does not suit the operator; Error if the
///         guidance is not finite somewhere or the implied density does not vanish far out
/// @cost points × components × d, a few times over
ImpliedPosterior implied_posterior(const Lens& lens, const Guidance& guidance, double t,
                                   const ImpliedPosteriorOptions& options = {});

}  // namespace fslens
