#include "fslens/metrics/power_law.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "fslens/rng/stream.hpp"
#include "support/expect_invalid.hpp"

namespace fslens {
namespace {

using test::expect_invalid;

const std::vector<double> kSizes = {100, 316, 1000, 3162, 10000, 31623, 100000};

/// errors(n) in pairs f(n) e^{±δ}, whose mean logarithm is that of f and whose spread is known.
template <class F>
std::vector<ErrorLevel> pairs(F&& f, double delta) {
  std::vector<ErrorLevel> levels;
  for (const double n : kSizes) levels.push_back({n, {f(n) * std::exp(delta), f(n) * std::exp(-delta)}});
  return levels;
}

TEST(PowerLaw, RecoversAPlantedRateAndConstant) {
  const PowerLawFit fit = fit_power_law(pairs([](double n) { return 3.0 * std::pow(n, -0.37); }, 0.05));
  EXPECT_NEAR(fit.rate.value, 0.37, 1e-12);
  EXPECT_NEAR(fit.log_constant, std::log(3.0), 1e-11);
  EXPECT_NEAR(fit.bend->value, 0.0, 1e-12);
  EXPECT_FALSE(fit.bends());
  EXPECT_EQ(fit.first, 0u);
  EXPECT_EQ(fit.last, kSizes.size() - 1);
}

// Every level has the variance 2δ² of its logs, δ² of their mean: the error of the slope is δ/√Sxx, with 7 degrees of freedom.
TEST(PowerLaw, ErrorOfTheRateIsThatOfLeastSquares) {
  const double delta = 0.05;
  const PowerLawFit fit = fit_power_law(pairs([](double n) { return std::pow(n, -0.5); }, delta));
  double mean = 0, squares = 0;
  for (const double n : kSizes) mean += std::log(n) / static_cast<double>(kSizes.size());
  for (const double n : kSizes) squares += (std::log(n) - mean) * (std::log(n) - mean);
  EXPECT_NEAR(fit.rate.standard_error, delta / std::sqrt(squares), 1e-14);
  // All spreads are equal, but slopes weigh levels unequally: between 1 and 7.
  EXPECT_GT(fit.rate.degrees_of_freedom, 3.0);
  EXPECT_LT(fit.rate.degrees_of_freedom, 7.0);
}

TEST(PowerLaw, AParabolaInTheLogarithmsIsItsBend) {
  const PowerLawFit fit =
      fit_power_law(pairs([](double n) { return std::exp(-0.5 * std::log(n) + 0.03 * std::log(n) * std::log(n)); }, 0.01));
  EXPECT_NEAR(fit.bend->value, 0.03, 1e-12);
  EXPECT_TRUE(fit.bends());
}

TEST(PowerLaw, LeavesOutSmallSizesBeforeTheLineIsStraight) {
  const auto early = pairs([](double n) { return std::pow(n, -0.5) * (1.0 + 400.0 / n); }, 0.02);
  const PowerLawFit all = fit_power_law(early), tail = fit_power_law_tail(early);
  EXPECT_TRUE(all.bends());
  EXPECT_GT(all.rate.value, 0.6);
  EXPECT_GT(tail.first, 0u);
  EXPECT_FALSE(tail.bends());
  EXPECT_LT(std::abs(tail.rate.value - 0.5), 0.5 * std::abs(all.rate.value - 0.5));
  EXPECT_NEAR(tail.rate.value, fit_power_law(std::vector(early.begin() + static_cast<std::ptrdiff_t>(tail.first), early.end())).rate.value, 1e-12);
  EXPECT_EQ(fit_power_law_tail(early, 7).first, 0u);
}

// 2,000 data sets with log-normal noise whose sd differs from level to level. Number of intervals that miss: Binomial(2000, 0.05) if the
// interval is right, mean 100 and sd 9.7; Welch's approximation is exact to about a fifth of that. [55, 150] has a false-alarm rate below 1e-5.
TEST(PowerLaw, IntervalsCoverTheRateAsOftenAsTheySay) {
  const RandomStream stream(2026);
  int missed = 0;
  for (std::uint64_t set = 0; set < 2000; ++set) {
    std::vector<ErrorLevel> levels;
    for (std::size_t j = 0; j < kSizes.size(); ++j) {
      ErrorLevel level{kSizes[j], {}};
      for (std::size_t r = 0; r < 8; ++r)
        level.errors.push_back(std::pow(kSizes[j], -0.5) * std::exp((j % 2 == 0 ? 0.3 : 0.6) * stream.normal(set, r, j)));
      levels.push_back(level);
    }
    missed += !fit_power_law(levels).rate.interval().contains(0.5);
  }
  EXPECT_GT(missed, 55);
  EXPECT_LT(missed, 150);
}

TEST(PowerLaw, RatioOfErrorsInPairs) {
  const Estimate ratio = log_error_ratio(std::vector{2.0, 6.0, 4.0}, std::vector{1.0, 3.0, 1.0});
  const double mean = (2 * std::log(2.0) + std::log(4.0)) / 3;
  EXPECT_NEAR(ratio.value, mean, 1e-15);
  EXPECT_NEAR(ratio.standard_error, std::log(2.0) / 3.0, 1e-15);  // sd of (0, 0, log 2) is log 2/√3
  EXPECT_EQ(ratio.degrees_of_freedom, 2.0);
}

TEST(PowerLaw, RefusesWhatHasNoLogarithmOrNoSpread) {
  expect_invalid([] { fit_power_law(std::vector<ErrorLevel>{{100, {1, 2}}}); }, {"levels", "at least 2"});
  expect_invalid([] { fit_power_law(std::vector<ErrorLevel>{{100, {1, 2}}, {100, {1, 2}}}); }, {"size", "larger"});
  expect_invalid([] { fit_power_law(std::vector<ErrorLevel>{{100, {1, 2}}, {200, {1}}}); }, {"errors", "at least 2"});
  expect_invalid([] { fit_power_law(std::vector<ErrorLevel>{{100, {1, 2}}, {200, {1, 0}}}); }, {"error", "0 at n = 200", "> 0"});
  expect_invalid([] { fit_power_law(std::vector<ErrorLevel>{{100, {1, 2}}, {200, {1, std::nan("")}}}); }, {"error", "nan"});
  expect_invalid([] { log_error_ratio(std::vector{1.0, 2.0}, std::vector{1.0}); }, {"faster"});
}

TEST(Student, QuantilesAreThoseOfClosedFormsAndTables) {
  EXPECT_NEAR(student_quantile(0.9, 1.0), std::tan(std::numbers::pi * 0.4), 1e-8);  // Cauchy
  const double p = 0.99, root = (2 * p - 1) / std::sqrt(2 * p * (1 - p));           // two degrees of freedom
  EXPECT_NEAR(student_quantile(p, 2.0), root, 1e-8);
  EXPECT_NEAR(student_quantile(0.975, 10.0), 2.228138852, 1e-8);
  EXPECT_NEAR(student_quantile(0.025, 30.0), -2.042272456, 1e-8);
  EXPECT_NEAR(student_quantile(0.975, 1e7), normal_quantile(0.975), 1e-5);
  EXPECT_EQ(student_quantile(0.5, 3.0), 0.0);
  EXPECT_NEAR(student_interval(1.0, 2.0, 10.0).high, 1.0 + 2.0 * 2.228138852, 1e-7);
}

TEST(Student, RefusesWhatIsNoProbabilityOrNoDegree) {
  expect_invalid([] { student_quantile(1.0, 3.0); }, {"p", "(0, 1)"});
  expect_invalid([] { student_quantile(0.9, 0.0); }, {"degrees_of_freedom"});
  expect_invalid([] { student_interval(0.0, -1.0, 3.0); }, {"standard_error"});
}

}  // namespace
}  // namespace fslens
