#include "fslens/diffusion/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include "fslens/core/error.hpp"

namespace fslens {
namespace {

std::vector<NoiseSchedule> all_schedules() {
  return {NoiseSchedule::vp_linear(), NoiseSchedule::vp_linear({.beta_min = 0.1, .beta_max = 12.0}),
          NoiseSchedule::vp_cosine(), NoiseSchedule::vp_discrete(),
          NoiseSchedule::ve(),        NoiseSchedule::ve({.sigma_min = 0.002, .sigma_max = 80.0, .rho = 7.0}),
          NoiseSchedule::ou(),        NoiseSchedule::ou({.sigma = 0.8, .mean = -1.5}),
          NoiseSchedule::flow()};
}

/// Times inside (0, t_max), none of them a knot of vp-discrete and none where vp-cosine changes branch.
std::vector<double> probe_times(const NoiseSchedule& schedule) {
  std::vector<double> times;
  for (const double fraction : {0.00123, 0.0371, 0.2047, 0.5013, 0.7778, 0.9501, 0.99982})
    times.push_back(fraction * schedule.t_max());
  return times;
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(NoiseSchedule, DriftIsTheLogDerivativeOfTheSignalScale) {
  for (const NoiseSchedule& schedule : all_schedules())
    for (const double t : probe_times(schedule)) {
      const double step = 1e-6 * std::min(t, schedule.t_max() - t);
      const double slope = (std::log(schedule.a(t + step)) - std::log(schedule.a(t - step))) / (2 * step);
      // Rounding of log a: 1e-16 of its size over the step.
      const double rounding = 4e-16 * (1.0 + std::abs(std::log(schedule.a(t)))) / step;
      EXPECT_NEAR(schedule.f(t), slope, 1e-6 * std::abs(slope) + rounding) << schedule.name() << " at " << t;
    }
}

TEST(NoiseSchedule, DiffusionCoefficientSatisfiesItsDefinition) {
  for (const NoiseSchedule& schedule : all_schedules())
    for (const double t : probe_times(schedule)) {
      const double step = 1e-5 * std::min(t, schedule.t_max() - t);
      const double slope = (schedule.s2(t + step) - schedule.s2(t - step)) / (2 * step);  // 2 s s′
      const double expected = slope - 2.0 * schedule.f(t) * schedule.s2(t);
      const double rounding = 4e-16 * schedule.s2(t) / step;
      EXPECT_NEAR(schedule.g2(t), expected, 1e-6 * std::abs(expected) + rounding) << schedule.name() << " at " << t;
    }
}

TEST(NoiseSchedule, LogSnrAgreesWithItsScalesAndStrictlyDecreases) {
  for (const NoiseSchedule& schedule : all_schedules()) {
    double before = INFINITY;
    for (int k = 1; k <= 4000; ++k) {
      const double t = schedule.t_max() * k / 4000.0;
      const double value = schedule.log_snr(t);
      EXPECT_TRUE(std::isfinite(value)) << schedule.name();
      EXPECT_LT(value, before) << schedule.name() << " at " << t;
      EXPECT_NEAR(value, std::log(schedule.a(t) * schedule.a(t) / schedule.s2(t)), 1e-10);
      before = value;
    }
  }
}

TEST(NoiseSchedule, TimeOfLogSnrInvertsLogSnr) {
  for (const NoiseSchedule& schedule : all_schedules())
    for (const double t : probe_times(schedule)) {
      const double low = 1e-4 * schedule.t_max();
      const double found = schedule.time_of_log_snr(schedule.log_snr(t), low, schedule.t_max());
      // The inverse cannot be better than the rounding of log_snr over its slope, which is of order 1/t or steeper.
      EXPECT_NEAR(found, t, 2e-13 * t) << schedule.name() << " at " << t;
    }
}

TEST(NoiseSchedule, TimeOfLogSnrRefusesValuesOutsideTheInterval) {
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  EXPECT_THROW(schedule.time_of_log_snr(schedule.log_snr(0.05), 0.1, 1.0), InvalidArgument);
  EXPECT_THROW(schedule.time_of_log_snr(schedule.log_snr(1.0) - 1.0, 0.1, 1.0), InvalidArgument);
}

TEST(NoiseSchedule, NoiseVarianceIsAccurateRelativelyAsTimeVanishes) {
  // 1 − ᾱ = β_min t (1 + O(t)) at t = 1e-12, where 1.0 − exp(…) would keep two digits.
  const double t = 1e-12;
  const double exponent = 0.01 * t + 0.5 * 19.99 * t * t;
  EXPECT_NEAR(NoiseSchedule::vp_linear().s2(t) / exponent, 1.0, 1e-13);
  EXPECT_NEAR(NoiseSchedule::ou().s2(t) / (2.0 * t), 1.0, 1e-11);
  EXPECT_NEAR(NoiseSchedule::vp_discrete().s2(t) / (-1000.0 * t * std::log1p(-1e-4)), 1.0, 1e-12);
  EXPECT_NEAR(NoiseSchedule::flow().s2(t) / (t * t), 1.0, 1e-15);
  const double theta = 0.5 * std::numbers::pi / 1.008;
  EXPECT_NEAR(NoiseSchedule::vp_cosine().s2(t) / (2.0 * theta * std::tan(theta * 0.008) * t), 1.0, 1e-9);
}

TEST(NoiseSchedule, VpLinearIsItsClosedForm) {
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  const double alpha_bar = std::exp(-0.01 * 0.2 - 0.5 * 19.99 * 0.04);
  EXPECT_NEAR(schedule.a(0.2), std::sqrt(alpha_bar), 1e-15);
  EXPECT_NEAR(schedule.s2(0.2), 1.0 - alpha_bar, 1e-15);
  EXPECT_NEAR(schedule.g2(0.2), 0.01 + 19.99 * 0.2, 1e-14);
  EXPECT_NEAR(schedule.f(0.2), -0.5 * (0.01 + 19.99 * 0.2), 1e-14);
}

TEST(NoiseSchedule, VpCosineIsTheRatioOfSquaredCosinesUntilItsRateIsBounded) {
  const NoiseSchedule schedule = NoiseSchedule::vp_cosine();
  const double half_pi = 0.5 * std::numbers::pi;
  for (const double t : {0.01, 0.3, 0.8, 0.99}) {
    const double expected = std::pow(std::cos((t + 0.008) / 1.008 * half_pi) / std::cos(0.008 / 1.008 * half_pi), 2.0);
    EXPECT_NEAR(schedule.a(t) * schedule.a(t), expected, 1e-14) << t;
  }
  const double bound = -1000.0 * std::log(0.001);
  EXPECT_NEAR(schedule.g2(1.0), bound, 1e-9 * bound);
  EXPECT_LT(schedule.g2(0.999), bound);
  // The branch changes without a jump.
  EXPECT_NEAR(schedule.log_snr(1.0 - 2.9e-4), schedule.log_snr(1.0 - 2.8e-4), 0.08);
}

TEST(NoiseSchedule, VpDiscreteMeetsTheProductOfItsBetasAtEveryKnot) {
  const std::vector<double> betas{0.1, 0.02, 0.3, 0.25};
  const NoiseSchedule schedule = NoiseSchedule::vp_discrete({.betas = betas});
  double product = 1.0;
  for (std::size_t k = 1; k <= betas.size(); ++k) {
    product *= 1.0 - betas[k - 1];
    const double t = static_cast<double>(k) / static_cast<double>(betas.size());
    EXPECT_NEAR(schedule.a(t) * schedule.a(t), product, 1e-15);
    EXPECT_NEAR(schedule.g2(t), -4.0 * std::log1p(-betas[k - 1]), 1e-12) << "a knot's slope is that of its own β";
  }
  const NoiseSchedule ddpm = NoiseSchedule::vp_discrete();
  for (int k = 1; k <= 1000; ++k) {
    const double beta = 1e-4 + (0.02 - 1e-4) * (k - 1) / 999.0;
    EXPECT_NEAR(ddpm.g2(k / 1000.0), -1000.0 * std::log1p(-beta), 1e-9) << k;
  }
}

TEST(NoiseSchedule, VarianceExplodingEndsAtItsSigmas) {
  for (const double rho : {0.0, 7.0}) {
    const NoiseSchedule schedule = NoiseSchedule::ve({.sigma_min = 0.02, .sigma_max = 60.0, .rho = rho});
    EXPECT_EQ(schedule.a(0.4), 1.0);
    EXPECT_EQ(schedule.f(0.4), 0.0);
    EXPECT_NEAR(schedule.s(0.0), 0.02, 1e-15);
    EXPECT_NEAR(schedule.s(1.0), 60.0, 1e-11);
  }
  const NoiseSchedule geometric = NoiseSchedule::ve({.sigma_min = 0.02, .sigma_max = 50.0, .rho = 0.0});
  EXPECT_NEAR(geometric.s(0.5), 1.0, 1e-14);
  const NoiseSchedule karras = NoiseSchedule::ve({.sigma_min = 0.02, .sigma_max = 60.0, .rho = 7.0});
  EXPECT_NEAR(karras.s(0.25), std::pow(0.75 * std::pow(0.02, 1 / 7.0) + 0.25 * std::pow(60.0, 1 / 7.0), 7.0), 1e-12);
}

TEST(NoiseSchedule, OrnsteinUhlenbeckPullsTowardsItsMean) {
  const NoiseSchedule schedule = NoiseSchedule::ou({.sigma = 0.8, .mean = -1.5});
  EXPECT_EQ(schedule.mean(), -1.5);
  EXPECT_EQ(schedule.t_max(), 10.0);
  EXPECT_NEAR(schedule.shift(0.7), (1.0 - std::exp(-0.7)) * -1.5, 1e-15);
  EXPECT_NEAR(schedule.s2(0.7), 0.5 * 0.64 * (1.0 - std::exp(-1.4)), 1e-15);
  EXPECT_NEAR(NoiseSchedule::ou().s2(10.0), 1.0, 1e-8);
  EXPECT_EQ(NoiseSchedule::vp_linear().shift(0.7), 0.0);
}

TEST(NoiseSchedule, FlowStopsShortOfTheTimeWhereNoSignalIsLeft) {
  const NoiseSchedule schedule = NoiseSchedule::flow();
  EXPECT_EQ(schedule.t_max(), 0.999);
  EXPECT_EQ(schedule.a(0.25), 0.75);
  EXPECT_EQ(schedule.s(0.25), 0.25);
  EXPECT_TRUE(std::isfinite(schedule.f(schedule.t_max())));
  EXPECT_THROW(schedule.require_time("t", 1.0), InvalidArgument);
}

TEST(NoiseSchedule, MessagesNameTheOptionItsValueAndTheRule) {
  EXPECT_EQ(message_of([] { NoiseSchedule::vp_linear({.beta_min = 3.0, .beta_max = 2.0}); }),
            "schedule.beta_max = 2: must be >= schedule.beta_min = 3");
  EXPECT_EQ(message_of([] { NoiseSchedule::vp_linear({.beta_min = 0.0, .beta_max = 2.0}); }),
            "schedule.beta_min = 0: must be a finite number > 0");
  EXPECT_EQ(message_of([] { NoiseSchedule::vp_cosine({.offset = 0.01, .max_beta = 1.0}); }),
            "schedule.max_beta = 1: must lie in (0, 1)");
  EXPECT_EQ(message_of([] {
              NoiseSchedule::vp_discrete({.betas = {0.1, 1.5}});
            }),
            "schedule.betas[1] = 1.5: must lie in (0, 1)");
  EXPECT_EQ(message_of([] { NoiseSchedule::ve({.sigma_min = 1.0, .sigma_max = 0.5, .rho = 0.0}); }),
            "schedule.sigma_max = 0.5: must be > schedule.sigma_min = 1");
  EXPECT_EQ(message_of([] { NoiseSchedule::ou({.sigma = -1.0, .mean = 0.0}); }),
            "schedule.sigma = -1: must be a finite number > 0");
  EXPECT_EQ(message_of([] { NoiseSchedule::vp_linear().require_time("grid.t_max", 1.5); }),
            "grid.t_max = 1.5: must lie in (0, 1], the times of schedule 'vp-linear'");
  EXPECT_THROW(NoiseSchedule::vp_linear().require_time("t", NAN), InvalidArgument);
}

}  // namespace
}  // namespace fslens
