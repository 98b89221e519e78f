#include "fslens/metrics/total_variation.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numbers>
#include <numeric>

#include "fslens/core/error.hpp"
#include "metrics/samples.hpp"

namespace fslens {
namespace {

using namespace samples;

std::vector<double> evenly(double first, double last, std::size_t count) {
  std::vector<double> points;
  for (std::size_t i = 0; i < count; ++i)
    points.push_back(first + (last - first) * static_cast<double>(i) / static_cast<double>(count - 1));
  return points;
}

double normal_density(double x, double mean) {
  return std::exp(-0.5 * (x - mean) * (x - mean)) / std::sqrt(2 * std::numbers::pi);
}

TEST(TotalVariation, OfDiscreteLawsIsHalfTheL1Distance) {
  EXPECT_NEAR(total_variation(std::vector{0.5, 0.5, 0.0}, std::vector{0.1, 0.7, 0.2}), 0.4, 1e-15);
  EXPECT_EQ(total_variation(std::vector{1.0, 0.0}, std::vector{0.0, 1.0}), 1.0);
  EXPECT_TRUE(std::isnan(total_variation(std::vector{1.0, kNan}, std::vector{0.0, 1.0})));
}

TEST(TotalVariation, RefusesWhatIsNoDiscreteLaw) {
  const std::vector half = {0.5, 0.5};
  EXPECT_THROW(total_variation(half, std::vector{1.0}), InvalidArgument);
  EXPECT_THROW(total_variation(half, std::vector{1.5, -0.5}), InvalidArgument);
  EXPECT_THROW(total_variation(half, std::vector{0.5, 0.4}), InvalidArgument);
  EXPECT_THROW(total_variation(half, std::vector{0.5, 0.6}), InvalidArgument);
  EXPECT_THROW(total_variation(std::vector<double>{}, std::vector<double>{}), InvalidArgument);
}

RC_GTEST_PROP(TotalVariation, IsAMetricBoundedByOne, ()) {
  const auto size = *rc::gen::inRange<std::size_t>(1, 12);
  const auto law = [&] {
    std::vector<double> weights;
    for (std::size_t k = 0; k < size; ++k) weights.push_back(*rc::gen::inRange(0, 100) + 1e-3);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (double& weight : weights) weight /= sum;
    return weights;
  };
  const auto p = law();
  const auto q = law();
  const auto r = law();
  RC_ASSERT(total_variation(p, p) == 0.0);
  RC_ASSERT(total_variation(p, q) == total_variation(q, p));
  RC_ASSERT(total_variation(p, q) <= 1.0);
  RC_ASSERT(total_variation(p, r) <= total_variation(p, q) + total_variation(q, r) + 1e-15);
}

TEST(HistogramTotalVariation, CountsBinsEdgesAndTheOutside) {
  // Bins [0, 1), [1, 3]: −1 and 3.5 lie outside, 0, ½ in the first, 1 and 3 (the closed end) in the second.
  const Matrix x(6, 1, std::vector<double>{-1, 0, 0.5, 1, 3, 3.5});
  const auto result = histogram_total_variation(x, std::vector{0.5, 0.4}, std::vector{0.0, 1.0, 3.0});
  EXPECT_NEAR(result.outside, 1.0 / 3, 1e-15);
  EXPECT_NEAR(result.value, 0.5 * (std::abs(1.0 / 3 - 0.5) + std::abs(1.0 / 3 - 0.4) + std::abs(1.0 / 3 - 0.1)), 1e-15);
  // The influence is −½, −½, −½, −½, ½, ½ (bins below, bins below, outside above): variance 4/15.
  EXPECT_NEAR(result.standard_error, std::sqrt(4.0 / 15 / 6), 1e-15);
}

TEST(HistogramTotalVariation, OfASortedSampleIsTheSame) {
  // Values on a grid, so that many lie on edges; below, above and on both ends.
  std::vector<double> values;
  for (std::size_t b = 0; b < 500; ++b) values.push_back(0.25 * std::round(4.0 * RandomStream(8).normal(0, b)));
  std::ranges::sort(values);
  const std::vector<double> edges{-1.5, -0.75, -0.1, 0.0, 0.5, 2.0}, probabilities{0.2, 0.2, 0.1, 0.2, 0.25};
  const auto plain = histogram_total_variation(Matrix(values.size(), 1, values), probabilities, edges);
  const auto sorted = sorted_histogram_total_variation(values, probabilities, edges);
  EXPECT_EQ(sorted.value, plain.value);
  EXPECT_EQ(sorted.standard_error, plain.standard_error);
  EXPECT_EQ(sorted.outside, plain.outside);
  EXPECT_GT(plain.outside, 0.01);
  EXPECT_THROW(sorted_histogram_total_variation(values, probabilities, std::vector{0.0, 1.0}), InvalidArgument);
}

TEST(HistogramTotalVariation, IsRowMajorInTwoDimensions) {
  const Matrix x(4, 2, std::vector<double>{0.5, 0.5, 0.5, 2.5, 1.5, 1.5, 9, 1.5});
  const std::vector<double> first = {0, 1, 2};
  const std::vector<double> second = {0, 1, 2, 3};
  // Row-major cells (0,0), (0,2) and (1,1), and one particle outside.
  EXPECT_NEAR(histogram_total_variation(x, std::vector{0.25, 0.0, 0.25, 0.0, 0.25, 0.0}, first, second).value, 0.0,
              1e-15);
  EXPECT_NEAR(histogram_total_variation(x, std::vector{0.25, 0.25, 0.0, 0.0, 0.25, 0.25}, first, second).value, 0.5,
              1e-15);
}

// Uniform bins, exact draws: the expected value is Σ √(p(1 − p)/2πB) = 0.056. A draw moves the statistic by at most
// 1/B, so that by McDiarmid's inequality it is 0.03 off with probability < 2 exp(−2·0.03²·B) = 3e-4: the false-alarm
// rate.
TEST(HistogramTotalVariation, OfAnExactSampleIsItsDocumentedBias) {
  const std::size_t n = 5000;
  const std::size_t bins = 100;
  Matrix x(n, 1);
  for (std::size_t b = 0; b < n; ++b) x(b, 0) = RandomStream(11).uniform(0, b);
  const double p = 0.01;
  const auto result = histogram_total_variation(x, std::vector<double>(bins, p), evenly(0, 1, bins + 1));
  const double bias = 100 * std::sqrt(p * (1 - p) / (2 * std::numbers::pi * static_cast<double>(n)));
  EXPECT_NEAR(result.value, bias, 0.03);
  EXPECT_GT(result.value, 0.02);
}

TEST(HistogramTotalVariation, OfANonFiniteSampleIsNan) {
  const Matrix x(3, 1, std::vector<double>{0.5, kNan, 0.5});
  const auto result = histogram_total_variation(x, std::vector{1.0}, std::vector{0.0, 1.0});
  EXPECT_TRUE(std::isnan(result.value));
  EXPECT_TRUE(std::isnan(result.standard_error));
  EXPECT_TRUE(std::isnan(result.outside));
}

TEST(HistogramTotalVariation, RefusesWrongShapesAndEdges) {
  const Matrix x = normal(5, 1, 1);
  const std::vector edges = {0.0, 1.0, 2.0};
  const std::vector half = {0.5, 0.5};
  EXPECT_THROW(histogram_total_variation(normal(1, 1, 1), half, edges), InvalidArgument);
  EXPECT_THROW(histogram_total_variation(normal(5, 2, 1), half, edges), InvalidArgument);
  EXPECT_THROW(histogram_total_variation(x, std::vector{1.0}, edges), InvalidArgument);
  EXPECT_THROW(histogram_total_variation(x, std::vector{1.5, -0.5}, edges), InvalidArgument);
  EXPECT_THROW(histogram_total_variation(x, std::vector{0.7, 0.7}, edges), InvalidArgument);
  EXPECT_THROW(histogram_total_variation(x, half, std::vector{0.0, 2.0, 1.0}), InvalidArgument);
  EXPECT_THROW(histogram_total_variation(x, half, std::vector{0.0, 1.0, kNan}), InvalidArgument);
  EXPECT_THROW(histogram_total_variation(x, std::vector<double>{}, std::vector{0.0}), InvalidArgument);
}

// TV of N(0, 1) and N(1, 1) is 2Φ(½) − 1.
TEST(DensityTotalVariation, AgreesWithTheClosedFormForGaussians) {
  const std::vector<double> points = evenly(-9, 10, 3801);
  std::vector<double> p;
  std::vector<double> q;
  for (const double x : points) {
    p.push_back(normal_density(x, 0));
    q.push_back(normal_density(x, 1));
  }
  const auto result = density_total_variation(p, q, points);
  EXPECT_NEAR(result.value, std::erf(0.5 / std::numbers::sqrt2), 1e-5);
  EXPECT_NEAR(result.mass_p, 1.0, 1e-12);
  EXPECT_NEAR(result.mass_q, 1.0, 1e-12);
}

TEST(DensityTotalVariation, IsExactForPiecewiseLinearDensitiesOnAnUnevenGrid) {
  const std::vector<double> points = {0.0, 0.5, 2.0};
  const auto result = density_total_variation(std::vector{1.0, 1.0, 0.0}, std::vector{0.0, 1.0, 0.0}, points);
  EXPECT_NEAR(result.mass_p, 0.5 + 0.75, 1e-15);
  EXPECT_NEAR(result.mass_q, 0.25 + 0.75, 1e-15);
  EXPECT_NEAR(result.value, 0.125, 1e-15);
}

TEST(DensityTotalVariation, AgreesWithTheClosedFormInTwoDimensions) {
  const std::vector<double> points0 = evenly(-8, 9, 341);
  const std::vector<double> points1 = evenly(-8, 8, 161);
  Matrix p(points0.size(), points1.size());
  Matrix q(points0.size(), points1.size());
  for (std::size_t i = 0; i < points0.size(); ++i)
    for (std::size_t j = 0; j < points1.size(); ++j) {
      p(i, j) = normal_density(points0[i], 0) * normal_density(points1[j], 0);
      q(i, j) = normal_density(points0[i], 1) * normal_density(points1[j], 0);
    }
  const auto result = density_total_variation(p, q, points0, points1);
  EXPECT_NEAR(result.value, std::erf(0.5 / std::numbers::sqrt2), 1e-3);
  EXPECT_NEAR(result.mass_p, 1.0, 1e-10);
}

TEST(DensityTotalVariation, OfANanIsNanAndOfANegativeDensityAnError) {
  const std::vector<double> points = {0, 1};
  EXPECT_TRUE(std::isnan(density_total_variation(std::vector{1.0, kNan}, std::vector{1.0, 1.0}, points).value));
  EXPECT_THROW(density_total_variation(std::vector{1.0, -1.0}, std::vector{1.0, 1.0}, points), InvalidArgument);
  EXPECT_THROW(density_total_variation(std::vector{1.0}, std::vector{1.0, 1.0}, points), InvalidArgument);
  EXPECT_THROW(density_total_variation(std::vector{1.0}, std::vector{1.0}, std::vector{0.0}), InvalidArgument);
  EXPECT_THROW(density_total_variation(Matrix(2, 3), Matrix(2, 2), points, points), InvalidArgument);
}

}  // namespace
}  // namespace fslens
