// The analytic lens against the joint law of (x_t, y), written out in long double.
#include "fslens/lens/gaussian_mixture_lens.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fslens/lens/finite_sample_lens.hpp"
#include "prior/mixture_problem.hpp"
#include "prior/random_problem.hpp"

namespace fslens {
namespace {

void expect_close(std::span<const double> got, const naive::Vector& want, const char* what) {
  double scale = 1.0;
  for (const naive::Real value : want) scale = std::max(scale, static_cast<double>(std::abs(value)));
  for (std::size_t k = 0; k < want.size(); ++k)
    EXPECT_NEAR(got[k], static_cast<double>(want[k]), 1e-9 * scale) << what << " column " << k;
}
void expect_close(double got, naive::Real want, const char* what) {
  expect_close(std::span<const double>(&got, 1), {want}, what);
}

TEST(GaussianMixtureLens, FieldsMatchTheJointLawOfStateAndMeasurement) {
  for (const std::size_t dim : {1u, 2u, 5u}) {
    const MixtureProblem problem(3, dim, 2, 40 + dim);
    const naive::Real evidence = problem.given(false, true, NoiseSchedule::flow(), 0.5, {}).log_density;
    for (const NoiseSchedule& schedule : every_schedule()) {
      const GaussianMixtureLens lens(problem.prior, schedule, problem.likelihood);
      expect_close(lens.log_evidence(), evidence, "log evidence");
      for (const double log_snr : {9.0, 3.0, 0.0, -4.0}) {
        const double t = time_of(schedule, log_snr);
        SCOPED_TRACE(testing::Message() << schedule.name() << " t " << t << " d " << dim);
        const Matrix x = problem.states(schedule, t, 6);
        const LensFields got = lens.fields(x, t);
        for (std::size_t b = 0; b < x.rows(); ++b) {
          const naive::Vector state(x.row(b).begin(), x.row(b).end());
          const naive::State prior = problem.given(true, false, schedule, t, state);
          const naive::State both = problem.given(true, true, schedule, t, state);
          expect_close(got.log_prior_density[b], prior.log_density, "log p_t(x)");
          expect_close(got.log_posterior_density[b], both.log_density - evidence, "log p_t(x | y)");
          expect_close(got.log_likelihood[b], both.log_density - prior.log_density, "log p_t(y | x)");
          expect_close(got.denoiser_mean.row(b), prior.mean, "m");
          expect_close(got.posterior_denoiser_mean.row(b), both.mean, "m given y");
          expect_close(got.denoiser_variance[b], naive::trace(prior.covariance), "Tr C");
          expect_close(got.posterior_denoiser_variance[b], naive::trace(both.covariance), "Tr C given y");
          naive::Vector score;
          for (std::size_t i = 0; i < dim; ++i)
            score.push_back((schedule.a(t) * both.mean[i] + schedule.shift(t) - state[i]) /
                            naive::Real(schedule.s2(t)));
          expect_close(got.posterior_score.row(b), score, "posterior score");
          for (std::size_t i = 0; i < dim; ++i)
            score[i] = schedule.a(t) / naive::Real(schedule.s2(t)) * (both.mean[i] - prior.mean[i]);
          expect_close(got.likelihood_score.row(b), score, "likelihood score");
        }
      }
    }
  }
}

TEST(GaussianMixtureLens, ModeResponsibilitiesAndAssignmentMatchTheJointLaw) {
  const MixtureProblem problem(4, 3, 2, 61);
  const NoiseSchedule schedule = NoiseSchedule::ou({.sigma = 1.1, .mean = 0.7});
  const GaussianMixtureLens lens(problem.prior, schedule, problem.likelihood);
  const ModePartition modes{{1, 0, 1, 0}, {"odd", "even"}};
  const double t = 0.4;
  const Matrix x = problem.states(schedule, t, 12);
  const Matrix prior = lens.mode_responsibilities(x, t, modes, Measure::prior);
  const Matrix posterior = lens.mode_responsibilities(x, t, modes, Measure::posterior);
  const std::vector<std::size_t> assigned = lens.assign(x, t);
  for (std::size_t b = 0; b < x.rows(); ++b) {
    const naive::Vector state(x.row(b).begin(), x.row(b).end());
    const naive::Vector w = problem.given(true, false, schedule, t, state).responsibility;
    const naive::Vector wy = problem.given(true, true, schedule, t, state).responsibility;
    expect_close(prior.row(b), {w[1] + w[3], w[0] + w[2]}, "prior");
    expect_close(posterior.row(b), {wy[1] + wy[3], wy[0] + wy[2]}, "posterior");
    EXPECT_EQ(assigned[b], static_cast<std::size_t>(std::ranges::max_element(w) - w.begin()));
  }
}

TEST(GaussianMixtureLens, AStateThatIsNotFiniteIsAssignedToNoComponent) {
  const MixtureProblem problem(4, 3, 2, 61);
  const GaussianMixtureLens lens(problem.prior, NoiseSchedule::vp_linear(), problem.likelihood);
  Matrix x = problem.states(NoiseSchedule::vp_linear(), 0.4, 4);
  const std::vector<std::size_t> clean = lens.assign(x, 0.4);
  x(1, 2) = std::numeric_limits<double>::quiet_NaN();
  x(3, 0) = std::numeric_limits<double>::infinity();
  EXPECT_EQ(lens.assign(x, 0.4), (std::vector<std::size_t>{clean[0], 4, clean[2], 4}));
}

// Atoms widened to Gaussians of variance 1e-10 change every field by that order only.
TEST(GaussianMixtureLens, TinyCovariancesGiveTheLensOfTheMeans) {
  const RandomProblem problem(12, 3, Measured::correlated, 19);
  Matrix tiny(3, 3);
  for (std::size_t k = 0; k < 3; ++k) tiny(k, k) = 1e-10;
  const auto mixture = std::make_shared<GaussianMixture>(problem.atoms, std::vector<Matrix>(12, tiny), problem.weights);
  for (const NoiseSchedule& schedule : every_schedule()) {
    const GaussianMixtureLens wide(mixture, schedule, problem.likelihood);
    const FiniteSampleLens narrow(problem.prior, schedule, problem.likelihood);
    EXPECT_NEAR(wide.log_evidence(), narrow.log_evidence(), 1e-6);
    EXPECT_NEAR(wide.effective_sample_size(), narrow.effective_sample_size(), 1e-6);
    for (const double log_snr : {3.0, 0.0, -3.0}) {
      const double t = time_of(schedule, log_snr);
      SCOPED_TRACE(testing::Message() << schedule.name() << " t " << t);
      const Matrix x = problem.states(schedule, t, 5, 1);
      const LensFields got = wide.fields(x, t), want = narrow.fields(x, t);
      for (std::size_t b = 0; b < x.rows(); ++b) {
        const double tolerance = 1e-6 * std::max(1.0, 1.0 / schedule.s(t)) * (b + 1 == x.rows() ? 100.0 : 1.0);
        EXPECT_NEAR(got.log_prior_density[b], want.log_prior_density[b], tolerance);
        EXPECT_NEAR(got.log_likelihood[b], want.log_likelihood[b], tolerance);
        EXPECT_NEAR(got.posterior_denoiser_variance[b], want.posterior_denoiser_variance[b], tolerance);
        for (std::size_t k = 0; k < 3; ++k) {
          EXPECT_NEAR(got.posterior_score(b, k), want.posterior_score(b, k), tolerance);
          EXPECT_NEAR(got.denoiser_mean(b, k), want.denoiser_mean(b, k), tolerance);
        }
      }
    }
  }
}

// The scalar Gaussian of the project's published cases: prior N(μ, v0), y = A x + n.
TEST(GaussianMixtureLens, PosteriorVarianceOfAScalarGaussianIsTheClosedForm) {
  const double v0 = 0.6, gain = 1.2, sigma = 0.25, t = 0.2;
  const auto prior = std::make_shared<GaussianMixture>(Matrix(1, 1, 0.5), std::vector<Matrix>{Matrix(1, 1, v0)});
  const auto likelihood = std::make_shared<Likelihood>(std::make_shared<MatrixOperator>(Matrix(1, 1, gain)),
                                                       GaussianNoise::scalar(1, sigma), std::vector<double>{0.8});
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  const GaussianMixtureLens lens(prior, schedule, likelihood);
  const double alpha_bar = schedule.a(t) * schedule.a(t);
  const double variance = schedule.s2(t) + alpha_bar * v0 * sigma * sigma / (gain * gain * v0 + sigma * sigma);
  EXPECT_NEAR(lens.moments(Measure::posterior, t).covariance(0, 0), variance, 1e-12);
  EXPECT_NEAR(lens.moments(Measure::posterior, t).covariance(0, 0), 0.35797, 5e-6);
  EXPECT_NEAR(lens.moments(Measure::posterior, 0.0).mean[0],
              0.5 + v0 * gain / (gain * gain * v0 + sigma * sigma) * (0.8 - gain * 0.5), 1e-12);
  EXPECT_NEAR(lens.log_evidence(),
              -0.5 * std::log(2.0 * std::numbers::pi * (gain * gain * v0 + sigma * sigma)) -
                  0.5 * 0.2 * 0.2 / (gain * gain * v0 + sigma * sigma),
              1e-12);
}

// Component 1 is excluded by y to e^{−1600}, below the smallest double, yet at x_t on it the posterior is made of it:
// component 0 is farther away than that. Weights have to stay logarithms to the end.
TEST(GaussianMixtureLens, KeepsComponentsWhosePosteriorWeightUnderflows) {
  MixtureProblem problem(2, 2, 1, 1);
  Matrix narrow(2, 2);
  narrow(0, 0) = narrow(1, 1) = 0.01;
  problem.means = Matrix(2, 2, std::vector<double>{0.0, 0.0, 8.0, 50.0});
  problem.covariances = {narrow, narrow};
  problem.matrix = Matrix(1, 2, std::vector<double>{1.0, 0.0});
  problem.noise = Matrix(1, 1, 0.01);
  problem.bias = {0.0};
  problem.y = {0.0};
  problem.weights = {0.5, 0.5};
  const auto prior = std::make_shared<GaussianMixture>(problem.means, problem.covariances, problem.weights);
  const auto likelihood = std::make_shared<Likelihood>(std::make_shared<MatrixOperator>(problem.matrix, problem.bias),
                                                       GaussianNoise::full(problem.noise), problem.y);
  const NoiseSchedule schedule = NoiseSchedule::ve();
  const GaussianMixtureLens lens(prior, schedule, likelihood);
  EXPECT_NEAR(lens.log_weights(Measure::posterior)[1], -1600.0, 1e-9);
  const double t = 0.1;
  const Matrix x(1, 2, std::vector<double>{4.0, 50.0});
  const naive::State both = problem.given(true, true, schedule, t, {4.0, 50.0});
  const LensFields got = lens.fields(x, t);
  expect_close(got.posterior_denoiser_mean.row(0), both.mean, "m given y");
  expect_close(got.log_posterior_density[0], both.log_density - naive::Real(lens.log_evidence()), "log p_t(x | y)");
}

}  // namespace
}  // namespace fslens
