#include "fslens/operators/forward_operator.hpp"

#include <fmt/format.h>

#include <Eigen/SVD>
#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"

namespace fslens {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void require_affine(const ForwardOperator& forward, std::string_view asked_for) {
  if (!forward.is_affine())
    throw InvalidArgument(
        fmt::format("operator = {}: must be affine, A(x) = A x + b, to have {}", forward.name(), asked_for));
}

void require_cols(const ForwardOperator& forward, std::string_view argument, std::size_t cols, std::size_t expected,
                  std::string_view of_what) {
  if (cols != expected)
    throw InvalidArgument(
        fmt::format("{}: {} = {} columns: must have {} ({})", forward.name(), argument, cols, expected, of_what));
}

void require_rows(const ForwardOperator& forward, std::string_view argument, std::size_t rows, std::size_t expected) {
  if (rows != expected)
    throw InvalidArgument(
        fmt::format("{}: {} = {} rows: must have {} (as many as x)", forward.name(), argument, rows, expected));
}

Matrix to_matrix(const Eigen::MatrixXd& from) {
  Matrix to(static_cast<std::size_t>(from.rows()), static_cast<std::size_t>(from.cols()));
  Eigen::Map<RowMajor>(to.data(), from.rows(), from.cols()) = from;
  return to;
}

}  // namespace

void ForwardOperator::require_apply_shapes(ConstBatchView x, ConstBatchView y) const {
  require_cols(*this, "x", x.cols(), input_dim(), "input_dim");
  require_cols(*this, "y", y.cols(), output_dim(), "output_dim");
  require_rows(*this, "y", y.rows(), x.rows());
}

void ForwardOperator::require_vjp_shapes(ConstBatchView x, ConstBatchView v, ConstBatchView out) const {
  require_cols(*this, "x", x.cols(), input_dim(), "input_dim");
  require_cols(*this, "v", v.cols(), output_dim(), "output_dim");
  require_cols(*this, "out", out.cols(), input_dim(), "input_dim");
  require_rows(*this, "v", v.rows(), x.rows());
  require_rows(*this, "out", out.rows(), x.rows());
}

Matrix ForwardOperator::linear_part() const {
  require_affine(*this, "a linear part");
  const std::size_t d = input_dim();
  const std::size_t m = output_dim();
  const std::vector<double> b = bias();
  // A block of unit vectors at a time: the d×d identity of an image would not fit in memory.
  constexpr std::size_t kColumnsPerBlock = 256;
  Matrix linear(m, d);
  for (std::size_t first = 0; first < d; first += kColumnsPerBlock) {
    const std::size_t count = std::min(kColumnsPerBlock, d - first);
    Matrix units(count, d);
    for (std::size_t k = 0; k < count; ++k) units(k, first + k) = 1.0;
    Matrix images(count, m);
    apply(units, images);
    for (std::size_t k = 0; k < count; ++k)
      for (std::size_t i = 0; i < m; ++i) linear(i, first + k) = images(k, i) - b[i];
  }
  return linear;
}

std::vector<double> ForwardOperator::bias() const {
  require_affine(*this, "a bias");
  const Matrix origin(1, input_dim());
  Matrix image(1, output_dim());
  apply(origin, image);
  return {image.values().begin(), image.values().end()};
}

Svd ForwardOperator::svd() const {
  require_affine(*this, "a singular value decomposition");
  const Matrix linear = linear_part();
  const auto is_finite = [](double value) { return std::isfinite(value); };
  require(std::ranges::all_of(linear.values(), is_finite), fmt::format("linear part of {}", name()), "NaN or Inf",
          "must be finite to have a singular value decomposition");
  const Eigen::Map<const RowMajor> a(linear.data(), static_cast<Eigen::Index>(linear.rows()),
                                     static_cast<Eigen::Index>(linear.cols()));
  const Eigen::BDCSVD<Eigen::MatrixXd> svd(a, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Eigen::VectorXd& values = svd.singularValues();
  return {to_matrix(svd.matrixU()), {values.begin(), values.end()}, to_matrix(svd.matrixV())};
}

}  // namespace fslens
