#include "fslens/guidance/scheduled_guidance.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "fslens/core/error.hpp"
#include "fslens/guidance/dmps.hpp"
#include "fslens/guidance/dps_sigma.hpp"
#include "fslens/guidance/dps_zeta.hpp"
#include "fslens/guidance/pigdm.hpp"
#include "fslens/guidance/tmpd.hpp"
#include "guidance/gaussian_problem.hpp"
#include "guidance/probing.hpp"

namespace fslens::test {
namespace {

TEST(WeightSchedule, IsLinearInLogSnrAndConstantBeyond) {
  const NoiseSchedule noise = NoiseSchedule::vp_linear();
  const WeightSchedule descending{{0.9, 0.3, 0.05}, {2.0, -1.0, 5.0}};
  const WeightSchedule ascending{{0.05, 0.3, 0.9}, {5.0, -1.0, 2.0}};
  for (const WeightSchedule& schedule : {descending, ascending}) {
    EXPECT_EQ(schedule.at(noise, 1.0), 2.0);
    EXPECT_EQ(schedule.at(noise, 0.9), 2.0);
    EXPECT_EQ(schedule.at(noise, 0.3), -1.0);
    EXPECT_EQ(schedule.at(noise, 0.05), 5.0);
    EXPECT_EQ(schedule.at(noise, 0.01), 5.0);
    const double quarter = 0.25 * noise.log_snr(0.3) + 0.75 * noise.log_snr(0.05);
    EXPECT_NEAR(schedule.at(noise, noise.time_of_log_snr(quarter, 0.05, 0.3)), 0.25 * -1.0 + 0.75 * 5.0, 1e-9);
  }
  EXPECT_EQ((WeightSchedule{{0.4}, {3.0}}.at(noise, 0.2)), 3.0);
}

TEST(WeightSchedule, RefusesWhatIsNoFunctionOfTime) {
  EXPECT_THROW(require_valid({{}, {}}), InvalidArgument);
  EXPECT_THROW(require_valid({{0.5}, {1.0, 2.0}}), InvalidArgument);
  EXPECT_THROW(require_valid({{0.5, 0.5}, {1.0, 2.0}}), InvalidArgument);
  EXPECT_THROW(require_valid({{0.1, 0.5, 0.3}, {1.0, 2.0, 3.0}}), InvalidArgument);
  EXPECT_THROW(require_valid({{0.0, 0.5}, {1.0, 2.0}}), InvalidArgument);
  EXPECT_THROW(require_valid({{0.5}, {std::numeric_limits<double>::quiet_NaN()}}), InvalidArgument);
  const auto guidance = std::make_shared<DpsSigmaGuidance>();
  EXPECT_THROW(ScheduledGuidance(nullptr, 1.0), InvalidArgument);
  EXPECT_THROW(ScheduledGuidance(guidance, std::numeric_limits<double>::infinity()), InvalidArgument);
  EXPECT_THROW(ScheduledGuidance(guidance, 1.0, {{0.5}, {}}), InvalidArgument);
  // Between 0.5 and a time that the noise schedule does not have.
  EXPECT_THROW((WeightSchedule{{2.0, 0.5}, {1.0, 2.0}}.at(NoiseSchedule::vp_linear(), 0.7)), InvalidArgument);
}

/// m + c ζ (m̂ − m), whichever way a method takes to m̂: along rows, by one product, or from its score.
TEST(ScheduledGuidance, WeightsTheLikelihoodScoreOfEveryMethod) {
  const double t = 0.4, factor = 1.7, weight = -0.6;
  for (const std::size_t measurements : {2, 9, 20}) {
    const GaussianProblem problem = random_problem(24, measurements, NoiseShape::scalar, 3);
    const auto denoiser = problem.denoiser();
    const auto likelihood = problem.likelihood();
    const Matrix x = states(problem.schedule, t, 5, 24);
    Matrix mean(5, 24);
    denoiser->denoise(x, t, mean);
    const std::vector<std::shared_ptr<const Guidance>> methods = {
        std::make_shared<DpsSigmaGuidance>(), std::make_shared<DpsZetaGuidance>(), std::make_shared<PigdmGuidance>(),
        std::make_shared<TmpdGuidance>(), std::make_shared<DmpsGuidance>()};
    for (const auto& method : methods) {
      const ScheduledGuidance scheduled(method, factor, {{t}, {weight}});
      Matrix plain(5, 24), weighted(5, 24);
      method->guided_mean(*denoiser, *likelihood, x, t, plain);
      scheduled.guided_mean(*denoiser, *likelihood, x, t, weighted);
      const Matrix score = score_of(*method, *denoiser, *likelihood, x, t), scaled = score_of(scheduled, *denoiser, *likelihood, x, t);
      for (std::size_t b = 0; b < 5; ++b)
        for (std::size_t j = 0; j < 24; ++j) {
          EXPECT_NEAR(weighted(b, j), mean(b, j) + factor * weight * (plain(b, j) - mean(b, j)), 1e-11 * (1.0 + largest(plain)))
              << method->name();
          EXPECT_EQ(scaled(b, j), factor * weight * score(b, j)) << method->name();
        }
      EXPECT_EQ(scheduled.name(), method->name());
      EXPECT_EQ(scheduled.needs_affine(), method->needs_affine());
      EXPECT_EQ(scheduled.evaluations(*likelihood), method->evaluations(*likelihood));
      EXPECT_EQ(scheduled.residual_weight(*denoiser, *likelihood, t).has_value(),
                method->residual_weight(*denoiser, *likelihood, t).has_value());
      EXPECT_FALSE(density_of(scheduled, *denoiser, *likelihood, x, t));
    }
  }
}

}  // namespace
}  // namespace fslens::test
