#include "fslens/operators/compose.hpp"

#include <gtest/gtest.h>

#include "fslens/operators/blur.hpp"
#include "fslens/operators/downsample.hpp"
#include "fslens/operators/elementwise.hpp"
#include "fslens/operators/identity.hpp"
#include "fslens/operators/matrix.hpp"
#include "operators/dense_reference.hpp"

namespace fslens {
namespace {

using test::apply;
using test::expect_invalid;
using test::expect_is_matrix;
using test::expect_near;
using test::product;
using test::random_batch;
using test::transpose;
using test::vjp;

template <class Operator, class... Args>
ForwardOperatorPtr make(Args&&... args) {
  return std::make_shared<const Operator>(std::forward<Args>(args)...);
}

TEST(ComposeOperator, OfAffineOperatorsIsTheProductOfTheirMatricesLastOnTheLeft) {
  const Matrix a = random_batch(6, 4, 1);
  const Matrix b = random_batch(3, 6, 2);
  const Matrix c = random_batch(5, 3, 3);
  const ComposeOperator forward({make<MatrixOperator>(a), make<MatrixOperator>(b), make<MatrixOperator>(c)});
  EXPECT_EQ(forward.name(), "compose");
  expect_is_matrix(forward, product(c, product(b, a)), 1e-12);
}

TEST(ComposeOperator, CarriesTheBiasThrough) {
  const Matrix a = random_batch(3, 2, 1);
  const Matrix b = random_batch(2, 3, 2);
  const ComposeOperator forward(
      {make<MatrixOperator>(a, std::vector<double>{1, -2, 3}), make<MatrixOperator>(b, std::vector<double>{10, 20})});
  const Matrix want = product(Matrix(1, 3, {1, -2, 3}), transpose(b));
  EXPECT_NEAR(forward.bias()[0], want(0, 0) + 10, 1e-13);
  EXPECT_NEAR(forward.bias()[1], want(0, 1) + 20, 1e-13);
  expect_near(forward.linear_part(), product(b, a), 1e-13);
}

TEST(ComposeOperator, AppliesFirstToLast) {
  const ForwardOperatorPtr clip = make<ClipOperator>(std::size_t{1}, 0.0, 1.0);
  const ForwardOperatorPtr minus_two_x_plus_one = make<MatrixOperator>(Matrix(1, 1, {-2.0}), std::vector<double>{1.0});
  const Matrix x(1, 1, {3.0});
  EXPECT_EQ(apply(ComposeOperator({clip, minus_two_x_plus_one}), x)(0, 0), -1.0);
  EXPECT_EQ(apply(ComposeOperator({minus_two_x_plus_one, clip}), x)(0, 0), 0.0);
}

// A₃(A₂(A₁ x)²): its Jacobian is A₃ diag(2 A₂' …) written out by hand, with affine operators on both sides of the kink
// and of the square, so that every branch of the backward pass is taken.
TEST(ComposeOperator, PullsBackByTheChainRule) {
  const Matrix a = random_batch(4, 3, 1);
  const Matrix c = random_batch(2, 4, 2);
  const Matrix e = random_batch(5, 2, 3);
  const ComposeOperator forward({make<MatrixOperator>(a), make<SquareOperator>(std::size_t{4}), make<MatrixOperator>(c),
                                 make<AbsOperator>(std::size_t{2}), make<MatrixOperator>(e)});
  EXPECT_FALSE(forward.is_affine());
  const Matrix x = random_batch(3, 3, 4);
  const Matrix v = random_batch(3, 5, 5);
  Matrix want(3, 3);
  for (std::size_t b = 0; b < 3; ++b) {
    const Matrix row(x.view().rows_from(b, 1));
    const Matrix inner = product(row, transpose(a));
    Matrix squared = inner;
    for (double& value : squared.values()) value *= value;
    const Matrix middle = product(squared, transpose(c));
    Matrix back = product(Matrix(v.view().rows_from(b, 1)), e);
    for (std::size_t i = 0; i < 2; ++i) back(0, i) *= middle(0, i) > 0 ? 1.0 : -1.0;
    back = product(back, c);
    for (std::size_t i = 0; i < 4; ++i) back(0, i) *= 2.0 * inner(0, i);
    back = product(back, a);
    for (std::size_t j = 0; j < 3; ++j) want(b, j) = back(0, j);
  }
  expect_near(vjp(forward, x, v), want, 1e-11);
}

TEST(ComposeOperator, BlurThenDownsampleIsTheProductOfBoth) {
  const ImageShape shape{4, 6, 2};
  const ForwardOperatorPtr blur =
      make<BlurOperator>(shape, gaussian_kernel(1.0, 2), gaussian_kernel(0.7, 1), Boundary::kReflecting);
  const ForwardOperatorPtr downsample = make<DownsampleOperator>(shape, std::size_t{2});
  expect_is_matrix(ComposeOperator({blur, downsample}), product(downsample->linear_part(), blur->linear_part()), 1e-13);
}

TEST(ComposeOperator, OfOneOperatorIsThatOperator) {
  const Matrix a = random_batch(2, 5, 6);
  expect_is_matrix(ComposeOperator({make<MatrixOperator>(a)}), a, 1e-13);
}

TEST(ComposeOperator, RefusesListsThatDoNotChain) {
  expect_invalid([] { ComposeOperator({}); }, "compose: operators = an empty list");
  expect_invalid(
      [] {
        ComposeOperator({make<IdentityOperator>(std::size_t{3}), nullptr});
      },
      "compose: operators[1] = null");
  expect_invalid(
      [] {
        ComposeOperator({make<IdentityOperator>(std::size_t{3}), make<SquareOperator>(std::size_t{4})});
      },
      "compose: operators[1] = square with input dimension 4: must take the 3 outputs of operators[0] (identity)");
}

}  // namespace
}  // namespace fslens
