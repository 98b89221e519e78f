#include "fslens/metrics/spread.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "fslens/core/error.hpp"
#include "metrics/samples.hpp"

namespace fslens {
namespace {

using namespace samples;

// Tr Cov as half the mean squared distance of pairs: another formula, in long double.
double naive_total_variance(const Matrix& x) {
  long double sum = 0;
  for (std::size_t i = 0; i < x.rows(); ++i)
    for (std::size_t j = 0; j < i; ++j) sum += squared_distance(x.row(i), x.row(j));
  return static_cast<double>(sum / (x.rows() * (x.rows() - 1.0L)));
}

TEST(TotalVariance, AgreesWithTheMeanSquaredDistanceOfPairs) {
  for (const std::size_t n : {2, 300, 700}) {
    const Matrix x = normal(n, 5, n, 3.0, 2.0);
    EXPECT_NEAR(total_variance(x).value, naive_total_variance(x), 1e-12 * naive_total_variance(x));
  }
}

TEST(TotalVariance, KeepsItsDigitsFarFromTheOrigin) {
  const Matrix x = normal(300, 3, 1);
  EXPECT_NEAR(total_variance(translated(x, 1048576.0)).value, total_variance(x).value, 1e-8);
}

TEST(TotalVariance, OfIdenticalParticlesIsZero) {
  EXPECT_EQ(total_variance(Matrix(5, 3, 2.0)).value, 0.0);
  EXPECT_EQ(total_variance(Matrix(5, 3, 2.0)).standard_error, 0.0);
}

// 600 samples of 8: mean within 4 of its errors (false-alarm rate 6e-5). At 200 particles: the mean standard error
// within 20 % of the sd of 600 values, itself known to 3 %.
TEST(TotalVariance, IsUnbiasedWithAnHonestStandardError) {
  std::vector<double> small;
  std::vector<double> large;
  double standard_error = 0;
  for (std::uint64_t r = 0; r < 600; ++r) {
    small.push_back(total_variance(normal(8, 3, r)).value);
    const Variance v = total_variance(normal(200, 3, r + 1000));
    large.push_back(v.value);
    standard_error += v.standard_error / 600;
  }
  EXPECT_NEAR(mean_and_error(small).mean, 3.0, 4 * mean_and_error(small).error);
  EXPECT_NEAR(standard_error / (mean_and_error(large).error * std::sqrt(600.0)), 1.0, 0.2);
}

TEST(VarianceAlong, TheAxesSumsToTheTotal) {
  const Matrix x = normal(400, 3, 5, -2.0, 0.7);
  Matrix axes(3, 3);
  for (std::size_t k = 0; k < 3; ++k) axes(k, k) = 1;
  double sum = 0;
  for (const Variance& v : variance_along(x, axes)) sum += v.value;
  EXPECT_NEAR(sum, total_variance(x).value, 1e-12);
}

TEST(VarianceAlong, AgreesWithTotalVarianceOfTheProjection) {
  const Matrix x = normal(50, 2, 5);
  const Matrix directions(2, 2, std::vector<double>{0.6, 0.8, 2.0, 0.0});
  Matrix first(50, 1);
  Matrix second(50, 1);
  for (std::size_t b = 0; b < 50; ++b) {
    first(b, 0) = 0.6 * x(b, 0) + 0.8 * x(b, 1);
    second(b, 0) = 2 * x(b, 0);
  }
  const auto variances = variance_along(x, directions);
  ASSERT_EQ(variances.size(), 2u);
  EXPECT_NEAR(variances[0].value, total_variance(first).value, 1e-13);
  EXPECT_NEAR(variances[0].standard_error, total_variance(first).standard_error, 1e-13);
  EXPECT_NEAR(variances[1].value, total_variance(second).value, 1e-13);
}

TEST(SpreadRatio, PropagatesBothErrors) {
  const auto ratio = spread_ratio({4.0, 0.3}, {2.0, 0.1});
  ASSERT_TRUE(ratio.has_value());
  EXPECT_DOUBLE_EQ(ratio->value, 2.0);
  EXPECT_NEAR(ratio->standard_error, 2.0 * std::hypot(0.3 / 4, 0.1 / 2), 1e-15);
}

TEST(SpreadRatio, RemovesTheFloorFromBoth) {
  const auto ratio = spread_ratio({1.5, 0.1}, {1.1, 0.0}, 1.0);
  ASSERT_TRUE(ratio.has_value());
  EXPECT_NEAR(ratio->value, 5.0, 1e-13);
  EXPECT_NEAR(ratio->standard_error, 1.0, 1e-13);
}

TEST(SpreadRatio, IsAbsentWhereTheExactSpreadIsNoMoreThanTheFloor) {
  EXPECT_FALSE(spread_ratio({1, 0}, {0, 0}).has_value());
  EXPECT_FALSE(spread_ratio({2, 0}, {1, 0}, 1.0).has_value());
  EXPECT_FALSE(spread_ratio({2, 0}, {kNan, 0}).has_value());
  EXPECT_TRUE(std::isnan(spread_ratio({kNan, 0}, {1, 0})->value));
  EXPECT_THROW(spread_ratio({2, 0}, {1, 0}, -1.0), InvalidArgument);
}

RC_GTEST_PROP(TotalVariance, IsBlindToOrderTranslationAndReflection, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1000000);
  const Matrix x = normal(*rc::gen::inRange<std::size_t>(2, 600), *rc::gen::inRange<std::size_t>(1, 9), seed);
  const double value = total_variance(x).value;
  RC_ASSERT(std::abs(total_variance(with_rows_reversed(x)).value - value) < 1e-12 * (1 + value));
  RC_ASSERT(std::abs(total_variance(translated(x, 2)).value - value) < 1e-12 * (1 + value));
  RC_ASSERT(std::abs(total_variance(with_signs_flipped(x)).value - value) < 1e-12 * (1 + value));
}

TEST(TotalVariance, HasTheSameBitsWithAnyNumberOfThreads) {
  const Matrix x = normal(3000, 11, 1);
  expect_same_bits_with_any_threads([&] {
    const Variance total = total_variance(x);
    const auto along = variance_along(x, normal(7, 11, 2));
    return std::vector<double>{total.value, total.standard_error, along[6].value, along[6].standard_error};
  });
}

TEST(TotalVariance, OfANonFiniteSampleIsNan) {
  for (const double bad : {kNan, kInfinity}) {
    const Matrix x = with_value(normal(9, 2, 1), 3, 1, bad);
    EXPECT_TRUE(std::isnan(total_variance(x).value));
    EXPECT_TRUE(std::isnan(total_variance(x).standard_error));
    EXPECT_TRUE(std::isnan(variance_along(x, Matrix(1, 2, 1.0))[0].value));
  }
}

TEST(TotalVariance, RefusesWrongShapes) {
  EXPECT_THROW(total_variance(Matrix(1, 3)), InvalidArgument);
  EXPECT_THROW(total_variance(Matrix(3, 0)), InvalidArgument);
  EXPECT_THROW(variance_along(normal(4, 3, 1), Matrix(1, 2)), InvalidArgument);
  EXPECT_THROW(variance_along(normal(4, 3, 1), Matrix(0, 3)), InvalidArgument);
}

}  // namespace
}  // namespace fslens
