#include "fslens/operators/matrix.hpp"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>>;
using MutableMap = Eigen::Map<RowMajor, 0, Eigen::OuterStride<>>;

Eigen::Index index(std::size_t i) { return static_cast<Eigen::Index>(i); }

template <class Map, class View>
Map map(View view) {
  return Map(view.data(), index(view.rows()), index(view.cols()), Eigen::OuterStride<>(index(view.stride())));
}

/// product ← left · right in fixed tiles of the product. They depend on its shape only, so its bits do not depend on
/// the number of threads; tiles of columns too, so that one wide row is still shared out.
template <class Right>
void multiply(ConstBatchView left, const Right& right, BatchView product) {
  constexpr std::size_t kTileRows = 64;
  constexpr std::size_t kTileCols = 256;
  const auto all_left = map<ConstMap>(left);
  auto all_product = map<MutableMap>(product);
  const std::size_t column_tiles = (product.cols() + kTileCols - 1) / kTileCols;
  const std::size_t row_tiles = (product.rows() + kTileRows - 1) / kTileRows;
  parallel_for(row_tiles * column_tiles, [&](std::size_t tile) {
    const std::size_t row = (tile / column_tiles) * kTileRows;
    const std::size_t col = (tile % column_tiles) * kTileCols;
    const Eigen::Index rows = index(std::min(kTileRows, product.rows() - row));
    const Eigen::Index cols = index(std::min(kTileCols, product.cols() - col));
    all_product.block(index(row), index(col), rows, cols).noalias() =
        all_left.middleRows(index(row), rows) * right.middleCols(index(col), cols);
  });
}

}  // namespace

MatrixOperator::MatrixOperator(Matrix matrix, std::vector<double> bias)
    : matrix_(std::move(matrix)), bias_(std::move(bias)) {
  require(!matrix_.empty(), "matrix: matrix", fmt::format("{} x {}", matrix_.rows(), matrix_.cols()),
          "must have at least one row and one column");
  const auto values = matrix_.values();
  const auto bad = std::ranges::find_if(values, [](double value) { return !std::isfinite(value); });
  if (bad != values.end()) {
    const auto place = static_cast<std::size_t>(bad - values.begin());
    require(false, fmt::format("matrix: matrix[{}, {}]", place / matrix_.cols(), place % matrix_.cols()),
            fmt::format("{}", *bad), "must be finite");
  }
  if (!bias_.empty()) require_size("matrix: bias", bias_.size(), matrix_.rows(), "the rows of the matrix");
  require_finite("matrix: bias", bias_);
}

void MatrixOperator::apply(ConstBatchView x, BatchView y) const {
  require_apply_shapes(x, y);
  multiply(x, map<ConstMap>(matrix_.view()).transpose(), y);
  if (bias_.empty()) return;
  for (std::size_t b = 0; b < y.rows(); ++b)
    for (std::size_t i = 0; i < bias_.size(); ++i) y(b, i) += bias_[i];
}

void MatrixOperator::vjp(ConstBatchView x, ConstBatchView v, BatchView out) const {
  require_vjp_shapes(x, v, out);
  multiply(v, map<ConstMap>(matrix_.view()), out);
}

}  // namespace fslens
