#include "pairwise_tiles.hpp"

#include <Eigen/Core>
#include <algorithm>

#include "fslens/core/parallel.hpp"
#include "sample.hpp"

namespace fslens::metrics_internal {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Index = Eigen::Index;

// A tile is 128 KiB: it stays in the second-level cache while the kernel is applied and summed.
constexpr std::size_t kTileSide = 128;
// Up to here differences are formed coordinate by coordinate; above, a matrix product is faster.
constexpr std::size_t kMaxDirectDim = 16;
// Below this fraction of ‖x‖² + ‖y‖² the expansion has lost six digits, and the pair is recomputed from its difference.
constexpr double kCloseFraction = 1e-6;

Eigen::Map<const RowMajor> rows_of(const Matrix& matrix, std::size_t first, std::size_t count) {
  return {matrix.data() + first * matrix.cols(), static_cast<Index>(count), static_cast<Index>(matrix.cols())};
}

Eigen::Map<RowMajor> map_of(Tile tile) {
  return {tile.values.data(), static_cast<Index>(tile.rows), static_cast<Index>(tile.cols)};
}

void fill_directly(const CentredSample& x, const CentredSample& y, Tile tile) {
  const RowMajor transposed = rows_of(y.points(), tile.col, tile.cols).transpose();
  for (std::size_t i = 0; i < tile.rows; ++i) {
    double* out = tile.values.data() + i * tile.cols;
    std::fill_n(out, tile.cols, 0.0);
    for (std::size_t k = 0; k < x.dim(); ++k) {
      const double coordinate = x.points()(tile.row + i, k);
      const double* others = transposed.data() + k * tile.cols;
      for (std::size_t j = 0; j < tile.cols; ++j) out[j] += (coordinate - others[j]) * (coordinate - others[j]);
    }
  }
}

void fill_by_expansion(const CentredSample& x, const CentredSample& y, Tile tile) {
  fill_inner_products(x.points(), y.points(), tile);
  for (std::size_t i = 0; i < tile.rows; ++i) {
    double* out = tile.values.data() + i * tile.cols;
    const double norm = x.squared_norm(tile.row + i);
    for (std::size_t j = 0; j < tile.cols; ++j) {
      const double norms = norm + y.squared_norm(tile.col + j);
      out[j] = norms - 2.0 * out[j];
      if (!(out[j] > kCloseFraction * norms))
        out[j] = (rows_of(x.points(), tile.row + i, 1) - rows_of(y.points(), tile.col + j, 1)).squaredNorm();
    }
  }
}

std::size_t num_blocks(std::size_t n) { return (n + kTileSide - 1) / kTileSide; }
std::size_t block_size(std::size_t n, std::size_t block) { return std::min(kTileSide, n - block * kTileSide); }

// In an order that depends on the number of values alone. Eigen's own sum of a row begins at the first aligned address, and
// where that is changes from run to run.
double ordered_sum(std::span<const double> values) {
  using Lanes = Eigen::Array<double, 8, 1>;
  Lanes lanes = Lanes::Zero();
  std::size_t j = 0;
  for (; j + 8 <= values.size(); j += 8) lanes += Eigen::Map<const Lanes>(values.data() + j);
  double sum = lanes.sum();
  for (; j < values.size(); ++j) sum += values[j];
  return sum;
}

void add_row_sums(Tile tile, std::span<double> sums) {
  for (std::size_t i = 0; i < tile.rows; ++i)
    sums[tile.row + i] += ordered_sum(tile.values.subspan(i * tile.cols, tile.cols));
}

void set_col_sums(Tile tile, std::span<double> sums) {
  const Eigen::RowVectorXd tile_sums = map_of(tile).colwise().sum();
  for (std::size_t j = 0; j < tile.cols; ++j) sums[tile.col + j] = tile_sums[static_cast<Index>(j)];
}

// Sums over row blocks in the order of the blocks, whatever thread made them.
void add_in_order(const Matrix& partial, std::span<double> sums) {
  for (std::size_t block = 0; block < partial.rows(); ++block)
    for (std::size_t j = 0; j < partial.cols(); ++j) sums[j] += partial(block, j);
}

}  // namespace

CentredSample::CentredSample(ConstBatchView x, std::span<const double> origin)
    : points_(x.rows(), x.cols()), squared_norms_(x.rows()) {
  parallel_for_ranges(x.rows(), kTileSide, [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) {
      for (std::size_t j = 0; j < x.cols(); ++j) points_(b, j) = x(b, j) - origin[j];
      squared_norms_[b] = rows_of(points_, b, 1).squaredNorm();
    }
  });
}

void fill_squared_distances(const CentredSample& x, const CentredSample& y, Tile tile) {
  if (x.dim() <= kMaxDirectDim)
    fill_directly(x, y, tile);
  else
    fill_by_expansion(x, y, tile);
}

void fill_inner_products(const Matrix& x, const Matrix& y, Tile tile) {
  map_of(tile).noalias() = rows_of(x, tile.row, tile.rows) * rows_of(y, tile.col, tile.cols).transpose();
}

std::vector<double> symmetric_sums(std::size_t n, const TileFunction& fill) {
  const std::size_t blocks = num_blocks(n);
  std::vector<double> sums(n, 0.0);
  Matrix below(blocks, n);  // row r: what the tiles of block row r add, by symmetry, to the points of later blocks
  parallel_for(blocks, [&](std::size_t r) {
    std::vector<double> values(block_size(n, r) * std::min(kTileSide, n));
    for (std::size_t c = r; c < blocks; ++c) {
      Tile tile{r * kTileSide, block_size(n, r), c * kTileSide, block_size(n, c), {}};
      tile.values = std::span(values).first(tile.rows * tile.cols);
      fill(tile);
      if (c == r)
        for (std::size_t i = 0; i < tile.rows; ++i) tile.values[i * tile.cols + i] = 0.0;
      add_row_sums(tile, sums);
      if (c != r) set_col_sums(tile, below.row(r));
    }
  });
  add_in_order(below, sums);
  return sums;
}

CrossSums cross_sums(std::size_t n, std::size_t m, const TileFunction& fill) {
  const std::size_t blocks = num_blocks(n);
  CrossSums sums{std::vector<double>(n, 0.0), std::vector<double>(m, 0.0)};
  Matrix partial(blocks, m);
  parallel_for(blocks, [&](std::size_t r) {
    std::vector<double> values(block_size(n, r) * std::min(kTileSide, m));
    for (std::size_t c = 0; c < num_blocks(m); ++c) {
      Tile tile{r * kTileSide, block_size(n, r), c * kTileSide, block_size(m, c), {}};
      tile.values = std::span(values).first(tile.rows * tile.cols);
      fill(tile);
      add_row_sums(tile, sums.rows);
      set_col_sums(tile, partial.row(r));
    }
  });
  add_in_order(partial, sums.cols);
  return sums;
}

std::vector<double> symmetric_radial_sums(ConstBatchView x, const RadialKernel& kernel) {
  const CentredSample centred(x, column_means(x));
  return symmetric_sums(x.rows(), [&](Tile tile) {
    fill_squared_distances(centred, centred, tile);
    kernel(tile.values);
  });
}

CrossSums cross_radial_sums(ConstBatchView x, ConstBatchView y, const RadialKernel& kernel) {
  const std::vector<double> origin = column_means(x);
  const CentredSample centred_x(x, origin);
  const CentredSample centred_y(y, origin);
  return cross_sums(x.rows(), y.rows(), [&](Tile tile) {
    fill_squared_distances(centred_x, centred_y, tile);
    kernel(tile.values);
  });
}

}  // namespace fslens::metrics_internal
