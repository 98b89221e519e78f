// identity, matrix, mask, downsample, gaussian-cs: each against the matrix that its definition says it is.
#include <gtest/gtest.h>

#include <cmath>

#include "fslens/core/parallel.hpp"
#include "fslens/operators/downsample.hpp"
#include "fslens/operators/gaussian_sensing.hpp"
#include "fslens/operators/identity.hpp"
#include "fslens/operators/mask.hpp"
#include "fslens/operators/matrix.hpp"
#include "operators/dense_reference.hpp"
#include "support/special_values.hpp"

namespace fslens {
namespace {

using test::apply;
using test::expect_invalid;
using test::expect_is_matrix;
using test::expect_near;
using test::kNan;
using test::random_batch;

Matrix identity_matrix(std::size_t n) {
  Matrix eye(n, n);
  for (std::size_t i = 0; i < n; ++i) eye(i, i) = 1.0;
  return eye;
}

TEST(IdentityOperator, IsTheIdentityMatrix) {
  const IdentityOperator forward(7);
  EXPECT_EQ(forward.name(), "identity");
  expect_is_matrix(forward, identity_matrix(7), 0.0);
}

TEST(IdentityOperator, RefusesDimensionZero) {
  expect_invalid([] { IdentityOperator(0); }, "identity: dim = 0: must be at least 1");
}

TEST(MatrixOperator, MultipliesAsTheDefinitionSays) {
  for (const auto& [m, d] : {std::pair<std::size_t, std::size_t>{1, 1}, {3, 8}, {9, 2}, {300, 70}, {70, 300}}) {
    const Matrix a = random_batch(m, d, 3);
    expect_is_matrix(MatrixOperator(a), a, 1e-12 * std::sqrt(static_cast<double>(m * d)));
  }
}

TEST(MatrixOperator, AddsItsBiasToEveryRowAndReportsIt) {
  const Matrix a = random_batch(3, 4, 5);
  const std::vector<double> bias{1.5, -2.0, 1e3};
  const MatrixOperator forward(a, bias);
  EXPECT_EQ(forward.bias(), bias);
  Matrix want = test::product(random_batch(6, 4, 1), test::transpose(a));
  for (std::size_t b = 0; b < 6; ++b)
    for (std::size_t i = 0; i < 3; ++i) want(b, i) += bias[i];
  expect_near(apply(forward, random_batch(6, 4, 1)), want, 1e-12);
}

TEST(MatrixOperator, HasTheSameBitsForEveryNumberOfThreads) {
  const MatrixOperator forward(random_batch(521, 130, 6));
  const Matrix x = random_batch(200, 130, 7);
  const Matrix free = apply(forward, x);
  const ThreadLimit one(1);
  const Matrix alone = apply(forward, x);
  EXPECT_TRUE(std::ranges::equal(free.values(), alone.values()));
}

TEST(MatrixOperator, KeepsNanInItsOwnRow) {
  const MatrixOperator forward(random_batch(5, 6, 8));
  Matrix x = random_batch(70, 6, 9);
  const Matrix clean = apply(forward, x);
  x(33, 2) = kNan;
  const Matrix y = apply(forward, x);
  for (std::size_t b = 0; b < 70; ++b)
    for (std::size_t i = 0; i < 5; ++i) {
      if (b == 33)
        EXPECT_TRUE(std::isnan(y(b, i)));
      else
        EXPECT_EQ(y(b, i), clean(b, i));
    }
}

TEST(MatrixOperator, RefusesWhatIsNoAffineMap) {
  expect_invalid([] { MatrixOperator(Matrix(0, 3)); }, "matrix: matrix = 0 x 3: must have at least one row");
  expect_invalid([] { MatrixOperator(Matrix(2, 2, {1, 2, kNan, 4})); }, "matrix: matrix[1, 0] = nan: must be finite");
  expect_invalid([] { MatrixOperator(Matrix(2, 2, 1.0), {1.0}); }, "matrix: bias = 1 entries: must have 2");
  expect_invalid([] { MatrixOperator(Matrix(1, 1, 1.0), {kNan}); }, "matrix: bias[0] = nan");
}

TEST(MaskOperator, PicksTheListedComponentsInTheirOrder) {
  const MaskOperator forward(5, {3, 0, 4});
  Matrix selection(3, 5);
  selection(0, 3) = selection(1, 0) = selection(2, 4) = 1.0;
  expect_is_matrix(forward, selection, 0.0);
  EXPECT_EQ(forward.name(), "mask");
}

TEST(MaskOperator, ReadsAnImageMaskForEveryChannelOrForEachValue) {
  const ImageShape shape{2, 2, 3};
  EXPECT_EQ(MaskOperator::from_image(shape, std::vector<double>{0, 1, 0, 1}).kept(),
            (std::vector<std::size_t>{3, 4, 5, 9, 10, 11}));
  EXPECT_EQ(MaskOperator::from_image(shape, std::vector<double>{0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1}).kept(),
            (std::vector<std::size_t>{1, 8, 11}));
}

TEST(MaskOperator, RefusesIndicesAndMasksThatDoNotFit) {
  expect_invalid([] { MaskOperator(4, {}); }, "mask: kept = no index");
  expect_invalid([] { MaskOperator(4, {1, 4}); }, "mask: kept[1] = 4: must be below the dimension 4");
  expect_invalid([] { MaskOperator(4, {1, 2, 1}); }, "mask: kept[2] = 1: must not repeat an index");
  expect_invalid(
      [] {
        MaskOperator::from_image({2, 2, 1}, std::vector<double>{1, 0, 0.5, 1});
      },
      "mask: mask[2] = 0.5: must be 0 or 1");
  expect_invalid(
      [] {
        MaskOperator::from_image({2, 2, 1}, std::vector<double>{1, 0, kNan, 1});
      },
      "mask: mask[2] = nan");
  expect_invalid(
      [] {
        MaskOperator::from_image({2, 2, 3}, std::vector<double>(5, 1.0));
      },
      "mask: mask = 5 entries: must have 4 (height x width) or 12");
  expect_invalid([] { MaskOperator::from_image({2, 2, 1}, std::vector<double>(4, 0.0)); }, "must keep at least one");
  expect_invalid([] { MaskOperator::from_image({0, 2, 1}, std::vector<double>{}); }, "mask: shape = 0 x 2 x 1");
}

// Straight from the definition: entry (output pixel, input pixel) is 1/f² where the block holds the pixel.
Matrix dense_downsample(const ImageShape& s, std::size_t f) {
  const std::size_t out_width = s.width / f;
  Matrix a((s.height / f) * out_width * s.channels, s.size());
  for (std::size_t oi = 0; oi < s.height / f; ++oi)
    for (std::size_t oj = 0; oj < out_width; ++oj)
      for (std::size_t c = 0; c < s.channels; ++c)
        for (std::size_t di = 0; di < f; ++di)
          for (std::size_t dj = 0; dj < f; ++dj)
            a((oi * out_width + oj) * s.channels + c, ((oi * f + di) * s.width + oj * f + dj) * s.channels + c) =
                1.0 / static_cast<double>(f * f);
  return a;
}

TEST(DownsampleOperator, TakesBlockMeans) {
  for (const auto& [shape, factor] : {std::pair<ImageShape, std::size_t>{{4, 6, 1}, 2},
                                      {{6, 9, 2}, 3},
                                      {{8, 4, 3}, 4},
                                      {{3, 5, 1}, 1},
                                      {{5, 5, 1}, 5}})
    expect_is_matrix(DownsampleOperator(shape, factor), dense_downsample(shape, factor), 1e-14);
}

TEST(DownsampleOperator, KnowsTheShapeOfItsOutput) {
  EXPECT_EQ(DownsampleOperator({8, 4, 3}, 4).output_shape(), (ImageShape{2, 1, 3}));
}

TEST(DownsampleOperator, RefusesFactorsThatDoNotDivide) {
  expect_invalid([] { DownsampleOperator({4, 4, 1}, 0); }, "downsample: factor = 0");
  expect_invalid([] { DownsampleOperator({4, 6, 1}, 4); }, "divide both the height 4 and the width 6");
  expect_invalid([] { DownsampleOperator({6, 4, 1}, 4); }, "divide both the height 6 and the width 4");
  expect_invalid([] { DownsampleOperator({4, 4, 0}, 2); }, "downsample: shape = 4 x 4 x 0");
}

TEST(GaussianSensingOperator, IsAPureFunctionOfItsSizeAndSeed) {
  const Matrix a = GaussianSensingOperator(4, 9, 17).linear_part();
  const Matrix again = GaussianSensingOperator(4, 9, 17).linear_part();
  const Matrix other = GaussianSensingOperator(4, 9, 18).linear_part();
  EXPECT_TRUE(std::ranges::equal(a.values(), again.values()));
  EXPECT_FALSE(std::ranges::equal(a.values(), other.values()));
  expect_is_matrix(GaussianSensingOperator(4, 9, 17), a, 1e-13);
}

// n = 200·500 entries. Mean of √m·A: N(0, 1/n); of its squares: 1 ± √(2/n). Five standard errors: false-alarm rate
// 6e-7 each, and the seed is fixed.
TEST(GaussianSensingOperator, HasEntriesOfVarianceOneOverM) {
  const std::size_t m = 200;
  const Matrix a = GaussianSensingOperator(m, 500, 4).linear_part();
  const auto n = static_cast<double>(a.size());
  double sum = 0.0;
  double squares = 0.0;
  for (const double entry : a.values()) {
    sum += entry * std::sqrt(static_cast<double>(m));
    squares += entry * entry * static_cast<double>(m);
  }
  EXPECT_NEAR(sum / n, 0.0, 5.0 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1.0, 5.0 * std::sqrt(2.0 / n));
}

TEST(GaussianSensingOperator, RefusesEmptySizes) {
  expect_invalid([] { GaussianSensingOperator(0, 3, 0); }, "gaussian-cs: m = 0");
  expect_invalid([] { GaussianSensingOperator(3, 0, 0); }, "gaussian-cs: d = 0");
}

}  // namespace
}  // namespace fslens
