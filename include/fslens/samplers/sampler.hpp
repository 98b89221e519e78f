// Posterior samplers: Markov kernels from one diffusion time to an earlier one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/core/observer.hpp"
#include "fslens/diffusion/schedule.hpp"
#include "fslens/rng/stream.hpp"
#include "fslens/samplers/step_law.hpp"

namespace fslens {

/// Of the nodes of StepLaw, in standard deviations: densities are then right to 1e-7.
inline constexpr double kStepNodeSpacing = 0.8;

/// A posterior sampler: a Markov kernel from time t to u < t, applied to a batch of particles that know nothing of each other.
/// A run calls it for blocks of its particles, from several threads at once.
class PosteriorSampler {
 public:
  virtual ~PosteriorSampler() = default;
  virtual std::string name() const = 0;
  /// x ← a draw of x_u given x_t = x, row by row. Row and `step` address the random numbers: the same (stream, step) gives
  /// the same draw. A chain can be entered and left at any time. @shape x [B, d]
  virtual void step(BatchView x, double t, double u, std::uint64_t step, const RandomStream& stream) const = 0;
  /// The law that `step` draws from, given each x_t = x_b: what noise-free propagation and relative entropies of kernels need. Where its
  /// mean depends on an inner draw, that is integrated at nodes `node_spacing` standard deviations apart. Absent for a sampler whose
  /// step is no such mixture of Gaussians. @shape x [B, d]
  virtual std::optional<StepLaw> step_law(ConstBatchView, double /*t*/, double /*u*/, double /*node_spacing*/ = kStepNodeSpacing) const {
    return std::nullopt;
  }
  /// The same sampler for other particles, as Denoiser::for_other_particles. Null: this one serves them all.
  virtual std::unique_ptr<PosteriorSampler> for_other_particles() const { return nullptr; }
  /// Denoiser (or vector–Jacobian) evaluations per particle and step.
  virtual double evaluations_per_step() const = 0;
};

/// What a run ended as. Divergence is a result, not an exception.
struct SamplerRun {
  Matrix x;                        ///< final states at the grid's last time [B, d]
  std::size_t num_non_finite = 0;  ///< particles with a NaN or Inf in the final state
  std::size_t first_bad_step = 0;  ///< the step (from 1) after which the first particle was not finite; 0: none
  double seconds = 0.0;
};

/// Called at grid times with (index into grid, t, x).
using StateVisitor = std::function<void(std::size_t, double, ConstBatchView)>;

/// Initial states N(b(t), s(t)² I) at t = grid.front(). Their draws are apart from those of run_sampler with the same
/// stream. @shape [num_particles, dim]
Matrix initial_states(const NoiseSchedule& schedule, double t, std::size_t num_particles, std::size_t dim,
                      const RandomStream& stream);

/// Runs `sampler` from `x` along the decreasing times `grid`; `visit` sees the grid indices `visited`, or, where none are named,
/// 0 (the start) to the last. Between two visits the particles run in blocks, cut by their number alone, that do not wait for each
/// other: name no more times than are looked at.
/// Step k of this run draws as step first_step + k of the stream: a chain that is left and entered again half-way, with
/// first_step = the number of steps before, has the same bits as one that was not.
/// @throws Interrupted when the observer asks for it; InvalidArgument unless grid has a time and strictly decreases, and `visited`
///         ascends within it
SamplerRun run_sampler(const PosteriorSampler& sampler, const std::vector<double>& grid, Matrix x,
                       const RandomStream& stream, Observer& observer, const StateVisitor& visit = {},
                       std::uint64_t first_step = 0, const std::vector<std::size_t>& visited = {});

}  // namespace fslens
