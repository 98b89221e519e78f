#include "fslens/metrics/intervals.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>

#include "fslens/core/error.hpp"
#include "metrics/samples.hpp"

namespace fslens {
namespace {

using namespace samples;

// P(X ≥ k) for X ~ Binomial(n, p) by the plain sum in long double.
long double binomial_upper_tail(std::size_t k, std::size_t n, long double p) {
  long double sum = 0;
  for (std::size_t j = k; j <= n; ++j)
    sum += std::exp(std::lgamma(n + 1.0L) - std::lgamma(j + 1.0L) - std::lgamma(n - j + 1.0L) + j * std::log(p) +
                    (n - j) * std::log1p(-p));
  return sum;
}

struct BinomialCase {
  std::size_t successes, trials;
  double confidence, low, high;
};

// 40-digit inversions of the regularised incomplete beta function. (0, 20) and (5, 10) are the tabulated
// [0, 0.1684] and [0.1871, 0.8129].
TEST(ClopperPearson, AgreesWithHighPrecisionValues) {
  for (const BinomialCase& c : {BinomialCase{0, 20, 0.95, 0.0, 0.16843347098308534},
                                {20, 20, 0.95, 0.83156652901691466, 1.0},
                                {5, 10, 0.95, 0.18708602844739853, 0.81291397155260147},
                                {1, 10, 0.95, 0.0025285785444617845, 0.44501611702819542},
                                {1, 4096, 0.95, 6.1810863619214954e-6, 0.0013595056306871372},
                                {17, 4096, 0.99, 0.0020162241939953872, 0.0075045808009386338},
                                {2048, 4096, 0.95, 0.48457032117160405, 0.51542967882839595},
                                {4095, 4096, 0.999, 0.99756159627551494, 0.9999998778991672},
                                {300, 20000, 0.95, 0.01336118782177512, 0.016781916785023178},
                                {3, 7, 0.5, 0.25307397577397681, 0.62115155935829263}}) {
    const ConfidenceInterval interval = clopper_pearson(c.successes, c.trials, c.confidence);
    EXPECT_NEAR(interval.low, c.low, 1e-13 + 1e-12 * c.low) << c.successes << " of " << c.trials;
    EXPECT_NEAR(interval.high, c.high, 1e-13 + 1e-12 * c.high) << c.successes << " of " << c.trials;
  }
}

TEST(ClopperPearson, IsEverythingWithoutATrial) {
  const ConfidenceInterval interval = clopper_pearson(0, 0);
  EXPECT_EQ(interval.low, 0.0);
  EXPECT_EQ(interval.high, 1.0);
}

TEST(ClopperPearson, HandlesMillionsOfTrials) {
  const ConfidenceInterval interval = clopper_pearson(500000, 1000000);
  EXPECT_NEAR(interval.high - 0.5, 1.959964 * std::sqrt(0.25 / 1e6), 2e-6);
  EXPECT_NEAR(clopper_pearson(0, 100000000).high, -std::log(0.025) / 1e8, 1e-14);
}

RC_GTEST_PROP(ClopperPearson, HasTheTailsThatDefineIt, ()) {
  const auto n = *rc::gen::inRange<std::size_t>(1, 400);
  const auto k = *rc::gen::inRange<std::size_t>(0, n + 1);
  const double confidence = 0.001 * *rc::gen::inRange(10, 1000);
  const double tail = 0.5 * (1 - confidence);
  const ConfidenceInterval interval = clopper_pearson(k, n, confidence);
  RC_ASSERT(interval.contains(static_cast<double>(k) / static_cast<double>(n)));
  if (k > 0)
    RC_ASSERT(std::abs(binomial_upper_tail(k, n, interval.low) / tail - 1) < 1e-10);
  else
    RC_ASSERT(interval.low == 0.0);
  if (k < n)
    RC_ASSERT(std::abs((1 - binomial_upper_tail(k + 1, n, interval.high)) - tail) < 1e-12);
  else
    RC_ASSERT(interval.high == 1.0);
  const ConfidenceInterval mirrored = clopper_pearson(n - k, n, confidence);
  RC_ASSERT(std::abs(mirrored.low - (1 - interval.high)) < 1e-15);
}

TEST(ClopperPearson, RefusesMoreSuccessesThanTrialsAndSillyConfidences) {
  EXPECT_THROW(clopper_pearson(3, 2), InvalidArgument);
  for (const double confidence : {0.0, 1.0, -1.0, kNan})
    EXPECT_THROW(clopper_pearson(1, 2, confidence), InvalidArgument);
}

TEST(NormalQuantile, AgreesWithHighPrecisionValues) {
  for (const auto& [p, z] : {std::pair{1e-300, -37.047096299361199},
                             {1e-20, -9.2623400897984076},
                             {0.001, -3.0902323061678135},
                             {0.02, -2.0537489106318231},
                             {0.3, -0.52440051270804078},
                             {0.975, 1.9599639845400542}})
    EXPECT_NEAR(normal_quantile(p), z, 1e-14 * std::abs(z)) << p;
  EXPECT_EQ(normal_quantile(0.5), 0.0);
  EXPECT_EQ(normal_quantile(0.0), -kInfinity);
  EXPECT_EQ(normal_quantile(1.0), kInfinity);
  EXPECT_THROW(normal_quantile(-0.1), InvalidArgument);
  EXPECT_THROW(normal_quantile(kNan), InvalidArgument);
}

RC_GTEST_PROP(NormalQuantile, InvertsTheDistributionFunction, ()) {
  const double z = 0.001 * *rc::gen::inRange(-37000, 5000);
  RC_ASSERT(std::abs(normal_quantile(normal_cdf(z)) - z) <
            1e-13 * (1 + std::abs(z)) + 1e-16 * std::exp(0.5 * std::max(z, 0.0) * z) * 3);
}

TEST(GaussianInterval, IsTheQuantileTimesTheError) {
  const ConfidenceInterval interval = gaussian_interval(2.0, 0.5);
  EXPECT_NEAR(interval.low, 2.0 - 0.5 * 1.9599639845400542, 1e-14);
  EXPECT_NEAR(interval.high, 2.0 + 0.5 * 1.9599639845400542, 1e-14);
  EXPECT_TRUE(std::isnan(gaussian_interval(kNan, 0.5).low));
  EXPECT_TRUE(std::isnan(gaussian_interval(1.0, kNan).high));
  EXPECT_THROW(gaussian_interval(1.0, -0.5), InvalidArgument);
  EXPECT_THROW(gaussian_interval(1.0, 0.5, 1.0), InvalidArgument);
}

TEST(SkewedQuantile, IsThatOfAShiftedGamma) {
  // k = 1, γ = 2: an exponential variable less its mean.
  for (const double p : {1e-9, 1e-3, 0.3, 0.5, 0.99, 1 - 1e-6}) {
    const double exact = -std::log1p(-p) - 1.0;
    EXPECT_NEAR(skewed_quantile(p, 2.0), exact, 1e-9 * (1.0 + std::abs(exact))) << p;
    EXPECT_NEAR(skewed_quantile(1.0 - p, -2.0), -exact, 1e-8 * (1.0 + std::abs(exact))) << p;
  }
  // k = 4: P(G > x) = e^-x (1 + x + x²/2 + x³/6).
  const double x = 2.0 * skewed_quantile(1.0 - 3e-5, 1.0) + 4.0;
  EXPECT_NEAR(std::exp(-x) * (1.0 + x * (1.0 + x * (0.5 + x / 6.0))), 3e-5, 1e-11);
}

TEST(SkewedQuantile, IsNormalWithoutSkewnessAndContinuousThere) {
  for (const double p : {1e-5, 0.2, 0.9999}) {
    EXPECT_EQ(skewed_quantile(p, 0.0), normal_quantile(p));
    for (const double sign : {-1.0, 1.0})  // the expansion meets the gamma
      EXPECT_NEAR(skewed_quantile(p, 0.0199999 * sign), skewed_quantile(p, 0.0200001 * sign), 1e-5) << p;
  }
  EXPECT_THROW(skewed_quantile(0.0, 1.0), InvalidArgument);
  EXPECT_THROW(skewed_quantile(1.0, 1.0), InvalidArgument);
}

// A mode of which 100 draws hold one: what a normal law gives one draw in 10^5 a Poisson law gives one in 300.
TEST(SkewedQuantile, HasThePoissonTailOfARareThing) {
  for (const double mean : {0.1, 1.0, 5.0}) {
    const double p = 1e-4, quantile = mean + std::sqrt(mean) * skewed_quantile(1.0 - p, 1.0 / std::sqrt(mean));
    double beyond = 1.0, term = std::exp(-mean);
    for (int k = 0; k <= static_cast<int>(quantile); ++k, term *= mean / k) beyond -= term;
    EXPECT_LT(beyond, 3.0 * p) << mean;
    EXPECT_GT(quantile, mean + std::sqrt(mean) * normal_quantile(1.0 - p)) << mean;
  }
}

TEST(SampleQuantile, InterpolatesOrderStatistics) {
  const std::vector<double> values = {4, 1, 3, 2};
  EXPECT_EQ(sample_quantile(values, 0.0), 1.0);
  EXPECT_EQ(sample_quantile(values, 1.0), 4.0);
  EXPECT_EQ(sample_quantile(values, 0.5), 2.5);
  EXPECT_NEAR(sample_quantile(values, 0.1), 1.3, 1e-15);  // type 7: 1 + 3·0.1 = 1.3
  EXPECT_EQ(sample_quantile(std::vector<double>{7.0}, 0.3), 7.0);
  EXPECT_TRUE(std::isnan(sample_quantile(std::vector<double>{1.0, kNan}, 0.5)));
  EXPECT_EQ(sample_quantile(std::vector<double>{1.0, 2.0, kInfinity}, 0.5), 2.0);
  EXPECT_EQ(sample_quantile(std::vector<double>{kInfinity, 1.0, kInfinity}, 0.75), kInfinity);
  EXPECT_THROW(sample_quantile(std::vector<double>{}, 0.5), InvalidArgument);
  EXPECT_THROW(sample_quantile(values, 1.5), InvalidArgument);
}

RC_GTEST_PROP(SampleQuantile, IsThatOfTheSortedSample, ()) {
  auto values = *rc::gen::nonEmpty(
      rc::gen::container<std::vector<double>>(rc::gen::map(rc::gen::inRange(-50, 50), [](int v) { return 0.1 * v; })));
  const double probability = 0.01 * *rc::gen::inRange(0, 101);
  const double quantile = sample_quantile(values, probability);
  std::ranges::sort(values);
  RC_ASSERT(quantile == sorted_quantile(values, probability));
}

}  // namespace
}  // namespace fslens
