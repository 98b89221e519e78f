#include "fslens/samplers/dps.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "fslens/core/error.hpp"
#include "fslens/operators/elementwise.hpp"
#include "fslens/samplers/integrator.hpp"
#include "guidance/gaussian_problem.hpp"
#include "guidance/probing.hpp"

namespace fslens::test {
namespace {

TEST(Dps, IsADdpmStepPlusTheNormalisedGradientStep) {
  const GaussianProblem problem = random_problem(4, 2, NoiseShape::full, 17);
  const auto denoiser = problem.denoiser();
  const double t = 0.5;
  const double u = 0.48;
  Matrix x = states(problem.schedule, t, 6, 4);
  const Matrix before = x;
  Dps(denoiser, problem.likelihood(), {.zeta = 0.9}).step(x, t, u, 7, RandomStream(2));

  Matrix mean(6, 4);
  denoiser->denoise(before, t, mean);
  Matrix expected(6, 4);
  const double variance = ddim_mean(problem.schedule, mean, 1.0, before, t, u, expected);
  draw_step(Matrix(expected), variance, 7, RandomStream(2), 0, expected);
  const Eigen::MatrixXd jacobian = problem.schedule.a(t) / problem.schedule.s2(t) * denoiser->covariance_at(t);
  for (std::size_t b = 0; b < 6; ++b) {
    const Eigen::VectorXd residual =
        problem.y - problem.a * Eigen::Map<const Eigen::VectorXd>(mean.row(b).data(), 4) - problem.bias;
    const Eigen::VectorXd pull = 0.9 / residual.norm() * jacobian.transpose() * problem.a.transpose() * residual;
    for (std::size_t j = 0; j < 4; ++j)
      EXPECT_NEAR(x(b, j), expected(b, j) + pull(static_cast<Eigen::Index>(j)), 1e-12);
  }
}

TEST(Dps, KnowsNeitherTheNoiseLevelNorTheStep) {
  // The gradient step is the same for another Σ_n, and for half the time step.
  GaussianProblem problem = random_problem(3, 2, NoiseShape::scalar, 18);
  const auto pull = [&](double u) {
    Matrix with = states(problem.schedule, 0.5, 3, 3);
    Matrix without = with;
    Matrix mean(3, 3);
    problem.denoiser()->denoise(without, 0.5, mean);
    Dps(problem.denoiser(), problem.likelihood()).step(with, 0.5, u, 0, RandomStream(1));
    draw_step(mean, ddim_mean(problem.schedule, mean, 1.0, without, 0.5, u, mean), 0, RandomStream(1), 0, without);
    for (std::size_t i = 0; i < with.size(); ++i) with.values()[i] -= without.values()[i];
    return with;
  };
  const Matrix first = pull(0.4);
  EXPECT_GT(largest(first), 1e-3);
  EXPECT_LT(largest_difference(first, pull(0.45)), 1e-13);
  problem.noise *= 100.0;
  EXPECT_LT(largest_difference(first, pull(0.4)), 1e-13);
}

TEST(Dps, TakesNonlinearOperatorsAndChecksItsOptions) {
  const auto denoiser = random_problem(2, 1, NoiseShape::scalar, 6).denoiser();
  const auto likelihood = std::make_shared<Likelihood>(std::make_shared<SquareOperator>(2),
                                                       GaussianNoise::scalar(2, 0.5), std::vector<double>{1.0, 2.0});
  const Dps sampler(denoiser, likelihood);
  EXPECT_EQ(sampler.options().zeta, 0.3);
  Matrix x(3, 2, 0.2);
  sampler.step(x, 0.5, 0.4, 0, RandomStream(1));
  for (const double value : x.values()) EXPECT_TRUE(std::isfinite(value));
  EXPECT_THROW(Dps(denoiser, likelihood, {.zeta = -1.0}), InvalidArgument);
  EXPECT_THROW(Dps(nullptr, likelihood), InvalidArgument);
  EXPECT_THROW(Dps(denoiser, nullptr), InvalidArgument);
  Matrix wide(3, 3);
  EXPECT_THROW(sampler.step(wide, 0.5, 0.4, 0, RandomStream(1)), InvalidArgument);
}

}  // namespace
}  // namespace fslens::test
