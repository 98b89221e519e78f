#include "fslens/metrics/mmd.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>

#include "fslens/core/error.hpp"
#include "metrics/samples.hpp"

namespace fslens {
namespace {

using namespace samples;

const std::vector<double> kHalving = {0.5, 1.0, 2.0, 4.0, 8.0};
const std::vector<double> kUneven = {0.7, 1.0, 3.0};

long double kernel(std::span<const double> x, std::span<const double> y, const std::vector<double>& bandwidths) {
  long double sum = 0;
  for (const long double h : bandwidths) sum += std::exp(-squared_distance(x, y) / (2 * h * h));
  return sum / static_cast<long double>(bandwidths.size());
}

MaximumMeanDiscrepancy naive_mmd(const Matrix& x, const Matrix& y, const std::vector<double>& bandwidths) {
  const auto side = [&](const Matrix& own, const Matrix& other) {
    std::vector<double> projection;
    for (std::size_t i = 0; i < own.rows(); ++i) {
      long double within = 0;
      long double across = 0;
      for (std::size_t j = 0; j < own.rows(); ++j) within += j == i ? 0.0L : kernel(own.row(i), own.row(j), bandwidths);
      for (std::size_t j = 0; j < other.rows(); ++j) across += kernel(own.row(i), other.row(j), bandwidths);
      projection.push_back(static_cast<double>(2 * within / (own.rows() - 1) - 2 * across / other.rows()));
    }
    return mean_and_error(projection);
  };
  const MeanAndError a = side(x, y);
  const MeanAndError b = side(y, x);
  return {(a.mean + b.mean) / 2, std::hypot(a.error, b.error)};
}

// E k(X, Y) for X ~ N(0, I), Y ~ N(shift, I): ∏ over coordinates of √(h²/(h² + 2)) exp(−shift²/2(h² + 2)).
double gaussian_mean_kernel(std::size_t dim, double shift, const std::vector<double>& bandwidths) {
  double sum = 0;
  for (const double h : bandwidths)
    sum += std::pow(std::sqrt(h * h / (h * h + 2)) * std::exp(-shift * shift / (2 * (h * h + 2))), dim);
  return sum / static_cast<double>(bandwidths.size());
}

TEST(Mmd, AgreesWithTheNaiveLoops) {
  for (const auto& bandwidths : {kHalving, kUneven, std::vector<double>{1.5}})
    for (const auto& [n, m, d] : {std::array{2, 3, 1}, {150, 131, 2}, {129, 140, 30}}) {
      const Matrix x = normal(n, d, 1);
      const Matrix y = normal(m, d, 2, 0.4, 1.3);
      const auto expected = naive_mmd(x, y, bandwidths);
      const auto actual = mmd_squared(x, y, bandwidths);
      EXPECT_NEAR(actual.value, expected.value, 1e-13) << n << " " << m << " " << d;
      EXPECT_NEAR(actual.standard_error, expected.standard_error, 1e-13) << n << " " << m << " " << d;
    }
}

TEST(Mmd, DoesNotDependOnTheOrderOfTheBandwidths) {
  const Matrix x = normal(20, 3, 1);
  const Matrix y = normal(30, 3, 2);
  const std::vector<double> shuffled = {2.0, 0.5, 8.0, 1.0, 4.0};
  EXPECT_EQ(mmd_squared(x, y, kHalving).value, mmd_squared(x, y, shuffled).value);
}

TEST(Mmd, OfFarApartPointMassesIsTwo) {
  const Matrix x(4, 3, 0.0);
  const Matrix y(5, 3, 1e6);
  EXPECT_NEAR(mmd_squared(x, y, kHalving).value, 2.0, 1e-14);
  EXPECT_NEAR(mmd_squared(x, y, kUneven).value, 2.0, 1e-14);
}

// 400 samples of 6 against 9 points; the mean must meet the closed form within 4 of its errors: false-alarm rate 6e-5
// each.
TEST(Mmd, IsUnbiasedForGaussians) {
  for (const double shift : {0.0, 0.8}) {
    std::vector<double> values;
    for (std::uint64_t r = 0; r < 400; ++r)
      values.push_back(mmd_squared(normal(6, 3, 2 * r), normal(9, 3, 2 * r + 1, shift), kHalving).value);
    const double expected = 2 * gaussian_mean_kernel(3, 0, kHalving) - 2 * gaussian_mean_kernel(3, shift, kHalving);
    const MeanAndError estimate = mean_and_error(values);
    EXPECT_NEAR(estimate.mean, expected, 4 * estimate.error) << shift;
  }
}

// The sd of 400 values is known to 3.5 %; the mean standard error must lie within 25 % of it: beyond 6 sd.
TEST(Mmd, HasTheStandardErrorOfItsRepetitions) {
  std::vector<double> values;
  double standard_error = 0;
  for (std::uint64_t r = 0; r < 400; ++r) {
    const auto result = mmd_squared(normal(100, 2, 2 * r), normal(80, 2, 2 * r + 1, 1.0), kHalving);
    values.push_back(result.value);
    standard_error += result.standard_error / 400;
  }
  EXPECT_NEAR(standard_error / (mean_and_error(values).error * 20), 1.0, 0.25);
}

TEST(MedianHeuristic, IsTheMedianOfAllDistancesAndItsMultiples) {
  const Matrix x(4, 1, std::vector<double>{0, 1, 3, 7});  // distances 1 2 3 4 6 7
  EXPECT_DOUBLE_EQ(median_pairwise_distance(x), 3.5);
  EXPECT_EQ(*median_heuristic_bandwidths(x), (std::vector<double>{0.875, 1.75, 3.5, 7, 14}));
}

TEST(MedianHeuristic, TakesEvenlySpacedRows) {
  Matrix x(9, 20, 100.0);
  for (const std::size_t b : {0, 3, 6}) std::ranges::fill(x.row(b), static_cast<double>(b));
  EXPECT_NEAR(median_pairwise_distance(x, 3), 3 * std::sqrt(20.0), 1e-12);
}

TEST(MedianHeuristic, IsAbsentWhereTheMedianIsZeroOrNotFinite) {
  EXPECT_FALSE(median_heuristic_bandwidths(Matrix(5, 2, 1.0)).has_value());
  EXPECT_FALSE(median_heuristic_bandwidths(with_value(normal(5, 2, 1), 0, 0, kNan)).has_value());
  EXPECT_TRUE(std::isnan(median_pairwise_distance(with_value(normal(5, 2, 1), 0, 0, kInfinity))));
  EXPECT_THROW(median_pairwise_distance(Matrix(1, 2)), InvalidArgument);
  EXPECT_THROW(median_pairwise_distance(Matrix(4, 2), 1), InvalidArgument);
}

RC_GTEST_PROP(Mmd, IsSymmetricAndBlindToOrderTranslationAndReflection, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1000000);
  const auto d = *rc::gen::inRange<std::size_t>(1, 24);
  const Matrix x = normal(*rc::gen::inRange<std::size_t>(2, 40), d, seed);
  const Matrix y = normal(*rc::gen::inRange<std::size_t>(2, 40), d, seed + 1, 0.5);
  const double value = mmd_squared(x, y, kHalving).value;
  RC_ASSERT(std::abs(mmd_squared(y, x, kHalving).value - value) < 1e-12);
  RC_ASSERT(std::abs(mmd_squared(with_rows_reversed(x), y, kHalving).value - value) < 1e-12);
  RC_ASSERT(std::abs(mmd_squared(translated(x, 3), translated(y, 3), kHalving).value - value) < 1e-12);
  RC_ASSERT(std::abs(mmd_squared(with_signs_flipped(x), with_signs_flipped(y), kHalving).value - value) < 1e-12);
}

TEST(Mmd, HasTheSameBitsWithAnyNumberOfThreads) {
  const Matrix x = normal(600, 25, 1);
  const Matrix y = normal(450, 25, 2);
  for (const auto& bandwidths : {kHalving, kUneven})
    expect_same_bits_with_any_threads([&] {
      const auto r = mmd_squared(x, y, bandwidths);
      return std::vector<double>{r.value, r.standard_error};
    });
}

TEST(Mmd, OfANonFiniteSampleIsNan) {
  for (const double bad : {kNan, kInfinity}) {
    const auto result = mmd_squared(with_value(normal(10, 3, 1), 4, 1, bad), normal(10, 3, 2), kHalving);
    EXPECT_TRUE(std::isnan(result.value));
    EXPECT_TRUE(std::isnan(result.standard_error));
  }
}

TEST(Mmd, RefusesWhatCannotBeCompared) {
  const Matrix x = normal(5, 2, 1);
  EXPECT_THROW(MmdSample(Matrix(1, 2), kHalving), InvalidArgument);
  EXPECT_THROW(MmdSample(x, std::vector<double>{}), InvalidArgument);
  EXPECT_THROW(MmdSample(x, std::vector<double>{1, 0}), InvalidArgument);
  EXPECT_THROW(mmd_squared(MmdSample(x, kHalving), MmdSample(x, kUneven)), InvalidArgument);
  EXPECT_THROW(mmd_squared(x, normal(5, 3, 1), kHalving), InvalidArgument);
}

}  // namespace
}  // namespace fslens
