// One propagation of a chain's law at one resolution: by its transition kernels, or by its flow where it is deterministic.
#pragma once

#include <functional>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/diffusion/schedule.hpp"
#include "fslens/samplers/sampler.hpp"
#include "grid_density.hpp"

namespace fslens {

/// What is propagated, and how finely.
struct ChainPropagation {
  const PosteriorSampler& sampler;
  const NoiseSchedule& schedule;
  const std::vector<double>& grid;
  std::size_t dim;
  std::vector<double> variances;  ///< v of each step
  double points_per_sd;
  double max_evaluations;
  std::size_t evaluations = 0;    ///< of the step, so far

  /// The law of step k at these states. @throws UnresolvedLaw when this becomes too much work
  StepLaw law(ConstBatchView x, std::size_t k);
};

/// Called with the index of every time of the grid and the density there.
using DensityVisitor = std::function<void(std::size_t, const GridDensity&)>;

/// Through kernels with noise, v > 0.
void propagate_kernels(ChainPropagation& chain, Observer& observer, const DensityVisitor& visit);
/// Through maps of the line, v = 0. `wanted` says at which indices a density is laid out.
void propagate_flow(ChainPropagation& chain, const std::vector<std::size_t>& wanted, Observer& observer, const DensityVisitor& visit);

/// Start and tails reach this many standard deviations: 1e-120 of the mass is beyond, in the plane 1e-24. A KL needs the chain's density
/// wherever the exact posterior is, and chains can be several times as narrow.
inline double start_reach(std::size_t dim) { return dim == 1 ? 23.3 : 10.3; }
inline double negligible_mass(std::size_t dim) { return dim == 1 ? 1e-120 : 1e-24; }

}  // namespace fslens
