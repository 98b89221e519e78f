// Exact draws of both lenses: their laws against weights, moments and the martingale of mode responsibilities.
//
// Seeds are fixed, so each test passes or fails for ever. Were seeds drawn afresh, a correct library would fail one
// comparison with probability below 6e-7, and this file (260 comparisons) with probability below 1.6e-4.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "fslens/core/parallel.hpp"
#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "prior/mixture_problem.hpp"
#include "prior/monte_carlo.hpp"
#include "prior/random_problem.hpp"

namespace fslens {
namespace {

constexpr std::size_t kDraws = 40000;

std::unique_ptr<Lens> atoms_lens(const NoiseSchedule& schedule) {
  const RandomProblem problem(41, 3, Measured::projection, 17);
  return std::make_unique<FiniteSampleLens>(problem.prior, schedule, problem.likelihood);
}
std::unique_ptr<Lens> mixture_lens(const NoiseSchedule& schedule) {
  const MixtureProblem problem(4, 3, 2, 23);
  return std::make_unique<GaussianMixtureLens>(problem.prior, schedule, problem.likelihood);
}

class ExactDraws : public testing::TestWithParam<std::unique_ptr<Lens> (*)(const NoiseSchedule&)> {
 protected:
  NoiseSchedule schedule_ = NoiseSchedule::ou({.sigma = 1.2, .mean = -0.6});
  std::unique_ptr<Lens> lens_ = GetParam()(schedule_);
  RandomStream stream_{20260101};
};

TEST_P(ExactDraws, ComponentFrequenciesAreTheWeights) {
  for (const Measure measure : {Measure::prior, Measure::posterior}) {
    const Draws draws = lens_->sample(measure, kDraws, 0.0, stream_);
    std::vector<std::size_t> counts(lens_->num_components());
    std::vector<double> weights;
    for (const std::size_t k : draws.component) ++counts.at(k);
    for (const double log_weight : lens_->log_weights(measure)) weights.push_back(std::exp(log_weight));
    const ChiSquare test = chi_square(counts, weights, static_cast<double>(kDraws));
    ASSERT_GE(test.dof, 1.0);
    EXPECT_LT(test.statistic, chi_square_limit(test.dof)) << test.dof << " degrees of freedom";
    for (std::size_t k = 0; k < counts.size(); ++k)
      EXPECT_TRUE(weights[k] > 0.0 || counts[k] == 0) << "component " << k << " has no weight and was drawn";
  }
}

TEST_P(ExactDraws, MomentsAreThoseOfTheDraws) {
  for (const Measure measure : {Measure::prior, Measure::posterior})
    for (const double t : {0.0, 0.02, 0.4, 3.0}) {
      SCOPED_TRACE(testing::Message() << "t " << t);
      const Moments moments = lens_->moments(measure, t);
      const Draws draws = lens_->sample(measure, kDraws, t, stream_);
      for (std::size_t i = 0; i < lens_->dim(); ++i) {
        const MeanEstimate mean = estimate_mean(column_of(draws.x, i));
        EXPECT_NEAR(mean.mean, moments.mean[i], kFiveSigma * mean.error) << "mean " << i;
        for (std::size_t j = 0; j <= i; ++j) {
          std::vector<double> products;
          for (std::size_t b = 0; b < kDraws; ++b)
            products.push_back((draws.x(b, i) - moments.mean[i]) * (draws.x(b, j) - moments.mean[j]));
          const MeanEstimate covariance = estimate_mean(products);
          EXPECT_NEAR(covariance.mean, moments.covariance(i, j), kFiveSigma * covariance.error) << i << ", " << j;
          EXPECT_EQ(moments.covariance(i, j), moments.covariance(j, i));
        }
      }
    }
}

// E over x_t ~ p_t(· | y) of a mode's posterior responsibility is the mode's weight at every t.
TEST_P(ExactDraws, MeanModeResponsibilityIsTheModeWeightAtEveryTime) {
  ModePartition modes{{}, {"0", "1", "2"}};
  for (std::size_t i = 0; i < lens_->num_components(); ++i) modes.mode_of_component.push_back(i % 3);
  for (const Measure measure : {Measure::prior, Measure::posterior}) {
    const std::vector<double> weights = modes.weights(lens_->log_weights(measure));
    for (const double t : {0.01, 0.1, 0.3, 0.8, 2.0, 6.0}) {
      SCOPED_TRACE(testing::Message() << "t " << t);
      const Draws draws = lens_->sample(measure, kDraws, t, stream_, 3);
      const Matrix responsibilities = lens_->mode_responsibilities(draws.x, t, modes, measure);
      for (std::size_t k = 0; k < 3; ++k) {
        const MeanEstimate mean = estimate_mean(column_of(responsibilities, k));
        EXPECT_NEAR(mean.mean, weights[k], kFiveSigma * mean.error + 1e-12) << "mode " << k;
      }
    }
  }
}

// The martingale has power: responsibilities of the wrong measure leave their band where modes still overlap.
TEST_P(ExactDraws, MeanModeResponsibilityOfTheWrongMeasureIsSeen) {
  ModePartition modes{{}, {"0", "1", "2"}};
  for (std::size_t i = 0; i < lens_->num_components(); ++i) modes.mode_of_component.push_back(i % 3);
  const std::vector<double> weights = modes.weights(lens_->log_weights(Measure::posterior));
  const Draws draws = lens_->sample(Measure::prior, kDraws, 0.8, stream_, 3);
  const Matrix responsibilities = lens_->mode_responsibilities(draws.x, 0.8, modes, Measure::posterior);
  double worst = 0.0;
  for (std::size_t k = 0; k < 3; ++k) {
    const MeanEstimate mean = estimate_mean(column_of(responsibilities, k));
    worst = std::max(worst, std::abs(mean.mean - weights[k]) / mean.error);
  }
  EXPECT_GT(worst, 4.0 * kFiveSigma);
}

// ∇ log p_t has mean 0 under p_t, and so has the posterior's under the posterior.
TEST_P(ExactDraws, ScoresHaveMeanZeroUnderTheirOwnLaw) {
  for (const double t : {0.05, 0.5, 2.0}) {
    const LensFields prior = lens_->fields(lens_->sample(Measure::prior, kDraws, t, stream_).x, t);
    const LensFields posterior = lens_->fields(lens_->sample(Measure::posterior, kDraws, t, stream_).x, t);
    for (std::size_t k = 0; k < lens_->dim(); ++k) {
      const MeanEstimate of_prior = estimate_mean(column_of(prior.prior_score, k));
      const MeanEstimate of_posterior = estimate_mean(column_of(posterior.posterior_score, k));
      EXPECT_NEAR(of_prior.mean, 0.0, kFiveSigma * of_prior.error) << "t " << t;
      EXPECT_NEAR(of_posterior.mean, 0.0, kFiveSigma * of_posterior.error) << "t " << t;
    }
  }
}

TEST_P(ExactDraws, DrawsAtSeveralTimesOfOneStepShareTheirCleanState) {
  const Draws clean = lens_->sample(Measure::posterior, 500, 0.0, stream_, 7);
  const Draws early = lens_->sample(Measure::posterior, 500, 1e-4, stream_, 7);
  const Draws late = lens_->sample(Measure::posterior, 500, 2.0, stream_, 7);
  EXPECT_EQ(clean.component, early.component);
  EXPECT_EQ(clean.component, late.component);
  for (std::size_t b = 0; b < 500; ++b)
    for (std::size_t k = 0; k < lens_->dim(); ++k) {
      const double signal = schedule_.a(1e-4) * clean.x(b, k) + schedule_.shift(1e-4);
      EXPECT_LT(std::abs(early.x(b, k) - signal), 8.0 * schedule_.s(1e-4));
    }
}

TEST_P(ExactDraws, AParticlesDrawDependsOnSeedStepAndParticleAlone) {
  const Draws many = lens_->sample(Measure::prior, 100, 0.5, stream_, 2);
  const Draws few = lens_->sample(Measure::prior, 10, 0.5, stream_, 2);
  for (std::size_t b = 0; b < 10; ++b) EXPECT_TRUE(std::ranges::equal(few.x.row(b), many.x.row(b)));
  const Draws other_step = lens_->sample(Measure::prior, 100, 0.5, stream_, 3);
  const Draws other_seed = lens_->sample(Measure::prior, 100, 0.5, RandomStream(1), 2);
  EXPECT_NE(other_step.component, many.component);
  EXPECT_NE(other_seed.component, many.component);
  for (std::size_t b = 0; b < 100; ++b) {
    EXPECT_NE(other_step.x(b, 0), many.x(b, 0));
    EXPECT_NE(other_seed.x(b, 0), many.x(b, 0));
  }
}

TEST_P(ExactDraws, BitsDoNotDependOnTheNumberOfThreads) {
  ModePartition modes{{}, {"0", "1"}};
  for (std::size_t i = 0; i < lens_->num_components(); ++i) modes.mode_of_component.push_back(i % 2);
  Draws draws_of_one;
  LensFields fields_of_one;
  Matrix modes_of_one;
  for (const std::size_t threads : {1u, 2u, 4u}) {
    const ThreadLimit limit(threads);
    const Draws draws = lens_->sample(Measure::posterior, 3000, 0.2, stream_);
    const LensFields fields = lens_->fields(draws.x, 0.2);
    const Matrix responsibilities = lens_->mode_responsibilities(draws.x, 0.2, modes, Measure::posterior);
    if (threads == 1) draws_of_one = draws, fields_of_one = fields, modes_of_one = responsibilities;
    EXPECT_EQ(draws.component, draws_of_one.component);
    EXPECT_TRUE(std::ranges::equal(draws.x.values(), draws_of_one.x.values()));
    EXPECT_TRUE(std::ranges::equal(fields.posterior_score.values(), fields_of_one.posterior_score.values()));
    EXPECT_TRUE(std::ranges::equal(fields.prior_score.values(), fields_of_one.prior_score.values()));
    EXPECT_EQ(fields.log_likelihood, fields_of_one.log_likelihood);
    EXPECT_EQ(fields.denoiser_variance, fields_of_one.denoiser_variance);
    EXPECT_TRUE(std::ranges::equal(responsibilities.values(), modes_of_one.values()));
  }
}

INSTANTIATE_TEST_SUITE_P(Lenses, ExactDraws, testing::Values(&atoms_lens, &mixture_lens),
                         [](const auto& lens) { return lens.index == 0 ? "atoms" : "mixture"; });

TEST(FiniteSampleLens, DrawsAtTimeZeroAreTheAtomsThemselves) {
  const RandomProblem problem(41, 3, Measured::squares, 17);
  const FiniteSampleLens lens(problem.prior, NoiseSchedule::flow(), problem.likelihood);
  const Draws draws = lens.sample(Measure::posterior, 300, 0.0, RandomStream(4));
  for (std::size_t b = 0; b < 300; ++b)
    EXPECT_TRUE(std::ranges::equal(draws.x.row(b), problem.atoms.row(draws.component[b])));
}

}  // namespace
}  // namespace fslens
