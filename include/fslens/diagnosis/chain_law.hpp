// The law of a sampler's chain in one or two dimensions, without sampling.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/core/observer.hpp"
#include "fslens/lens/lens.hpp"
#include "fslens/samplers/sampler.hpp"

namespace fslens {

/// The law exists, but no grid that can be afforded resolves it.
class UnresolvedLaw : public Error {
 public:
  using Error::Error;
};

struct ChainLawOptions {
  /// What two resolutions may differ by, see ChainLaw::error; > 0.
  double tolerance = 1e-3;
  /// Evaluations of the step that may be spent, all resolutions together.
  double max_evaluations = 2e8;
};

/// The chain's law q_t beside the exact p_t(x | y) at one time of the grid.
struct ChainLawAt {
  std::size_t index = 0;              ///< into the time grid
  double t = 0.0;
  std::vector<double> points[2];      ///< equally spaced along each axis; the second is empty for d = 1
  std::vector<double> density;        ///< q_t, row-major [n_0] or [n_0, n_1]
  double mass = 0.0;                  ///< ∫ q_t over the grid: what it lacks of 1 was left out, or is error of the quadrature
  std::vector<double> mean;           ///< [d]
  double variance = 0.0;              ///< Tr Cov
  std::vector<double> mode_weights;   ///< W_k(t) = ∫ q_t(x) Σ_{i∈k} w̃_i(x, t) dx [K]
  double total_variation = 0.0;       ///< ½ ∫ |q_t − p_t(x | y)| dx, everything outside of the grid included
  double exact_outside = 0.0;         ///< mass of p_t(x | y) where q_t is not known: outside of the grid, or where it is 0
  /// KL(p_t(·|y) ‖ q_t) = ∫ p log(p/q), in nats. Absent where exact_outside > 1e-5: a density can be anything on what is not looked at.
  std::optional<double> kl;
};

struct ChainLaw {
  std::vector<ChainLawAt> at;    ///< one a recorded time
  std::vector<double> assigned_weights;  ///< ∫ q_t over the states that Lens::assign gives to mode k, at the last of them [K]
  double error = 0.0;            ///< the largest difference to the next coarser grid, see chain_law
  double points_per_sd = 0.0;    ///< resolution that was needed: grid points per √v
  std::size_t evaluations = 0;   ///< of the step, all resolutions together
};

/// Pushes the density of the start N(b, s² I) through the sampler's kernels,
///
///   q_u(x') = Σ_j q_t(x_j) h^d Σ_q w_q N(x'; mean_q(x_j), v I),
///
/// on grids that are laid anew at every step, with a spacing h that is a fraction of the smaller of √v before and after. q_t is smooth on
/// the scale of √v, so that the sum converges faster than any power of h; where the mean jumps or stretches from one cell to the next the
/// cell is cut into up to 64 (d = 2: 8 × 8) nodes. Cells of mass below 1e-120 (d = 2: 1e-24) are left out. A chain whose steps are all
/// deterministic (d = 1) moves the edges of cells that keep their masses, split where they grow.
///
/// The same is done on a coarser grid, of half (d = 2: three quarters) as many points an axis. `error` is the largest difference between the two over all recorded
/// times, of: each mode weight, total variation, the mean in standard deviations, the variance and 1 + KL relatively; and of the mass
/// to 1. Grids get finer until it is at most options.tolerance.
/// @param grid decreasing times, @param recorded indices into it, ascending
/// @throws InvalidArgument if d > 2, the sampler does not say what its step is, or its steps are deterministic and d = 2 (a push-forward
///         of the plane that folds has no density that a grid of cells gives); UnresolvedLaw where no grid that can be afforded is fine
///         enough, or states that count are not finite; Interrupted
/// @cost steps × cells evaluations of the step: below a second for three atoms and 500 steps, a minute for a mixture in the plane
ChainLaw chain_law(const Lens& lens, const ModePartition& modes, const PosteriorSampler& sampler, const std::vector<double>& grid,
                   const std::vector<std::size_t>& recorded, const ChainLawOptions& options, Observer& observer);

}  // namespace fslens
