// Modes of a prior: a partition of its components (atoms, or the Gaussians of a mixture).
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/diffusion/denoiser.hpp"

namespace fslens {

/// Every component belongs to one mode.
struct ModePartition {
  std::vector<std::size_t> mode_of_component;  ///< [N], each < labels.size()
  std::vector<std::string> labels;             ///< [K], unique
  std::size_t num_modes() const { return labels.size(); }
  /// Sum of component weights a mode. @shape log_weights [N], result [K]
  std::vector<double> weights(std::span<const double> log_weights) const;
};

/// One mode for each distinct label, in increasing order.
ModePartition modes_from_labels(const std::vector<int>& labels);
/// Each component is a mode. Labels are the components' values where d = 1, else their numbers.
ModePartition modes_from_components(ConstBatchView components);

/// out ← component i. @shape out [d]
using ComponentReader = std::function<void(std::size_t i, std::span<double> out)>;

struct MeanShiftOptions {
  double t = 0.3;                    ///< diffusion time at which attractors are sought
  std::size_t max_iterations = 500;
  double tolerance = 1e-6;           ///< a point has arrived when it moves less than this times s(t)/a(t)
  double merge_radius = 0.5;         ///< attractors closer than this times s(t)/a(t) are one
};
/// Attractors of the fixed-point map x ← m(a x + b, t) started from every component: mean shift with bandwidth s/a.
/// A block of points at a time: O(block · d) memory beside one point a mode, whatever the number of components.
/// @source comaniciu2002mean
ModePartition modes_by_mean_shift(const Denoiser& denoiser, std::size_t count, const ComponentReader& component,
                                  const MeanShiftOptions& options, Observer& observer);
ModePartition modes_by_mean_shift(const Denoiser& denoiser, ConstBatchView components, const MeanShiftOptions& options,
                                  Observer& observer);

}  // namespace fslens
