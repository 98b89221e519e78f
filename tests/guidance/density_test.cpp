// The densities that the methods imply: normalised, and with the score as their gradient where they promise it.
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <memory>
#include <numbers>

#include "fslens/guidance/dmps.hpp"
#include "fslens/guidance/dps_sigma.hpp"
#include "fslens/guidance/dps_zeta.hpp"
#include "fslens/guidance/lens_guidance.hpp"
#include "fslens/guidance/pigdm.hpp"
#include "fslens/guidance/tmpd.hpp"
#include "fslens/operators/elementwise.hpp"
#include "guidance/gaussian_problem.hpp"
#include "guidance/probing.hpp"

namespace fslens::test {
namespace {

AtomDenoiser three_atoms(std::size_t dim) {
  Matrix atoms(3, dim);
  RandomStream(8).fill_normal(0, atoms);
  return {NoiseSchedule::vp_linear(), std::move(atoms), {0.0, 0.4, -0.3}};
}

TEST(GuidanceDensity, ScoreIsItsGradientInLinearGaussianProblems) {
  for (const NoiseShape shape : {NoiseShape::scalar, NoiseShape::diagonal, NoiseShape::full})
    for (const NoiseSchedule& schedule : {NoiseSchedule::vp_linear(), NoiseSchedule::ou({.sigma = 1.0, .mean = 0.5})}) {
      const GaussianProblem problem = random_problem(3, 2, shape, 21, schedule);
      const auto denoiser = problem.denoiser();
      const auto likelihood = problem.likelihood();
      for (const double t : {0.08, 0.5}) {
        const Matrix x = states(schedule, t, 4, 3);
        expect_score_is_gradient(DpsSigmaGuidance(), *denoiser, *likelihood, x, t);
        expect_score_is_gradient(PigdmGuidance(), *denoiser, *likelihood, x, t);
        expect_score_is_gradient(PigdmGuidance({.r2 = PigdmVariance::flat}), *denoiser, *likelihood, x, t);
        expect_score_is_gradient(TmpdGuidance(), *denoiser, *likelihood, x, t);
        expect_score_is_gradient(DmpsGuidance(), *denoiser, *likelihood, x, t);
        expect_score_is_gradient(DpsZetaGuidance({.zeta = 0.6, .weight = DpsWeight::none}), *denoiser, *likelihood, x,
                                 t);
        if (shape == NoiseShape::scalar)
          expect_score_is_gradient(DpsZetaGuidance({.zeta = 0.6}), *denoiser, *likelihood, x, t);
      }
    }
}

TEST(GuidanceDensity, ScoreIsItsGradientForAtomsToo) {
  // dps and pigdm differentiate through the denoiser, whatever the prior.
  const GaussianProblem problem = random_problem(3, 2, NoiseShape::scalar, 4);
  const auto likelihood = problem.likelihood();
  const AtomDenoiser denoiser = three_atoms(3);
  for (const double t : {0.25, 0.6}) {
    const Matrix x = states(denoiser.schedule(), t, 5, 3);
    expect_score_is_gradient(DpsSigmaGuidance(), denoiser, *likelihood, x, t, 1e-5);
    expect_score_is_gradient(DpsZetaGuidance(), denoiser, *likelihood, x, t, 1e-5);
    expect_score_is_gradient(PigdmGuidance(), denoiser, *likelihood, x, t, 1e-5);
  }
}

TEST(GuidanceDensity, ScoreIsItsGradientForNonlinearOperators) {
  const auto square = std::make_shared<SquareOperator>(3);
  const Likelihood likelihood(square, GaussianNoise::per_component({0.4, 0.7, 0.5}), {1.0, 0.3, 2.0});
  const Likelihood scalar(square, GaussianNoise::scalar(3, 0.5), {1.0, 0.3, 2.0});
  const AtomDenoiser atoms = three_atoms(3);
  const auto gaussian = random_problem(3, 1, NoiseShape::scalar, 6).denoiser();
  for (const Denoiser* denoiser : std::initializer_list<const Denoiser*>{&atoms, gaussian.get()}) {
    const Matrix x = states(denoiser->schedule(), 0.4, 5, 3);
    expect_score_is_gradient(DpsSigmaGuidance(), *denoiser, likelihood, x, 0.4, 1e-5);
    expect_score_is_gradient(DpsZetaGuidance(), *denoiser, scalar, x, 0.4, 1e-5);
    expect_score_is_gradient(DpsZetaGuidance({.zeta = 0.3, .weight = DpsWeight::none}), *denoiser, likelihood, x, 0.4,
                             1e-5);
  }
}

TEST(GuidanceDensity, TmpdIsTheTrueDensityOfYUnderAGaussianPrior) {
  // log p(y | x_t) = log p_t(x | y) + log p(y) − log p_t(x), all of them Gaussian.
  const auto log_normal = [](const Eigen::VectorXd& r, const Eigen::MatrixXd& s) {
    return -0.5 * (static_cast<double>(r.size()) * std::log(2.0 * std::numbers::pi) + std::log(s.determinant()) +
                   r.dot(s.llt().solve(r)));
  };
  const GaussianProblem problem =
      random_problem(3, 2, NoiseShape::full, 14, NoiseSchedule::ou({.sigma = 1.2, .mean = 1.0}));
  const double t = 0.45;
  const double a = problem.schedule.a(t);
  const Matrix x = states(problem.schedule, t, 6, 3);
  const auto density = density_of(TmpdGuidance(), *problem.denoiser(), *problem.likelihood(), x, t);
  ASSERT_TRUE(density);
  const double evidence = log_normal(problem.y - problem.a * problem.prior_mean - problem.bias,
                                     problem.a * problem.prior_covariance * problem.a.transpose() + problem.noise);
  const Eigen::MatrixXd prior_covariance =
      a * a * problem.prior_covariance + problem.schedule.s2(t) * Eigen::MatrixXd::Identity(3, 3);
  const Eigen::VectorXd prior_mean = (a * problem.prior_mean).array() + problem.schedule.shift(t);
  for (std::size_t b = 0; b < x.rows(); ++b) {
    const Eigen::VectorXd state = Eigen::Map<const Eigen::VectorXd>(x.row(b).data(), 3);
    const double expected = log_normal(state - problem.marginal_mean(t), problem.marginal_covariance(t)) + evidence -
                            log_normal(state - prior_mean, prior_covariance);
    EXPECT_NEAR((*density)[b], expected, 1e-10 * (1.0 + std::abs(expected)));
  }
}

/// ∫ p̃(y | x_t) dy over a square grid around A(m), for one state in one or two measured dimensions.
double total_mass(const Guidance& guidance, const GaussianProblem& problem, double half_width, int cells) {
  const double t = 0.3;
  const auto denoiser = problem.denoiser();
  const Matrix x = states(problem.schedule, t, 1, static_cast<std::size_t>(problem.prior_mean.size()));
  Matrix mean(1, x.cols());
  denoiser->denoise(x, t, mean);
  Matrix centre(1, static_cast<std::size_t>(problem.y.size()));
  problem.likelihood()->forward().apply(mean, centre);
  const double width = 2.0 * half_width / cells;
  const auto place = [&](int i) { return -half_width + (i + 0.5) * width; };
  const bool planar = problem.y.size() == 2;
  double mass = 0.0;
  GaussianProblem moved = problem;
  for (int i = 0; i < cells; ++i)
    for (int j = 0; j < (planar ? cells : 1); ++j) {
      moved.y(0) = centre(0, 0) + place(i);
      if (planar) moved.y(1) = centre(0, 1) + place(j);
      mass += std::exp(guidance.log_likelihood(*denoiser, *moved.likelihood(), x, t, mean)->front()) *
              (planar ? width * width : width);
    }
  return mass;
}

TEST(GuidanceDensity, IsNormalisedInY) {
  const GaussianProblem line = random_problem(2, 1, NoiseShape::scalar, 31);
  const GaussianProblem plane = random_problem(2, 2, NoiseShape::scalar, 32);
  for (const GaussianProblem& problem : {line, plane}) {
    EXPECT_NEAR(total_mass(DpsSigmaGuidance(), problem, 3.0, 120), 1.0, 1e-6);
    EXPECT_NEAR(total_mass(PigdmGuidance(), problem, 9.0, 150), 1.0, 1e-6);
    EXPECT_NEAR(total_mass(TmpdGuidance(), problem, 9.0, 150), 1.0, 1e-6);
    EXPECT_NEAR(total_mass(DmpsGuidance(), problem, 15.0, 240), 1.0, 1e-6);
    // e^{−c‖r‖} has a kink at 0 and long tails: the midpoint rule is only good to the square of its cells.
    EXPECT_NEAR(total_mass(DpsZetaGuidance({.zeta = 0.09}), problem, 9.0, 300), 1.0, 5e-3);
    EXPECT_NEAR(total_mass(DpsZetaGuidance({.zeta = 2.0, .weight = DpsWeight::none}), problem, 9.0, 300), 1.0, 5e-3);
  }
}

TEST(GuidanceDensity, IsAbsentWhereTheMethodImpliesNone) {
  const GaussianProblem problem = random_problem(3, 2, NoiseShape::full, 2);
  const auto denoiser = problem.denoiser();
  const auto likelihood = problem.likelihood();
  const Matrix x = states(problem.schedule, 0.3, 2, 3);
  EXPECT_FALSE(density_of(DpsZetaGuidance(), *denoiser, *likelihood, x, 0.3).has_value());
  EXPECT_TRUE(density_of(DpsZetaGuidance({.weight = DpsWeight::none}), *denoiser, *likelihood, x, 0.3).has_value());
  EXPECT_FALSE(density_of(TmpdGuidance({.max_dense = 1}), *denoiser, *likelihood, x, 0.3).has_value());
  EXPECT_FALSE(density_of(ConditionalDenoiserGuidance(problem.posterior_denoiser()), *denoiser, *likelihood, x, 0.3)
                   .has_value());
}

}  // namespace
}  // namespace fslens::test
