// Sums of a kernel over all pairs of two samples, tile by tile.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens::metrics_internal {

/// Rows of a sample, moved by −origin, with their squared norms: near the origin ‖x‖² + ‖y‖² − 2 x·y loses least.
class CentredSample {
 public:
  /// @shape x [B, d], origin [d]
  CentredSample(ConstBatchView x, std::span<const double> origin);
  std::size_t size() const { return points_.rows(); }
  std::size_t dim() const { return points_.cols(); }
  const Matrix& points() const { return points_; }
  double squared_norm(std::size_t b) const { return squared_norms_[b]; }

 private:
  Matrix points_;
  std::vector<double> squared_norms_;
};

/// Rows [row, row + rows) of the first sample against rows [col, col + cols) of the second; values are row-major.
struct Tile {
  std::size_t row, rows, col, cols;
  std::span<double> values;
};

/// tile ← ‖x_i − y_j‖², never negative; relative error below about 1e-9 however near the points are to each other.
void fill_squared_distances(const CentredSample& x, const CentredSample& y, Tile tile);
/// tile ← x_i · y_j. @shape x, y of equal cols
void fill_inner_products(const Matrix& x, const Matrix& y, Tile tile);

using TileFunction = std::function<void(Tile)>;

/// out[i] = Σ_{j ≠ i} k(i, j) for a symmetric kernel over n points; `fill` computes one tile (its diagonal is ignored).
std::vector<double> symmetric_sums(std::size_t n, const TileFunction& fill);

struct CrossSums {
  std::vector<double> rows;  ///< Σ_j k(i, j)
  std::vector<double> cols;  ///< Σ_i k(i, j)
};
CrossSums cross_sums(std::size_t n, std::size_t m, const TileFunction& fill);

/// In place: squared distances → kernel values.
using RadialKernel = std::function<void(std::span<double>)>;
std::vector<double> symmetric_radial_sums(ConstBatchView x, const RadialKernel& kernel);
CrossSums cross_radial_sums(ConstBatchView x, ConstBatchView y, const RadialKernel& kernel);

}  // namespace fslens::metrics_internal
