#include "fslens/metrics/pareto_shape.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace fslens {
namespace {

/// The quantiles of a Pareto law with tail exponent 1/k: ratios u^{−k}.
std::vector<double> pareto_log_ratios(std::size_t n, double k) {
  std::vector<double> out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(-k * std::log((static_cast<double>(i) + 0.5) / static_cast<double>(n)));
  return out;
}

TEST(ParetoShape, IsTheTailExponentOfPowerLaws) {
  // The weak prior at ½ weighs 10 against 3 √n = 948 exceedances; the fit to quantiles is closer still.
  for (const double k : {0.2, 0.5, 0.9, 1.4}) EXPECT_NEAR(*pareto_shape(pareto_log_ratios(100000, k)), k, 0.04) << k;
}

TEST(ParetoShape, BoundedRatiosHaveATailThatEnds) {
  std::vector<double> uniform;
  for (int i = 1; i <= 10000; ++i) uniform.push_back(std::log(i / 10000.0));
  EXPECT_LT(*pareto_shape(uniform), -0.5);  // a uniform law is generalised Pareto with k = −1
}

TEST(ParetoShape, DoesNotDependOnTheScaleOfTheRatios) {
  std::vector<double> ratios = pareto_log_ratios(2000, 0.7);
  const double k = *pareto_shape(ratios);
  for (double& ratio : ratios) ratio -= 5000.0;
  EXPECT_NEAR(*pareto_shape(ratios), k, 1e-9);
}

TEST(ParetoShape, IsAbsentWhereThereIsNoTail) {
  EXPECT_FALSE(pareto_shape(std::vector<double>(10, 0.0)).has_value()) << "too few";
  EXPECT_FALSE(pareto_shape(std::vector<double>(1000, -3.0)).has_value()) << "all the same";
  std::vector<double> one(1000, -std::numeric_limits<double>::infinity());
  one[3] = 0.0;
  EXPECT_FALSE(pareto_shape(one).has_value()) << "one ratio";
}

}  // namespace
}  // namespace fslens
