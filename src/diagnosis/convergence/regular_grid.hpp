// A grid of equal spacing in one or two dimensions, Gaussians summed at its nodes, and its values integrated against Gaussians.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/diagnosis/projected_law.hpp"

namespace fslens {

/// Nodes low + spacing·(integers), the last coordinate running fastest. Gaussians are cut where they are below e^(−21) of their maximum, 6.5
/// standard deviations out, which leaves out less than 1e-9 of their mass.
class RegularGrid {
 public:
  RegularGrid() = default;
  /// From low to high or, where the spacing does not divide that, a little beyond. @shape low, high [1 or 2]
  RegularGrid(std::vector<double> low, std::span<const double> high, double spacing);
  /// How many nodes such a grid has, in floating point: it may be too many to make.
  static double nodes_needed(std::span<const double> low, std::span<const double> high, double spacing);

  std::size_t dim() const { return low_.size(); }
  std::size_t size() const { return rows_ * columns_; }
  double spacing() const { return spacing_; }
  double cell() const;  ///< spacing^d
  Matrix points() const;
  bool on_edge(std::size_t node) const;

  /// Σ_i w_i N(x_j; c_i, C) at every node. @shape result [size]   @throws InvalidArgument if the components have no covariance
  /// @cost nodes within 6.5 standard deviations, for every centre
  std::vector<double> densities(std::span<const GaussianComponents> components) const;
  /// Σ_j v_j N(x_j; c_i, C) for every centre. @shape values [size], result [n]
  std::vector<double> integrals(std::span<const double> values, const GaussianComponents& components) const;

 private:
  class Patch;
  std::vector<double> low_;
  double spacing_ = 0.0;
  std::size_t rows_ = 0;     // nodes along the first of two coordinates; 1 on a line
  std::size_t columns_ = 0;  // nodes along the last coordinate
};

}  // namespace fslens
