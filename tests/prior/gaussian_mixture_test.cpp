// Gaussian mixtures against densities and conditionals written out in long double.
#include "fslens/prior/gaussian_mixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "fslens/core/parallel.hpp"
#include "prior/mixture_problem.hpp"
#include "prior/random_problem.hpp"

namespace fslens {
namespace {

constexpr double kTolerance = 1e-9;

TEST(GaussianMixture, FieldsAndCovarianceMatchDensitiesWrittenOutForEverySchedule) {
  for (const std::size_t dim : {1u, 2u, 5u}) {
    const MixtureProblem problem(3, dim, 1, 10 + dim);
    for (const NoiseSchedule& schedule : every_schedule())
      for (const double log_snr : {9.0, 3.0, 0.0, -4.0}) {
        const double t = time_of(schedule, log_snr);
        SCOPED_TRACE(testing::Message() << schedule.name() << " t " << t << " d " << dim);
        const Matrix x = problem.states(schedule, t, 6);
        const GaussianMixture::Fields got = problem.prior->fields(schedule, x, t);
        const Matrix covariance = problem.prior->denoiser_covariance(schedule, x, t);
        for (std::size_t b = 0; b < x.rows(); ++b) {
          const naive::State want =
              problem.given(true, false, schedule, t, naive::Vector(x.row(b).begin(), x.row(b).end()));
          const double log_density = static_cast<double>(want.log_density);
          EXPECT_NEAR(got.log_density[b], log_density, kTolerance * std::max(1.0, std::abs(log_density)));
          EXPECT_NEAR(got.variance[b], static_cast<double>(naive::trace(want.covariance)), kTolerance);
          for (std::size_t k = 0; k < 3; ++k)
            EXPECT_NEAR(got.responsibilities(b, k), static_cast<double>(want.responsibility[k]), kTolerance);
          for (std::size_t i = 0; i < dim; ++i) {
            EXPECT_NEAR(got.mean(b, i), static_cast<double>(want.mean[i]), kTolerance);
            for (std::size_t j = 0; j < dim; ++j)
              EXPECT_NEAR(covariance(b, i * dim + j), static_cast<double>(want.covariance[i][j]), kTolerance);
          }
        }
      }
  }
}

TEST(GaussianMixture, OneComponentIsTheGaussianInClosedForm) {
  const double mu = 0.4, v = 0.7, x = -0.9;
  const GaussianMixture gaussian(Matrix(1, 1, mu), {Matrix(1, 1, v)});
  for (const NoiseSchedule& schedule : every_schedule()) {
    const double t = time_of(schedule, 0.7), a = schedule.a(t), s2 = schedule.s2(t);
    const double g = a * a * v + s2, r = x - schedule.shift(t) - a * mu;
    const GaussianMixture::Fields fields = gaussian.fields(schedule, Matrix(1, 1, x), t);
    EXPECT_NEAR(fields.log_density[0], -0.5 * std::log(2.0 * std::numbers::pi * g) - 0.5 * r * r / g, 1e-12);
    EXPECT_NEAR(fields.mean(0, 0), mu + a * v / g * r, 1e-12);
    EXPECT_NEAR(fields.variance[0], s2 * v / g, 1e-12);
    EXPECT_EQ(fields.responsibilities(0, 0), 1.0);
  }
}

// J = (a/s²) C, with J from a five-point stencil of the denoiser.
TEST(GaussianMixtureDenoiser, CovarianceIsTheJacobianOfTheDenoiser) {
  const MixtureProblem problem(4, 3, 1, 21);
  for (const NoiseSchedule& schedule : every_schedule()) {
    const GaussianMixtureDenoiser denoiser(problem.prior, schedule);
    for (const double log_snr : {3.0, 0.0, -3.0}) {
      const double t = time_of(schedule, log_snr), step = 1e-3 * schedule.s(t);
      SCOPED_TRACE(testing::Message() << schedule.name() << " t " << t);
      const Matrix x = problem.states(schedule, t, 5);
      const Matrix covariance = problem.prior->denoiser_covariance(schedule, x, t);
      for (std::size_t j = 0; j < 3; ++j) {
        Matrix slope(5, 3), mean(5, 3);
        for (const auto& [offset, weight] : {std::pair{-2.0, 1.0}, {-1.0, -8.0}, {1.0, 8.0}, {2.0, -1.0}}) {
          Matrix moved = x;
          for (std::size_t b = 0; b < 5; ++b) moved(b, j) += offset * step;
          denoiser.denoise(moved, t, mean);
          for (std::size_t i = 0; i < mean.size(); ++i) slope.values()[i] += weight * mean.values()[i] / (12.0 * step);
        }
        for (std::size_t b = 0; b < 5; ++b)
          for (std::size_t i = 0; i < 3; ++i)
            EXPECT_NEAR(covariance(b, i * 3 + j), schedule.s2(t) / schedule.a(t) * slope(b, i), 1e-8);
      }
    }
  }
}

TEST(GaussianMixture, ConditioningMatchesTheJointLaw) {
  for (const std::size_t dim : {1u, 3u, 6u}) {
    const MixtureProblem problem(3, dim, 2, 70 + dim);
    const ConditionedMixture got = condition(*problem.prior, problem.matrix, problem.bias, problem.noise, problem.y);
    const naive::State want = problem.given(false, true, NoiseSchedule::flow(), 0.5, {});
    EXPECT_NEAR(got.log_evidence, static_cast<double>(want.log_density), 1e-11);
    const std::vector<double> mean = got.posterior.mean();
    const Matrix covariance = got.posterior.covariance();
    for (std::size_t i = 0; i < dim; ++i) {
      EXPECT_NEAR(mean[i], static_cast<double>(want.mean[i]), 1e-11);
      for (std::size_t j = 0; j < dim; ++j)
        EXPECT_NEAR(covariance(i, j), static_cast<double>(want.covariance[i][j]), 1e-11);
    }
    for (std::size_t k = 0; k < 3; ++k)
      EXPECT_NEAR(std::exp(got.posterior.log_weights()[k]), static_cast<double>(want.responsibility[k]), 1e-12);
  }
}

// Noise of 1e-6: the posterior covariance is 1e-12 of the prior's in the measured directions and must stay positive.
TEST(GaussianMixture, ConditioningOnASharpMeasurementStaysPositiveDefinite) {
  const MixtureProblem problem(3, 4, 2, 5);
  Matrix sharp(2, 2);
  sharp(0, 0) = sharp(1, 1) = 1e-12;
  const ConditionedMixture got = condition(*problem.prior, problem.matrix, problem.bias, sharp, problem.y);
  const std::vector<double> mean = got.posterior.mean();
  for (std::size_t j = 0; j < 2; ++j) {
    double fitted = problem.bias[j];
    for (std::size_t i = 0; i < 4; ++i) fitted += problem.matrix(j, i) * mean[i];
    EXPECT_NEAR(fitted, problem.y[j], 1e-9);
  }
}

TEST(GaussianMixture, AComponentWithoutWeightIsAsGoodAsAbsent) {
  const MixtureProblem problem(3, 2, 1, 9);
  const GaussianMixture with(problem.means, problem.covariances, std::vector<double>{1.0, 0.0, 3.0});
  Matrix means(2, 2);
  std::ranges::copy(problem.means.row(0), means.row(0).begin());
  std::ranges::copy(problem.means.row(2), means.row(1).begin());
  const GaussianMixture without(means, {problem.covariances[0], problem.covariances[2]}, std::vector<double>{1.0, 3.0});
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  const Matrix x = problem.states(schedule, 0.2, 8);
  const GaussianMixture::Fields got = with.fields(schedule, x, 0.2), want = without.fields(schedule, x, 0.2);
  for (std::size_t b = 0; b < x.rows(); ++b) {
    EXPECT_NEAR(got.log_density[b], want.log_density[b], 1e-12);
    EXPECT_NEAR(got.mean(b, 1), want.mean(b, 1), 1e-12);
    EXPECT_LT(got.responsibilities(b, 1), 1e-300);
  }
  std::vector<std::size_t> component;
  with.sample(2000, RandomStream(3), 0, component);
  for (const std::size_t k : component) EXPECT_NE(k, 1u);
}

TEST(GaussianMixture, BitsDoNotDependOnTheNumberOfThreads) {
  const MixtureProblem problem(3, 3, 1, 9);
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  const Matrix x = problem.states(schedule, 0.2, 500);
  GaussianMixture::Fields fields_of_one;
  Matrix draws_of_one;
  for (const std::size_t threads : {1u, 2u, 4u}) {
    const ThreadLimit limit(threads);
    const GaussianMixture::Fields fields = problem.prior->fields(schedule, x, 0.2);
    std::vector<std::size_t> component;
    const Matrix draws = problem.prior->sample(500, RandomStream(3), 0, component);
    if (threads == 1) fields_of_one = fields, draws_of_one = draws;
    EXPECT_EQ(fields.log_density, fields_of_one.log_density);
    EXPECT_EQ(fields.variance, fields_of_one.variance);
    EXPECT_TRUE(std::ranges::equal(fields.mean.values(), fields_of_one.mean.values()));
    EXPECT_TRUE(std::ranges::equal(draws.values(), draws_of_one.values()));
  }
}

TEST(GaussianMixture, ARowThatIsNotFiniteSpoilsThatRowOnly) {
  const MixtureProblem problem(3, 3, 1, 9);
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  Matrix x = problem.states(schedule, 0.2, 4);
  const GaussianMixture::Fields clean = problem.prior->fields(schedule, x, 0.2);
  x(1, 0) = std::numeric_limits<double>::quiet_NaN();
  const GaussianMixture::Fields spoiled = problem.prior->fields(schedule, x, 0.2);
  EXPECT_TRUE(std::isnan(spoiled.log_density[1]));
  EXPECT_TRUE(std::isnan(spoiled.variance[1]));
  for (const double value : spoiled.mean.row(1)) EXPECT_TRUE(std::isnan(value));
  for (const std::size_t b : {0u, 2u, 3u}) EXPECT_EQ(spoiled.log_density[b], clean.log_density[b]);
}

}  // namespace
}  // namespace fslens
