// What every operator gets from the base class: linear part, bias, SVD, and the shape checks.
#include "fslens/operators/forward_operator.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "fslens/operators/blur.hpp"
#include "fslens/operators/compose.hpp"
#include "fslens/operators/downsample.hpp"
#include "fslens/operators/elementwise.hpp"
#include "fslens/operators/gaussian_sensing.hpp"
#include "fslens/operators/identity.hpp"
#include "fslens/operators/mask.hpp"
#include "fslens/operators/matrix.hpp"
#include "operators/dense_reference.hpp"

namespace fslens {
namespace {

using test::expect_invalid;
using test::expect_near;
using test::product;
using test::random_batch;
using test::transpose;

void expect_orthonormal_columns(const Matrix& q) {
  const Matrix gram = product(transpose(q), q);
  for (std::size_t i = 0; i < gram.rows(); ++i)
    for (std::size_t j = 0; j < gram.cols(); ++j) ASSERT_NEAR(gram(i, j), i == j ? 1.0 : 0.0, 1e-12);
}

void expect_valid_svd(const ForwardOperator& forward) {
  SCOPED_TRACE(forward.name());
  const Svd svd = forward.svd();
  const std::size_t rank = std::min(forward.input_dim(), forward.output_dim());
  ASSERT_EQ(svd.values.size(), rank);
  ASSERT_EQ(svd.u.rows(), forward.output_dim());
  ASSERT_EQ(svd.u.cols(), rank);
  ASSERT_EQ(svd.v.rows(), forward.input_dim());
  ASSERT_EQ(svd.v.cols(), rank);
  expect_orthonormal_columns(svd.u);
  expect_orthonormal_columns(svd.v);
  for (std::size_t k = 0; k < rank; ++k) ASSERT_GE(svd.values[k], 0.0);
  for (std::size_t k = 1; k < rank; ++k) ASSERT_GE(svd.values[k - 1], svd.values[k]);
  Matrix scaled = svd.u;
  for (std::size_t i = 0; i < scaled.rows(); ++i)
    for (std::size_t k = 0; k < rank; ++k) scaled(i, k) *= svd.values[k];
  expect_near(product(scaled, transpose(svd.v)), forward.linear_part(), 1e-12 * (1.0 + svd.values.front()));
}

TEST(ForwardOperatorSvd, ReconstructsWideTallAndRankDeficientMatrices) {
  expect_valid_svd(MatrixOperator(random_batch(7, 19, 1)));
  expect_valid_svd(MatrixOperator(random_batch(40, 23, 2)));
  expect_valid_svd(MatrixOperator(product(random_batch(30, 4, 3), random_batch(4, 25, 4))));
  expect_valid_svd(MatrixOperator(Matrix(3, 5)));
}

TEST(ForwardOperatorSvd, ReconstructsOperatorsWithManyEqualSingularValues) {
  expect_valid_svd(IdentityOperator(48));
  expect_valid_svd(MaskOperator(40, {3, 7, 1, 39, 20, 21, 22, 5, 6, 30, 31, 32, 33, 34, 35, 36, 37, 0}));
  expect_valid_svd(DownsampleOperator({12, 8, 2}, 2));
  expect_valid_svd(BlurOperator({6, 7, 1}, gaussian_kernel(1, 3), gaussian_kernel(1, 3), Boundary::kPeriodic));
}

TEST(ForwardOperatorSvd, LeavesTheBiasOut) {
  const Matrix a = random_batch(3, 3, 5);
  const Svd plain = MatrixOperator(a).svd();
  const Svd shifted = MatrixOperator(a, {1e6, 2, 3}).svd();
  EXPECT_EQ(plain.values, shifted.values);
}

TEST(ForwardOperatorSvd, FindsTheSingularValuesOfABlockMean) {
  for (const double value : DownsampleOperator({4, 4, 1}, 2).svd().values) EXPECT_NEAR(value, 0.5, 1e-14);
}

// Affine with a bias and the default linear_part; wider than one block of unit vectors.
class ShiftedReversal final : public ForwardOperator {
 public:
  std::string name() const override { return "shifted-reversal"; }
  std::size_t input_dim() const override { return 300; }
  std::size_t output_dim() const override { return 300; }
  bool is_affine() const override { return true; }
  void apply(ConstBatchView x, BatchView y) const override {
    for (std::size_t b = 0; b < x.rows(); ++b)
      for (std::size_t j = 0; j < 300; ++j) y(b, j) = 2.0 * x(b, 299 - j) + static_cast<double>(j);
  }
  void vjp(ConstBatchView, ConstBatchView v, BatchView out) const override {
    for (std::size_t b = 0; b < v.rows(); ++b)
      for (std::size_t j = 0; j < 300; ++j) out(b, j) = 2.0 * v(b, 299 - j);
  }
};

TEST(ForwardOperator, FindsLinearPartAndBiasByApplying) {
  const ShiftedReversal forward;
  Matrix want(300, 300);
  for (std::size_t j = 0; j < 300; ++j) want(j, 299 - j) = 2.0;
  expect_near(forward.linear_part(), want, 0.0);
  for (std::size_t j = 0; j < 300; ++j) EXPECT_EQ(forward.bias()[j], static_cast<double>(j));
}

TEST(ForwardOperator, HasNoLinearPartUnlessAffine) {
  const SquareOperator forward(2);
  expect_invalid([&] { forward.linear_part(); }, "operator = square: must be affine, A(x) = A x + b, to have a linear");
  expect_invalid([&] { forward.bias(); }, "to have a bias");
  expect_invalid([&] { forward.svd(); }, "to have a singular value decomposition");
}

TEST(ForwardOperator, RefusesBatchesOfTheWrongShape) {
  const ImageShape shape{4, 4, 1};
  const std::vector<ForwardOperatorPtr> all{
      std::make_shared<IdentityOperator>(16),
      std::make_shared<MatrixOperator>(random_batch(3, 16, 1)),
      std::make_shared<MaskOperator>(16, std::vector<std::size_t>{1, 2}),
      std::make_shared<BlurOperator>(shape, gaussian_kernel(1, 1), gaussian_kernel(1, 1), Boundary::kPeriodic),
      std::make_shared<DownsampleOperator>(shape, 2),
      std::make_shared<GaussianSensingOperator>(5, 16, 0),
      std::make_shared<SquareOperator>(16),
      std::make_shared<AbsOperator>(16),
      std::make_shared<ClipOperator>(16, 0.0, 1.0),
      std::make_shared<ComposeOperator>(std::vector<ForwardOperatorPtr>{std::make_shared<IdentityOperator>(16)})};
  for (const auto& forward : all) {
    SCOPED_TRACE(forward->name());
    const std::size_t m = forward->output_dim();
    Matrix x(2, 16), wide_x(2, 17), more_x(3, 16), y(2, m), wide_y(2, m + 1), more_y(3, m);
    expect_invalid([&] { forward->apply(wide_x, y); }, forward->name() + ": x = 17 columns: must have 16 (input_dim)");
    expect_invalid([&] { forward->apply(x, wide_y); }, forward->name() + ": y = ");
    expect_invalid([&] { forward->apply(x, more_y); }, forward->name() + ": y = 3 rows: must have 2");
    expect_invalid([&] { forward->vjp(wide_x, y, x); }, forward->name() + ": x = 17 columns");
    expect_invalid([&] { forward->vjp(x, wide_y, more_x); }, forward->name() + ": v = ");
    expect_invalid([&] { forward->vjp(x, more_y, x); }, forward->name() + ": v = 3 rows");
    expect_invalid([&] { forward->vjp(x, y, wide_x); }, forward->name() + ": out = 17 columns");
    expect_invalid([&] { forward->vjp(x, y, more_x); }, forward->name() + ": out = 3 rows");
    Matrix none_x(0, 16), none_y(0, m), none_out(0, 16);
    EXPECT_NO_THROW(forward->apply(none_x, none_y));
    EXPECT_NO_THROW(forward->vjp(none_x, none_y, none_out));
  }
}

}  // namespace
}  // namespace fslens
