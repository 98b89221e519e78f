// A density on an equally spaced grid of one or two axes, and weighted points smoothed onto one.
#pragma once

#include <cstddef>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// Values at low + spacing · j along each of `dim` axes, row-major; one spacing for all axes.
struct GridDensity {
  std::size_t dim = 1;
  double low[2] = {0.0, 0.0};
  double spacing = 1.0;
  std::size_t count[2] = {1, 1};  ///< the second is 1 for dim = 1
  std::vector<double> value;

  std::size_t size() const { return count[0] * count[1]; }
  double cell() const { return dim == 1 ? spacing : spacing * spacing; }
  std::size_t index(std::size_t axis, std::size_t point) const { return axis == 0 ? point / count[1] : point % count[1]; }
  double at(std::size_t axis, std::size_t j) const { return low[axis] + spacing * static_cast<double>(j); }
  /// Σ value · cell: of a smooth density the trapezoid rule.
  double mass() const;
};

/// Σ_j mass_j δ(x − position_j).
struct MassPoints {
  Matrix position;           ///< [n, dim]
  std::vector<double> mass;  ///< [n]
};

/// Where to put a density: all points whose mass is above `negligible`, with `margin` around them. What is left out is counted by
/// whoever compares masses. Raises `negligible` up to kMostLeftOut where the points would not fit into kMostCells otherwise.
/// @throws UnresolvedLaw if they do not fit, or a point that counts is not finite
GridDensity grid_around(const std::vector<MassPoints>& points, double margin, double spacing, double negligible);
inline constexpr double kMostLeftOut = 1e-12;
inline constexpr std::size_t kMostCells = std::size_t{1} << 22;

/// grid.value ← Σ_j mass_j N(x; position_j, variance I) at the grid's points. variance ≥ 2.25 spacing², so that the wide one is resolved.
///
/// N(0, v) = N(0, h²) * N(0, v − h²): each point is spread with the narrow Gaussian alone, the wide one is a separable convolution on
/// the grid. Sampling the narrow one at the spacing h, its own standard deviation, costs 2 e^{−2π²} = 5e-9 of the value.
/// @cost 15^dim a point and 14 √v/h a cell and axis
void smooth_onto(const std::vector<MassPoints>& points, double variance, GridDensity& grid);
/// How far beyond its centre smooth_onto looks, in standard deviations of N(0, v).
inline constexpr double kKernelReach = 7.0;

}  // namespace fslens
