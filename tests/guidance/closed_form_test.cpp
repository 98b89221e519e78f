// Every guidance against its formula, written out with dense matrices for a Gaussian prior.
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <functional>
#include <memory>

#include "fslens/core/parallel.hpp"
#include "fslens/guidance/dmps.hpp"
#include "fslens/guidance/dps_sigma.hpp"
#include "fslens/guidance/dps_zeta.hpp"
#include "fslens/guidance/lens_guidance.hpp"
#include "fslens/guidance/pigdm.hpp"
#include "fslens/guidance/tmpd.hpp"
#include "guidance/gaussian_problem.hpp"
#include "guidance/probing.hpp"

namespace fslens::test {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

const std::vector<NoiseShape> kShapes{NoiseShape::scalar, NoiseShape::diagonal, NoiseShape::full};

std::vector<NoiseSchedule> schedules() {
  return {NoiseSchedule::vp_linear(), NoiseSchedule::ve({.sigma_min = 0.05, .sigma_max = 8.0, .rho = 7.0}),
          NoiseSchedule::ou({.sigma = 0.9, .mean = 0.7}), NoiseSchedule::flow()};
}

/// Everything that the formulas of the methods are made of, at one state.
struct Terms {
  VectorXd x;
  double a;
  double s2;
  double shift;
  MatrixXd c;         // Cov[x_0 | x_t]
  MatrixXd jacobian;  // of the denoiser
  VectorXd residual;  // y − A m − b
};

using Formula = std::function<VectorXd(const GaussianProblem&, const Terms&)>;

void expect_formula(const Guidance& guidance, const Formula& formula) {
  std::uint64_t seed = 40;
  for (const NoiseSchedule& schedule : schedules())
    for (const NoiseShape shape : kShapes) {
      const GaussianProblem problem = random_problem(4, 3, shape, ++seed, schedule);
      const auto denoiser = problem.denoiser();
      const auto likelihood = problem.likelihood();
      for (const double t : {0.03, 0.3, 0.9}) {
        const Matrix x = states(schedule, t, 5, 4);
        const Matrix score = score_of(guidance, *denoiser, *likelihood, x, t);
        Matrix mean(5, 4);
        denoiser->denoise(x, t, mean);
        for (std::size_t b = 0; b < 5; ++b) {
          Terms terms{Eigen::Map<const VectorXd>(x.row(b).data(), 4),
                      schedule.a(t),
                      schedule.s2(t),
                      schedule.shift(t),
                      denoiser->covariance_at(t),
                      {},
                      {}};
          terms.jacobian = terms.a / terms.s2 * terms.c;
          terms.residual = problem.y - problem.a * Eigen::Map<const VectorXd>(mean.row(b).data(), 4) - problem.bias;
          const VectorXd expected = formula(problem, terms);
          for (Eigen::Index j = 0; j < 4; ++j)
            EXPECT_NEAR(score(b, static_cast<std::size_t>(j)), expected(j), 1e-11 * (1.0 + expected.norm()))
                << guidance.name() << " " << schedule.name() << " t " << t;
        }
      }
    }
}

TEST(DpsSigmaGuidance, IsItsFormula) {
  expect_formula(DpsSigmaGuidance(), [](const GaussianProblem& p, const Terms& k) -> VectorXd {
    return k.jacobian.transpose() * p.a.transpose() * p.noise.inverse() * k.residual;
  });
}

TEST(DpsZetaGuidance, IsItsFormulaForBothWeights) {
  expect_formula(DpsZetaGuidance({.zeta = 0.7}), [](const GaussianProblem& p, const Terms& k) -> VectorXd {
    return 1.4 / k.residual.norm() * k.jacobian.transpose() * p.a.transpose() * p.noise.inverse() * k.residual;
  });
  expect_formula(DpsZetaGuidance({.zeta = 0.7, .weight = DpsWeight::none}),
                 [](const GaussianProblem& p, const Terms& k) -> VectorXd {
                   return 0.7 / k.residual.norm() * k.jacobian.transpose() * p.a.transpose() * k.residual;
                 });
}

TEST(PigdmGuidance, IsItsFormulaForBothVariances) {
  expect_formula(PigdmGuidance(), [](const GaussianProblem& p, const Terms& k) -> VectorXd {
    const MatrixXd s = k.s2 / (k.a * k.a + k.s2) * p.a * p.a.transpose() + p.noise;
    return k.jacobian.transpose() * p.a.transpose() * s.inverse() * k.residual;
  });
  expect_formula(PigdmGuidance({.r2 = PigdmVariance::flat}), [](const GaussianProblem& p, const Terms& k) -> VectorXd {
    const MatrixXd s = k.s2 / (k.a * k.a) * p.a * p.a.transpose() + p.noise;
    return k.jacobian.transpose() * p.a.transpose() * s.inverse() * k.residual;
  });
}

TEST(TmpdGuidance, IsItsFormula) {
  expect_formula(TmpdGuidance(), [](const GaussianProblem& p, const Terms& k) -> VectorXd {
    const MatrixXd s = p.a * k.c * p.a.transpose() + p.noise;
    return k.jacobian.transpose() * p.a.transpose() * s.inverse() * k.residual;
  });
}

TEST(DmpsGuidance, IsItsFormula) {
  expect_formula(DmpsGuidance(), [](const GaussianProblem& p, const Terms& k) -> VectorXd {
    const MatrixXd s = k.s2 / (k.a * k.a) * p.a * p.a.transpose() + p.noise;
    const VectorXd rescaled = (k.x.array() - k.shift) / k.a;
    return 1.0 / k.a * p.a.transpose() * s.inverse() * (p.y - p.a * rescaled - p.bias);
  });
}

TEST(ConditionalDenoiserGuidance, IsExactWhereTmpdIs) {
  // With a Gaussian prior x_0 given x_t is Gaussian, so that TMPD's projection loses nothing.
  for (const NoiseSchedule& schedule : schedules())
    for (const NoiseShape shape : kShapes) {
      const GaussianProblem problem = random_problem(5, 3, shape, 77, schedule);
      const auto likelihood = problem.likelihood();
      const ConditionalDenoiserGuidance lens(problem.posterior_denoiser());
      for (const double t : {0.05, 0.4, 0.95}) {
        const Matrix x = states(schedule, t, 6, 5);
        const Matrix exact = score_of(lens, *problem.denoiser(), *likelihood, x, t);
        const Matrix tmpd = score_of(TmpdGuidance(), *problem.denoiser(), *likelihood, x, t);
        EXPECT_LT(largest_difference(exact, tmpd), 1e-10 * (1.0 + largest(exact))) << schedule.name() << " " << t;
      }
    }
}

/// −1 / (d/dx) of prior plus likelihood score, in one dimension.
double implied_variance(const Guidance& guidance, const GaussianProblem& problem, double t) {
  const double step = 1.0;  // the score is affine in x: any step gives its slope exactly
  const auto denoiser = problem.denoiser();
  const Matrix x(2, 1, {0.1, 0.1 + step});
  Matrix mean(2, 1);
  denoiser->denoise(x, t, mean);
  const Matrix score = score_of(guidance, *denoiser, *problem.likelihood(), x, t);
  const double a = problem.schedule.a(t);
  const double s2 = problem.schedule.s2(t);
  const double prior_slope = (a * (mean(1, 0) - mean(0, 0)) - step) / s2;
  return -step / (prior_slope + score(1, 0) - score(0, 0));
}

TEST(Guidance, ImpliedPosteriorVariancesAreThePublishedOnes) {
  const GaussianProblem problem = scalar_oracle();
  const double t = 0.2;
  EXPECT_NEAR(problem.marginal_covariance(t)(0, 0), 0.35797, 1e-5);
  EXPECT_NEAR(implied_variance(TmpdGuidance(), problem, t), 0.35797, 1e-5);
  EXPECT_NEAR(implied_variance(ConditionalDenoiserGuidance(problem.posterior_denoiser()), problem, t), 0.35797, 1e-5);
  EXPECT_NEAR(implied_variance(DpsSigmaGuidance(), problem, t), 0.08537, 1e-5);
  EXPECT_NEAR(implied_variance(PigdmGuidance({.r2 = PigdmVariance::flat}), problem, t), 0.45447, 1e-5);
}

TEST(Guidance, ImpliedPosteriorVariancesFollowTheirFormulaAtAllTimes) {
  const GaussianProblem problem = scalar_oracle();
  for (const double t : {0.02, 0.1, 0.5, 1.0}) {
    const double a = problem.schedule.a(t);
    const double s2 = problem.schedule.s2(t);
    const double gamma = a * a * 0.6 + s2;
    const double jacobian = a * 0.6 / gamma;
    const auto variance = [&](double s) { return 1.0 / (1.0 / gamma + 1.44 * jacobian * jacobian / s); };
    EXPECT_NEAR(implied_variance(DpsSigmaGuidance(), problem, t), variance(0.0625), 1e-12);
    EXPECT_NEAR(implied_variance(PigdmGuidance(), problem, t), variance(0.0625 + 1.44 * s2 / (a * a + s2)), 1e-12);
    EXPECT_NEAR(implied_variance(TmpdGuidance(), problem, t), variance(0.0625 + 1.44 * s2 * 0.6 / gamma), 1e-12);
    EXPECT_NEAR(implied_variance(TmpdGuidance(), problem, t), problem.marginal_covariance(t)(0, 0), 1e-12);
  }
}

/// Counts the denoiser's evaluations.
class CountingDenoiser final : public Denoiser {
 public:
  explicit CountingDenoiser(std::shared_ptr<const Denoiser> inner) : inner_(std::move(inner)) {}
  std::size_t dim() const override { return inner_->dim(); }
  const NoiseSchedule& schedule() const override { return inner_->schedule(); }
  void denoise(ConstBatchView x, double t, BatchView mean) const override {
    ++count;
    inner_->denoise(x, t, mean);
  }
  void covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v,
                          BatchView product) const override {
    ++count;
    inner_->covariance_product(x, t, mean, v, product);
  }
  mutable double count = 0;

 private:
  std::shared_ptr<const Denoiser> inner_;
};

TEST(Guidance, GuidedMeanCarriesTheLikelihoodScore) {
  const GaussianProblem problem = random_problem(4, 2, NoiseShape::full, 9);
  const auto likelihood = problem.likelihood();
  const double t = 0.35;
  const Matrix x = states(problem.schedule, t, 7, 4);
  std::vector<std::unique_ptr<Guidance>> methods;
  methods.push_back(std::make_unique<DpsSigmaGuidance>());
  methods.push_back(std::make_unique<DpsZetaGuidance>());
  methods.push_back(std::make_unique<PigdmGuidance>());
  methods.push_back(std::make_unique<TmpdGuidance>());
  methods.push_back(std::make_unique<DmpsGuidance>());
  methods.push_back(std::make_unique<ConditionalDenoiserGuidance>(problem.posterior_denoiser()));
  for (const auto& method : methods) {
    const CountingDenoiser denoiser(problem.denoiser());
    Matrix guided(7, 4);
    method->guided_mean(denoiser, *likelihood, x, t, guided);
    // The lens evaluates the posterior's denoiser once and the prior's not at all.
    EXPECT_EQ(denoiser.count, method->name() == "lens" ? 0.0 : method->evaluations(*likelihood)) << method->name();
    Matrix expected(7, 4);
    denoiser.denoise(x, t, expected);
    const Matrix score = score_of(*method, denoiser, *likelihood, x, t);
    for (std::size_t i = 0; i < expected.size(); ++i)
      expected.values()[i] += problem.schedule.s2(t) / problem.schedule.a(t) * score.values()[i];
    EXPECT_LT(largest_difference(guided, expected), 1e-12 * (1.0 + largest(expected))) << method->name();
  }
}

TEST(Guidance, HasTheSameBitsForEveryNumberOfThreads) {
  const GaussianProblem problem = random_problem(6, 4, NoiseShape::full, 3);
  const auto likelihood = problem.likelihood();
  const auto denoiser = problem.denoiser();
  const Matrix x = states(problem.schedule, 0.4, 333, 6);
  const TmpdGuidance dense;
  const TmpdGuidance iterative({.max_dense = 0});
  const PigdmGuidance pigdm;
  const DpsZetaGuidance zeta;
  for (const Guidance* method : std::initializer_list<const Guidance*>{&dense, &iterative, &pigdm, &zeta}) {
    const auto run = [&](std::size_t threads) {
      const ThreadLimit limit(threads);
      return score_of(*method, *denoiser, *likelihood, x, 0.4);
    };
    const Matrix one = run(1);
    for (const std::size_t threads : {2, 4}) EXPECT_EQ(largest_difference(one, run(threads)), 0.0) << method->name();
  }
}

}  // namespace
}  // namespace fslens::test
