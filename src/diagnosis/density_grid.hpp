// Where two densities p_t(x | y) are compared: the points that hold all of the exact one.
#pragma once

#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/lens/lens.hpp"
#include "fslens/prior/gaussian_mixture.hpp"

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

 private:
  double t_;
  double cell_ = 1.0;
  Matrix points_;            // [size, d]
  std::vector<double> exact_;  // p · cell
};

}  // namespace fslens
