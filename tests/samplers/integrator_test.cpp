#include "fslens/samplers/integrator.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "diffusion/analytic_denoisers.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "samplers/affine_kernel.hpp"

namespace fslens::test {
namespace {

const std::vector<Integrator> kIntegrators{Integrator::euler_maruyama, Integrator::ancestral, Integrator::ddim,
                                           Integrator::heun, Integrator::exponential};

std::vector<NoiseSchedule> schedules() {
  return {NoiseSchedule::vp_linear(), NoiseSchedule::vp_discrete(), NoiseSchedule::ve(),
          NoiseSchedule::ou({.sigma = 0.9, .mean = -0.6}), NoiseSchedule::flow()};
}

/// A prior that is one point: its denoiser does not depend on x.
class PointSampler final : public PosteriorSampler {
 public:
  PointSampler(NoiseSchedule schedule, Integrator integrator, double eta)
      : denoiser_(std::move(schedule), Matrix(1, 2, {0.8, -1.3}), {0.0}), integrator_(integrator), eta_(eta) {}
  std::string name() const override { return "point"; }
  double evaluations_per_step() const override { return 1.0; }
  void step(BatchView x, double t, double u, std::uint64_t step, const RandomStream& stream) const override {
    const GuidedMean mean = [this](ConstBatchView state, double time, BatchView out) {
      denoiser_.denoise(state, time, out);
    };
    integrate_step({integrator_, eta_, t, u}, denoiser_.schedule(), mean, x, step, stream);
  }

 private:
  AtomDenoiser denoiser_;
  Integrator integrator_;
  double eta_;
};

TEST(Integrator, OneAncestralStepIsTheBridgeOfAPoint) {
  // x_u given x_t and x_0, by conditioning the Gaussian (x_u, x_t) given x_0: no formula of the kernel is used.
  const double t = 0.8;
  const double u = 0.35;
  const Eigen::Vector2d atom(0.8, -1.3);
  for (const NoiseSchedule& schedule : schedules())
    for (const Integrator integrator : {Integrator::ancestral, Integrator::exponential}) {
      const AffineKernel kernel = probe_kernel(PointSampler(schedule, integrator, 0.0), 2, t, u, 4);
      // x_t = (a/a_u) x_u + …: the covariance of x_u and x_t given x_0 is (a/a_u) s_u².
      const double cross = schedule.a(t) / schedule.a(u) * schedule.s2(u);
      const double gain = cross / schedule.s2(t);
      const double variance = schedule.s2(u) - gain * cross;
      const Eigen::Vector2d mean_u = (schedule.a(u) * atom).array() + schedule.shift(u);
      const Eigen::Vector2d mean_t = (schedule.a(t) * atom).array() + schedule.shift(t);
      const std::string which = schedule.name() + " " + to_string(integrator);
      const double scale = schedule.s(u);
      EXPECT_LT((kernel.k - gain * Eigen::Matrix2d::Identity()).norm(), 1e-12) << which;
      EXPECT_LT((kernel.offset - (mean_u - gain * mean_t)).norm(), 1e-12 * (1.0 + scale)) << which;
      EXPECT_LT((kernel.l * kernel.l.transpose() - variance * Eigen::Matrix2d::Identity()).norm(),
                1e-12 * (1.0 + scale * scale))
          << which;
    }
}

TEST(Integrator, DdimKeepsTheMarginalOfAPointForEveryEta) {
  const double t = 0.7;
  const double u = 0.3;
  for (const NoiseSchedule& schedule : schedules())
    for (const double eta : {0.0, 0.3, 1.0}) {
      const AffineKernel kernel = probe_kernel(PointSampler(schedule, Integrator::ddim, eta), 2, t, u, 0);
      const Eigen::Matrix2d covariance =
          schedule.s2(t) * kernel.k * kernel.k.transpose() + kernel.l * kernel.l.transpose();
      EXPECT_NEAR(covariance(0, 0), schedule.s2(u), 1e-12 * (1.0 + schedule.s2(u))) << schedule.name() << " " << eta;
      EXPECT_EQ(kernel.l.norm() > 1e-9 * schedule.s(u), eta > 0.0) << schedule.name() << " " << eta;
    }
}

TEST(Integrator, AncestralVarianceIsDdpmsUnderAVariancePreservingSchedule) {
  const NoiseSchedule schedule = NoiseSchedule::vp_discrete();
  const double t = 0.5;
  const double u = 0.499;  // one step of the 1000: β̃ = (1 − ᾱ_u)/(1 − ᾱ_t) β
  const AffineKernel kernel = probe_kernel(PointSampler(schedule, Integrator::ancestral, 0.0), 2, t, u, 0);
  const double beta = 1e-4 + (0.02 - 1e-4) * 499.0 / 999.0;
  const double expected = schedule.s2(u) / schedule.s2(t) * beta;
  EXPECT_NEAR((kernel.l * kernel.l.transpose())(0, 0), expected, 1e-9 * expected);
}

TEST(Integrator, EulerMaruyamaIsTheReverseSde) {
  const NoiseSchedule schedule = NoiseSchedule::ou({.sigma = 0.9, .mean = -0.6});
  const RandomStream stream(5);
  const double t = 0.5;
  const double u = 0.45;
  Matrix x(2, 2, {0.1, -0.4, 1.2, 0.7});
  const Matrix before = x;
  PointSampler(schedule, Integrator::euler_maruyama, 0.0).step(x, t, u, 3, stream);
  const double atom[] = {0.8, -1.3};
  for (std::size_t b = 0; b < 2; ++b)
    for (std::size_t j = 0; j < 2; ++j) {
      const double score =
          (std::exp(-t) * atom[j] + (1 - std::exp(-t)) * -0.6 - before(b, j)) / (0.405 * (1 - std::exp(-2 * t)));
      const double drift = (before(b, j) + 0.6) + 0.81 * score;  // −f (x − x̄) + g² score, f = −1
      EXPECT_NEAR(x(b, j), before(b, j) + drift * 0.05 + 0.9 * std::sqrt(0.05) * stream.normal(3, b, j), 1e-13);
    }
}

TEST(Integrator, HeunIsTheTrapezoidOfTheProbabilityFlow) {
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  const double t = 0.6;
  const double u = 0.5;
  Matrix x(1, 2, {0.4, -0.2});
  const Matrix before = x;
  PointSampler(schedule, Integrator::heun, 0.0).step(x, t, u, 0, RandomStream(1));
  const auto velocity = [&](double value, double time, double atom) {
    const double score = (schedule.a(time) * atom - value) / schedule.s2(time);
    return schedule.f(time) * value - 0.5 * schedule.g2(time) * score;
  };
  const double atom[] = {0.8, -1.3};
  for (std::size_t j = 0; j < 2; ++j) {
    const double here = velocity(before(0, j), t, atom[j]);
    const double there = velocity(before(0, j) - 0.1 * here, u, atom[j]);
    EXPECT_NEAR(x(0, j), before(0, j) - 0.05 * (here + there), 1e-13);
  }
}

TEST(Integrator, DeterministicOnesIgnoreTheStream) {
  for (const Integrator integrator : {Integrator::heun, Integrator::ddim}) {
    const PointSampler sampler(NoiseSchedule::vp_linear(), integrator, 0.0);
    Matrix one(3, 2, 0.5);
    Matrix two(3, 2, 0.5);
    sampler.step(one, 0.6, 0.5, 0, RandomStream(1));
    sampler.step(two, 0.6, 0.5, 9, RandomStream(2));
    for (std::size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one.values()[i], two.values()[i]);
  }
}

TEST(Integrator, HasTheSameBitsForEveryNumberOfThreads) {
  for (const Integrator integrator : kIntegrators) {
    const PointSampler sampler(NoiseSchedule::vp_linear(), integrator, 0.7);
    const auto run = [&](std::size_t threads) {
      const ThreadLimit limit(threads);
      Matrix x(517, 2, 0.3);
      sampler.step(x, 0.6, 0.5, 2, RandomStream(4));
      return x;
    };
    const Matrix one = run(1);
    for (const std::size_t threads : {2, 4}) {
      const Matrix many = run(threads);
      for (std::size_t i = 0; i < one.size(); ++i) ASSERT_EQ(one.values()[i], many.values()[i]);
    }
  }
}

TEST(Integrator, RefusesTimesThatDoNotGoBack) {
  for (const Integrator integrator : kIntegrators) {
    const PointSampler sampler(NoiseSchedule::vp_linear(), integrator, 0.0);
    Matrix x(1, 2);
    EXPECT_THROW(sampler.step(x, 0.5, 0.5, 0, RandomStream(1)), InvalidArgument);
    EXPECT_THROW(sampler.step(x, 0.5, 0.0, 0, RandomStream(1)), InvalidArgument);
    EXPECT_THROW(sampler.step(x, 1.5, 0.5, 0, RandomStream(1)), InvalidArgument);
  }
}

TEST(Integrator, NamesRoundTripAndUnknownOnesSuggest) {
  for (const Integrator integrator : kIntegrators) EXPECT_EQ(parse_integrator(to_string(integrator)), integrator);
  EXPECT_EQ(evaluations_per_step(Integrator::heun), 2.0);
  EXPECT_EQ(evaluations_per_step(Integrator::ancestral), 1.0);
  try {
    parse_integrator("huen");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()),
              "unknown integrator 'huen' (did you mean 'heun'?); known: euler-maruyama, ancestral, ddim, heun, "
              "exponential");
  }
}

}  // namespace
}  // namespace fslens::test
