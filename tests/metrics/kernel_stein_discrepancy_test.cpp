#include "fslens/metrics/kernel_stein_discrepancy.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>

#include "fslens/core/error.hpp"
#include "metrics/samples.hpp"

namespace fslens {
namespace {

using namespace samples;
using Point = std::vector<long double>;

Matrix standard_normal_score(const Matrix& x) {
  Matrix score = x;
  for (double& value : score.values()) value = -value;
  return score;
}

long double kernel(const Point& x, const Point& y, const SteinKernelOptions& options) {
  long double q = static_cast<long double>(options.c) * options.c;
  for (std::size_t j = 0; j < x.size(); ++j) q += (x[j] - y[j]) * (x[j] - y[j]);
  return std::pow(q, static_cast<long double>(options.beta));
}

// The Stein kernel from its definition, all derivatives of the kernel by central differences.
double u_by_differences(std::span<const double> xs, std::span<const double> sx, std::span<const double> ys,
                        std::span<const double> sy, const SteinKernelOptions& options) {
  const long double h = 1e-4L;
  const Point x(xs.begin(), xs.end());
  const Point y(ys.begin(), ys.end());
  const auto at = [&](std::size_t j, long double dx, long double dy) {
    Point px = x;
    Point py = y;
    px[j] += dx;
    py[j] += dy;
    return kernel(px, py, options);
  };
  long double u = 0;
  for (std::size_t j = 0; j < x.size(); ++j) {
    u += static_cast<long double>(sx[j]) * sy[j] * kernel(x, y, options);
    u += sx[j] * (at(j, 0, h) - at(j, 0, -h)) / (2 * h);
    u += sy[j] * (at(j, h, 0) - at(j, -h, 0)) / (2 * h);
    u += (at(j, h, h) - at(j, h, -h) - at(j, -h, h) + at(j, -h, -h)) / (4 * h * h);
  }
  return static_cast<double>(u);
}

KernelSteinDiscrepancy naive(const Matrix& x, const Matrix& score, const SteinKernelOptions& options) {
  std::vector<double> means;
  double v = 0;
  const double n = static_cast<double>(x.rows());
  for (std::size_t i = 0; i < x.rows(); ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < x.rows(); ++j) {
      const double u = u_by_differences(x.row(i), score.row(i), x.row(j), score.row(j), options);
      v += u / (n * n);
      sum += j == i ? 0 : u;
    }
    means.push_back(sum / (n - 1));
  }
  const MeanAndError u = mean_and_error(means);
  return {u.mean, v, 2 * u.error};
}

TEST(KernelSteinDiscrepancy, AgreesWithItsDefinitionByDifferences) {
  for (const SteinKernelOptions options : {SteinKernelOptions{}, {.beta = -0.5, .c = 0.7}, {.beta = -0.3, .c = 2.0}})
    for (const auto& [n, d] : {std::array{2, 1}, {40, 2}, {20, 19}}) {
      const Matrix x = normal(n, d, 1, 0.5);
      const Matrix score = normal(n, d, 2);
      const auto expected = naive(x, score, options);
      const auto actual = kernel_stein_discrepancy(x, score, options);
      EXPECT_NEAR(actual.u_statistic, expected.u_statistic, 1e-6) << n << " " << d;
      EXPECT_NEAR(actual.v_statistic, expected.v_statistic, 1e-6) << n << " " << d;
      EXPECT_NEAR(actual.standard_error, expected.standard_error, 1e-6) << n << " " << d;
    }
}

// More than one tile of pairs: u of the whole must be that of the formula in long double, pair by pair.
TEST(KernelSteinDiscrepancy, AgreesWithTheClosedFormOverSeveralTiles) {
  const std::size_t n = 300;
  for (const std::size_t d : {3, 33}) {
    const Matrix x = normal(n, d, 1, 0.5);
    const Matrix score = standard_normal_score(x);
    long double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) {
        if (i == j) continue;
        const long double r2 = squared_distance(x.row(i), x.row(j));
        long double inner = 0;
        for (std::size_t k = 0; k < d; ++k) inner += static_cast<long double>(x(i, k)) * x(j, k);
        // s = −x: s_x·s_y = x·y and (s_y − s_x)·(x − y) = ‖x − y‖²
        sum += inner / std::sqrt(1 + r2) - (r2 - d) / std::pow(1 + r2, 1.5L) - 3 * r2 / std::pow(1 + r2, 2.5L);
      }
    const double expected = static_cast<double>(sum / (n * (n - 1)));
    EXPECT_NEAR(kernel_stein_discrepancy(x, score).u_statistic, expected, 1e-12 * d);
  }
}

// 400 samples of 6 points from the target; the mean must meet 0 within 4 of its errors: false-alarm rate 6e-5.
TEST(KernelSteinDiscrepancy, IsUnbiasedOnTheTarget) {
  std::vector<double> values;
  for (std::uint64_t r = 0; r < 400; ++r) {
    const Matrix x = normal(6, 3, r);
    values.push_back(kernel_stein_discrepancy(x, standard_normal_score(x)).u_statistic);
  }
  const MeanAndError estimate = mean_and_error(values);
  EXPECT_NEAR(estimate.mean, 0.0, 4 * estimate.error);
}

// On the target the standard error is conservative by √2, so that 4 of them are beyond 5 sd: false-alarm rate < 1e-4
// (a weighted sum of χ² has heavier tails than a normal variable). The shifted sample is 20 errors away.
TEST(KernelSteinDiscrepancy, SeesAShiftAndNoneOnTheTarget) {
  const Matrix x = normal(1000, 5, 1);
  const auto on_target = kernel_stein_discrepancy(x, standard_normal_score(x));
  EXPECT_LT(std::abs(on_target.u_statistic), 4 * on_target.standard_error);
  const Matrix y = normal(1000, 5, 1, 0.5);
  const auto shifted = kernel_stein_discrepancy(y, standard_normal_score(y));
  EXPECT_GT(shifted.u_statistic, 10 * shifted.standard_error);
  EXPECT_GT(shifted.v_statistic, shifted.u_statistic);
}

// The sd of 300 values is known to 4 %; the mean standard error must lie within 25 % of it: beyond 6 sd.
TEST(KernelSteinDiscrepancy, HasTheStandardErrorOfItsRepetitions) {
  std::vector<double> values;
  double standard_error = 0;
  for (std::uint64_t r = 0; r < 300; ++r) {
    const Matrix x = normal(150, 2, r, 1.0);
    const auto result = kernel_stein_discrepancy(x, standard_normal_score(x));
    values.push_back(result.u_statistic);
    standard_error += result.standard_error / 300;
  }
  EXPECT_NEAR(standard_error / (mean_and_error(values).error * std::sqrt(300.0)), 1.0, 0.25);
}

RC_GTEST_PROP(KernelSteinDiscrepancy, IsBlindToOrderTranslationAndReflection, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1000000);
  const auto n = *rc::gen::inRange<std::size_t>(2, 40);
  const auto d = *rc::gen::inRange<std::size_t>(1, 24);
  const Matrix x = normal(n, d, seed);
  const Matrix score = normal(n, d, seed + 1);
  const auto result = kernel_stein_discrepancy(x, score);
  const double tolerance = 1e-12 * static_cast<double>(d);
  RC_ASSERT(result.v_statistic > -tolerance);
  const auto close = [&](const KernelSteinDiscrepancy& other) {
    return std::abs(other.u_statistic - result.u_statistic) < tolerance &&
           std::abs(other.v_statistic - result.v_statistic) < tolerance;
  };
  RC_ASSERT(close(kernel_stein_discrepancy(with_rows_reversed(x), with_rows_reversed(score))));
  RC_ASSERT(close(kernel_stein_discrepancy(translated(x, 3), score)));
  RC_ASSERT(close(kernel_stein_discrepancy(with_signs_flipped(x), with_signs_flipped(score))));
}

TEST(KernelSteinDiscrepancy, HasTheSameBitsWithAnyNumberOfThreads) {
  for (const std::size_t d : {2, 25}) {
    const Matrix x = normal(600, d, 1);
    expect_same_bits_with_any_threads([&] {
      const auto r = kernel_stein_discrepancy(x, standard_normal_score(x));
      return std::vector<double>{r.u_statistic, r.v_statistic, r.standard_error};
    });
  }
}

TEST(KernelSteinDiscrepancy, OfANonFiniteSampleOrScoreIsNan) {
  const Matrix x = normal(10, 3, 1);
  EXPECT_TRUE(std::isnan(kernel_stein_discrepancy(with_value(x, 4, 1, kNan), x).u_statistic));
  EXPECT_TRUE(std::isnan(kernel_stein_discrepancy(x, with_value(x, 4, 1, kInfinity)).v_statistic));
  EXPECT_TRUE(std::isnan(kernel_stein_discrepancy(x, with_value(x, 4, 1, kNan)).standard_error));
}

TEST(KernelSteinDiscrepancy, RefusesWrongShapesAndOptions) {
  const Matrix x = normal(10, 3, 1);
  EXPECT_THROW(kernel_stein_discrepancy(Matrix(1, 3), Matrix(1, 3)), InvalidArgument);
  EXPECT_THROW(kernel_stein_discrepancy(x, normal(9, 3, 1)), InvalidArgument);
  EXPECT_THROW(kernel_stein_discrepancy(x, normal(10, 2, 1)), InvalidArgument);
  EXPECT_THROW(kernel_stein_discrepancy(x, x, {.beta = 0.5}), InvalidArgument);
  EXPECT_THROW(kernel_stein_discrepancy(x, x, {.c = 0.0}), InvalidArgument);
}

}  // namespace
}  // namespace fslens
