// Where two densities p_t(x | y) are compared: the points that hold all of the exact one.
#pragma once

#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/lens/lens.hpp"
#include "fslens/prior/gaussian_mixture.hpp"
#include "regular_grid.hpp"

namespace fslens {

/// Points of an equally spaced grid of spacing `points_per_s` to the s(t), without those where the exact density is below 1e-7 of its maximum.
/// Both densities vary over lengths of s(t) or more, so that their sums over the grid are masses to rounding; what the grid
/// adds is the error of |p − q| at its kinks, which is the same for every sample size.
class DensityGrid {
 public:
  /// @throws InvalidArgument if lens.dim() > 2, or t is so small that the grid has more than 2^22 points
  DensityGrid(const Lens& exact, const GaussianMixture& prior, double t, double points_per_s = 2.0);

  double t() const { return t_; }
  std::size_t size() const { return points_.rows(); }
  /// ½ Σ_cells |p − q| + ½ |q outside − p outside|, p the exact posterior at t and q that of `lens`.
  double total_variation(const Lens& lens) const;
  /// The same with q = p_t of this law of x_0: exact to 1e-9, at the cost of the nodes within 6.5 s(t) of every component.
  double total_variation(std::span<const GaussianComponents> law) const;

 private:
  /// @param probability q · cell at every kept point
  double total_variation_of(std::span<const double> probability) const;

  double t_;
  NoiseSchedule schedule_;
  RegularGrid grid_;               // the prior's extent at t
  std::vector<std::size_t> kept_;  // its nodes that count [size]
  Matrix points_;                  // [size, d]
  std::vector<double> exact_;      // p · cell
};

}  // namespace fslens
