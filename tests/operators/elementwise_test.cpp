#include "fslens/operators/elementwise.hpp"

#include <gtest/gtest.h>

#include "operators/dense_reference.hpp"
#include "support/special_values.hpp"

namespace fslens {
namespace {

using test::apply;
using test::expect_invalid;
using test::expect_near;
using test::kInfinity;
using test::kNan;
using test::vjp;

TEST(SquareOperator, SquaresAndPullsBackTwiceX) {
  const SquareOperator forward(3);
  EXPECT_FALSE(forward.is_affine());
  EXPECT_EQ(forward.name(), "square");
  const Matrix x(2, 3, {-2, 0, 0.5, 1, 3, -1});
  expect_near(apply(forward, x), Matrix(2, 3, {4, 0, 0.25, 1, 9, 1}), 0.0);
  expect_near(vjp(forward, x, Matrix(2, 3, {1, 1, 2, -1, 0.5, 3})), Matrix(2, 3, {-4, 0, 2, -2, 3, -6}), 0.0);
}

TEST(AbsOperator, HasTheSubgradientZeroAtZero) {
  const AbsOperator forward(4);
  EXPECT_FALSE(forward.is_affine());
  EXPECT_EQ(forward.name(), "abs");
  const Matrix x(1, 4, {-2, 0, 3, -0.0});
  expect_near(apply(forward, x), Matrix(1, 4, {2, 0, 3, 0}), 0.0);
  expect_near(vjp(forward, x, Matrix(1, 4, {5, 5, 5, 5})), Matrix(1, 4, {-5, 0, 5, 0}), 0.0);
}

TEST(ClipOperator, PassesTheClosedIntervalAndNothingElse) {
  const ClipOperator forward(5, -1.0, 2.0);
  EXPECT_FALSE(forward.is_affine());
  EXPECT_EQ(forward.name(), "clip");
  const Matrix x(1, 5, {-1.5, -1.0, 0.25, 2.0, kInfinity});
  expect_near(apply(forward, x), Matrix(1, 5, {-1, -1, 0.25, 2, 2}), 0.0);
  expect_near(vjp(forward, x, Matrix(1, 5, 7.0)), Matrix(1, 5, {0, 7, 7, 7, 0}), 0.0);
}

TEST(ElementwiseOperators, NeverHideANan) {
  const Matrix x(1, 2, {kNan, 0.5});
  const Matrix v(1, 2, 1.0);
  const SquareOperator square(2);
  const AbsOperator abs(2);
  const ClipOperator clip(2, -1.0, 1.0);
  for (const ForwardOperator* forward :
       {static_cast<const ForwardOperator*>(&square), static_cast<const ForwardOperator*>(&abs),
        static_cast<const ForwardOperator*>(&clip)}) {
    EXPECT_TRUE(std::isnan(apply(*forward, x)(0, 0))) << forward->name();
    EXPECT_TRUE(std::isnan(vjp(*forward, x, v)(0, 0))) << forward->name();
    EXPECT_TRUE(std::isfinite(apply(*forward, x)(0, 1))) << forward->name();
    EXPECT_TRUE(std::isfinite(vjp(*forward, x, v)(0, 1))) << forward->name();
  }
}

TEST(ElementwiseOperators, RefuseBadArguments) {
  expect_invalid([] { SquareOperator(0); }, "square: dim = 0");
  expect_invalid([] { AbsOperator(0); }, "abs: dim = 0");
  expect_invalid([] { ClipOperator(0, 0, 1); }, "clip: dim = 0");
  expect_invalid([] { ClipOperator(2, 1.0, 1.0); }, "clip: [lo, hi] = [1, 1]: must be finite with lo < hi");
  expect_invalid([] { ClipOperator(2, 2.0, 1.0); }, "clip: [lo, hi] = [2, 1]");
  expect_invalid([] { ClipOperator(2, kNan, 1.0); }, "clip: [lo, hi] = [nan, 1]");
  expect_invalid([] { ClipOperator(2, 0.0, kInfinity); }, "clip: [lo, hi] = [0, inf]");
}

}  // namespace
}  // namespace fslens
