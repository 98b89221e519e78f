// The law of a variance over B exact draws, against closed forms and against draws.
#include "fslens/diagnosis/squared_deviations.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "diagnosis/problems.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/metrics/spread.hpp"

namespace fslens::test {
namespace {

SquaredDeviations deviations_of(const Problem& problem, const Matrix& directions) {
  return {*problem.lens, problem.lens->moments(Measure::posterior, 0.0), directions};
}

TEST(SquaredDeviations, OfAGaussianAreChiSquared) {
  const Problem problem = problem_from(kGaussian);
  const SquaredDeviations deviations = deviations_of(problem, Matrix(1, 1, {1.0}));
  for (const auto& [a, s2] : {std::pair{1.0, 0.0}, {0.8, 0.36}}) {
    // Of a variance with B − 1 degrees of freedom, to second order.
    for (const std::size_t count : {10, 50}) {
      const double freedom = static_cast<double>(count) - 1.0, beyond = 2.0 / (freedom * freedom);
      EXPECT_NEAR(deviations.total(a, s2, count).standard_error, std::sqrt(2.0 / freedom), beyond);
      EXPECT_NEAR(deviations.total(a, s2, count).skewness, std::sqrt(8.0 / freedom), beyond);
    }
    EXPECT_EQ(deviations.along(0, a, s2, 50).standard_error, deviations.total(a, s2, 50).standard_error);
  }
}

TEST(SquaredDeviations, KnowOfAnAtomThatNoDrawHasShown) {
  const Problem problem = problem_from(kThreeAtoms);  // .5, .5, 2e-6
  const VarianceLaw law = deviations_of(problem, Matrix(1, 1, {1.0})).total(1.0, 0.0, 100);
  const SquaredDeviations deviations = deviations_of(problem, Matrix(1, 1, {1.0}));
  EXPECT_NEAR(law.standard_error, std::hypot(std::sqrt(2.0) / 100.0, 0.0022), 1e-4) << "that of the mean, and the third atom's";
  EXPECT_GT(deviations.total(1.0, 0.0, 1000000).skewness, 0.3);
}

/// A sum over d independent coordinates: the skewness is smaller by √d, and positive.
TEST(SquaredDeviations, OfManyDimensionsAreChiSquaredWithAsManyTimesTheFreedom) {
  const Problem problem = problem_from(R"(
[prior]
kind = "gaussian"
mean = [0, 0, 0, 0, 0, 0, 0, 0]
cov = [[1,0,0,0,0,0,0,0], [0,1,0,0,0,0,0,0], [0,0,1,0,0,0,0,0], [0,0,0,1,0,0,0,0],
       [0,0,0,0,1,0,0,0], [0,0,0,0,0,1,0,0], [0,0,0,0,0,0,1,0], [0,0,0,0,0,0,0,1]]
[operator]
kind = "identity"
[noise]
sigma = 0.5
[measurement]
y = [1, 0, 0, 0, 0, 0, 0, 0]
)");
  const SquaredDeviations deviations = deviations_of(problem, Matrix(1, 8, {1, 0, 0, 0, 0, 0, 0, 0}));
  for (const std::size_t count : {10, 30}) {
    const double freedom = 8.0 * (static_cast<double>(count) - 1.0), beyond = 16.0 / (freedom * freedom);
    EXPECT_NEAR(deviations.total(0.8, 0.36, count).standard_error, std::sqrt(2.0 / freedom), beyond);
    EXPECT_NEAR(deviations.total(0.8, 0.36, count).skewness, std::sqrt(8.0 / freedom), 2.0 * beyond);
  }
}

/// Standard error and skewness of the variance of B draws in the plane, over 4,000 repetitions.
TEST(SquaredDeviations, AreThoseOfDraws) {
  const Problem problem = problem_from(kLabelledPlane, {"noise.sigma=1.0"});
  constexpr std::size_t kRepetitions = 4000, kDraws = 40;
  const Matrix directions(1, 2, {0.6, 0.8});
  const SquaredDeviations deviations = deviations_of(problem, directions);
  const NoiseSchedule& schedule = problem.lens->schedule();
  for (const double t : {0.0, 0.1, 0.4}) {
    const double a = t == 0.0 ? 1.0 : schedule.a(t), s2 = t == 0.0 ? 0.0 : schedule.s2(t);
    const Matrix covariance = problem.lens->moments(Measure::posterior, t).covariance;
    double along = 0.0;
    for (std::size_t i = 0; i < 2; ++i)
      for (std::size_t j = 0; j < 2; ++j) along += directions(0, i) * covariance(i, j) * directions(0, j);
    std::vector<double> total_ratio(kRepetitions), along_ratio(kRepetitions);
    parallel_for(kRepetitions, [&](std::size_t r) {
      const Matrix x = problem.lens->sample(Measure::posterior, kDraws, t, RandomStream(11).child("repetition", r)).x;
      total_ratio[r] = total_variance(x).value / (covariance(0, 0) + covariance(1, 1));
      along_ratio[r] = variance_along(x, directions)[0].value / along;
    });
    const auto expect_law = [&](const std::vector<double>& ratios, const VarianceLaw& law) {
      double mean = 0.0, square = 0.0, cube = 0.0;
      for (const double ratio : ratios) mean += ratio / kRepetitions;
      for (const double ratio : ratios) square += std::pow(ratio - mean, 2) / kRepetitions, cube += std::pow(ratio - mean, 3) / kRepetitions;
      EXPECT_NEAR(mean, 1.0, 5.0 * law.standard_error / std::sqrt(kRepetitions)) << t;
      // The mean of the draws in the place of the exact one costs an order of 1/B.
      EXPECT_NEAR(std::sqrt(square), law.standard_error, 0.1 * law.standard_error) << t;
      EXPECT_NEAR(cube / std::pow(square, 1.5), law.skewness, 0.2) << t;
    };
    expect_law(total_ratio, deviations.total(a, s2, kDraws));
    expect_law(along_ratio, deviations.along(0, a, s2, kDraws));
  }
}

}  // namespace
}  // namespace fslens::test
