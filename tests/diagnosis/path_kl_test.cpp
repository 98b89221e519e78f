// The path's relative entropy against closed forms, against transitions integrated by brute force, and against what the chain obtains.
#include "fslens/diagnosis/path_kl.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "diagnosis/gaussian_chain.hpp"
#include "diagnosis/samplers.hpp"
#include "fslens/diagnosis/chain_law.hpp"
#include "fslens/diagnosis/diagnose.hpp"
#include "fslens/report/report.hpp"

namespace fslens::test {
namespace {

std::optional<PathKl> path_of(const Problem& problem, const std::string& text) {
  const auto sampler = sampler_of(problem, text);
  const Contestant contestant = make_contestant(problem, parse_sampler_spec(text));
  const auto exact_score = exact_score_sampler(problem, contestant.integrator, contestant.eta);
  SilentObserver observer;
  return path_kl(*problem.lens, {{sampler.get(), exact_score.get()}}, problem.grid, {0, problem.grid.size() - 1}, RandomStream(4), observer)[0];
}

TEST(PathKl, OfAGaussianIsItsClosedForm) {
  const Problem problem = problem_from(kGaussian);
  const LineProblem line;
  for (const char* text : {"lens-sde", "tmpd", "pigdm:r2=flat", "dps-sigma"}) {
    const std::string method = std::string(text).substr(0, std::string(text).find(':'));
    const std::vector<double> expected = line.path_kl(method, problem.grid), exact_score = line.path_kl("lens-sde", problem.grid);
    const PathKl path = *path_of(problem, text);
    ASSERT_EQ(path.total.size(), expected.size());
    EXPECT_NEAR(path.initialisation, expected[0], 1e-9) << text;
    for (std::size_t k = 0; k < expected.size(); ++k) {
      EXPECT_NEAR(path.total[k], expected[k], 1e-5 * (1.0 + expected[k])) << text << " step " << k;
      EXPECT_NEAR(path.discretisation[k], exact_score[k] - exact_score[0], 1e-5 * (1.0 + expected[k])) << text << " step " << k;
      EXPECT_NEAR(path.likelihood[k], expected[k] - exact_score[k], 1e-5 * (1.0 + expected[k])) << text << " step " << k;
    }
  }
}

TEST(PathKl, OfDrawsCoversTheIntegral) {
  // Two copies of the line side by side: twice its path KL, here over 512 draws. 4.5 standard errors, 7e-6 two-sided, twice.
  const Problem plane = problem_from(R"(
[prior]
kind = "gaussian"
mean = [0.5, 0.5]
cov = [[0.6, 0.0], [0.0, 0.6]]
[operator]
kind = "matrix"
matrix = [[1.2, 0.0], [0.0, 1.2]]
bias = [-0.1, -0.1]
[noise]
sigma = 0.25
[measurement]
y = [0.8, 0.8]
[grid]
steps = 60
)");
  const LineProblem line;
  for (const char* text : {"pigdm:r2=flat", "dps-sigma"}) {
    const std::string method = std::string(text).substr(0, std::string(text).find(':'));
    const double expected = 2.0 * line.path_kl(method, plane.grid).back();
    const PathKl path = *path_of(plane, text);
    EXPECT_GT(path.standard_error.back(), 0.0);
    // log det(I + E) from the trace alone: at most ¼ Σ τ² too much.
    double trace_slack = 0.0;
    for (std::size_t k = 0; k + 1 < plane.grid.size(); ++k) {
      const double t = plane.grid[k], u = plane.grid[k + 1], a = line.schedule.a(t), s2 = line.schedule.s2(t);
      const double snr_gain = std::pow(line.schedule.a(u), 2) / line.schedule.s2(u) - a * a / s2;
      const double tau = 2.0 * snr_gain * s2 * line.posterior().variance / line.exact(t).variance;
      trace_slack += 0.25 * tau * tau;
    }
    EXPECT_GE(path.total.back(), expected - 4.5 * path.standard_error.back()) << text;
    EXPECT_LE(path.total.back(), expected + 4.5 * path.standard_error.back() + trace_slack) << text;
  }
}

/// KL(p(x_u | x_t = x, y) ‖ N(mean, v)) of three atoms, the transition a mixture of bridges, by the trapezoid rule.
double transition_kl(const Lens& lens, const Matrix& atoms, double x, double t, double u, double mean, double v) {
  const NoiseSchedule& schedule = lens.schedule();
  const double ratio = schedule.a(t) / schedule.a(u), fresh = 1.0 - ratio * ratio * schedule.s2(u) / schedule.s2(t);
  const double variance = schedule.s2(u) * fresh;
  std::vector<double> weight, centre;
  double sum = 0.0;
  for (std::size_t i = 0; i < atoms.rows(); ++i) {
    const double gap = x - schedule.a(t) * atoms(i, 0);
    weight.push_back(std::exp(lens.log_weights(Measure::posterior)[i] - gap * gap / (2.0 * schedule.s2(t))));
    sum += weight.back();
    centre.push_back(schedule.a(u) * atoms(i, 0) + ratio * schedule.s2(u) / schedule.s2(t) * gap);
  }
  const double sd = std::sqrt(variance), low = std::ranges::min(centre) - 9.0 * sd, high = std::ranges::max(centre) + 9.0 * sd;
  const double h = sd / 20.0;
  double kl = 0.0;
  for (double z = low; z <= high; z += h) {
    double p = 0.0;
    for (std::size_t i = 0; i < centre.size(); ++i)
      p += weight[i] / sum * std::exp(-0.5 * std::pow((z - centre[i]) / sd, 2)) / (sd * std::sqrt(2.0 * std::numbers::pi));
    if (p > 0.0) kl += h * p * (std::log(p) + 0.5 * std::log(2.0 * std::numbers::pi * v) + 0.5 * (z - mean) * (z - mean) / v);
  }
  return kl;
}

TEST(PathKl, StepsAreWhatTheExactTransitionsSay) {
  const Problem problem = problem_from(kThreeAtoms, {"grid.steps=500"});
  const auto sampler = sampler_of(problem, "tmpd");
  const PathKl path = *path_of(problem, "tmpd");
  const Matrix atoms(3, 1, {-1.8, 0.2, 2.2});
  for (const std::size_t k : {100, 300, 400, 450, 480, 498}) {
    const double t = problem.grid[k], u = problem.grid[k + 1], h = problem.lens->schedule().s(t) / 24.0;
    double expected = 0.0;
    for (double x = -6.0; x <= 6.0; x += h) {
      const Matrix state(1, 1, {x});
      const double p = std::exp(problem.lens->fields(state, t).log_posterior_density[0]);
      if (p * h < 1e-12) continue;
      const StepLaw law = *sampler->step_law(state, t, u);
      expected += p * h * transition_kl(*problem.lens, atoms, x, t, u, law.mean[0](0, 0), law.variance);
    }
    EXPECT_NEAR(path.step[k], expected, 0.01 * expected) << "t = " << t;
  }
  EXPECT_LT(path.largest_tau, kMostTau);
}

TEST(PathKl, BoundsWhatTheChainObtainsAtEveryTime) {
  for (const auto& overrides : std::vector<std::vector<std::string>>{{}, {"noise.sigma=0.3", "measurement.y=[-1.8]"}}) {
    const Problem problem = problem_from(kThreeAtoms, overrides);
    for (const char* text : {"lens-sde", "pigdm:r2=flat", "tmpd"}) {
      const PathKl path = *path_of(problem, text);
      SilentObserver observer;
      const ChainLaw law = chain_law(*problem.lens, problem.modes, *sampler_of(problem, text), problem.grid,
                                     recorded_indices(problem.grid.size(), 8), {.tolerance = 5e-3}, observer);
      ASSERT_TRUE(law.at.back().kl.has_value()) << text;
      for (const ChainLawAt& at : law.at) {
        if (!at.kl) continue;
        EXPECT_GE(path.total[at.index] + law.error * (1.0 + *at.kl), *at.kl) << text << " t = " << at.t;
      }
    }
  }
}

/// Ancestral steps have the right variance, so that the approximate likelihood is all that is wrong: the bound is then near what is obtained
/// where most is. Later steps mend some of it, which a bound on paths does not take back.
TEST(PathKl, IsWithinAFactorOfThreeOfTheLargestThatIsObtained) {
  for (const auto& overrides : std::vector<std::vector<std::string>>{{"grid.steps=500"}, {"grid.steps=500", "noise.sigma=0.3", "measurement.y=[-1.8]"}}) {
    std::vector<std::string> all = overrides;
    all.push_back("grid.integrator=ancestral");
    const Problem problem = problem_from(kThreeAtoms, all);
    for (const char* text : {"pigdm:r2=flat", "tmpd"}) {
      const PathKl path = *path_of(problem, text);
      SilentObserver observer;
      const ChainLaw law = chain_law(*problem.lens, problem.modes, *sampler_of(problem, text), problem.grid,
                                     recorded_indices(problem.grid.size(), 32), {.tolerance = 5e-3}, observer);
      double largest = 0.0;
      for (const ChainLawAt& at : law.at) largest = std::max(largest, at.kl.value_or(0.0));
      EXPECT_GE(path.total.back(), largest) << text;
      EXPECT_LE(path.total.back(), 3.0 * largest) << text << ", y = " << problem.likelihood->y()[0];
      EXPECT_LT(path.discretisation.back(), 0.1 * path.total.back()) << text;
    }
  }
}

TEST(PathKl, IsAbsentWhereAStepHasNoNoiseOrIsAMixture) {
  const Problem problem = problem_from(kThreeAtoms);
  EXPECT_FALSE(path_of(problem, "tmpd:integrator=heun").has_value());
  EXPECT_FALSE(path_of(problem, "tmpd:integrator=ddim,eta=0").has_value());
  EXPECT_FALSE(path_of(problem, "tmpd:integrator=exponential").has_value());
  EXPECT_TRUE(path_of(problem, "tmpd:integrator=ddim,eta=0.5").has_value());
}

TEST(MiddleHalf, LiesBetweenTheQuarters) {
  const auto half = middle_half({0.0, 1.0, 3.0, 4.0}, {1.0, 0.8, 0.6, 0.4});
  ASSERT_TRUE(half.has_value());
  EXPECT_NEAR(half->begin, 0.8, 1e-12);
  EXPECT_NEAR(half->end, 0.6, 1e-12);
  EXPECT_EQ(middle_half({2.0, 2.0}, {1.0, 0.5})->begin, 1.0);
  EXPECT_FALSE(middle_half({0.0, 0.0}, {1.0, 0.5}).has_value());
}

Diagnosis diagnosis_of(const std::vector<std::string>& samplers) {
  DiagnoseOptions options;
  for (const std::string& text : samplers) options.samplers.push_back(parse_sampler_spec(text));
  SilentObserver observer;
  return diagnose(problem_from(kThreeAtoms), options, observer);
}

TEST(PathFindings, ModesDepartWhereTheLawDoesAndExactDrawsStay) {
  const Diagnosis diagnosis = diagnosis_of({"exact", "dps-sigma", "pigdm:r2=flat"});
  for (const auto& t : diagnosis.samplers[0].mode_departures) EXPECT_FALSE(t.has_value());
  // By quadrature dps-sigma moves .09 of the weight from the second atom to the first, pigdm .05 to the third.
  EXPECT_TRUE(diagnosis.samplers[1].mode_departures[0].has_value());
  EXPECT_TRUE(diagnosis.samplers[2].mode_departures[2].has_value());
  EXPECT_GT(*diagnosis.samplers[1].mode_departures[0], *diagnosis.samplers[2].mode_departures[2]);
  for (const SamplerDiagnosis& sampler : diagnosis.samplers) {
    ASSERT_EQ(sampler.mode_weight_low.size(), sampler.t.size());
    for (std::size_t i = 0; i < sampler.t.size(); ++i)
      for (std::size_t k = 0; k < 2; ++k) {
        EXPECT_LT(sampler.mode_weight_low[i][k], 0.5);
        EXPECT_GT(sampler.mode_weight_high[i][k], 0.5);
      }
  }
}

TEST(PathFindings, AreReportedAndReadBack) {
  const Diagnosis diagnosis = diagnosis_of({"exact", "tmpd", "tmpd:integrator=heun"});
  const SamplerDiagnosis &exact = diagnosis.samplers[0], &tmpd = diagnosis.samplers[1], &heun = diagnosis.samplers[2];
  EXPECT_FALSE(exact.path_kl || exact.law);
  ASSERT_TRUE(tmpd.path_kl && tmpd.law && tmpd.law->kl && heun.path_kl && heun.law);
  EXPECT_TRUE(tmpd.path_kl->of_chain && tmpd.path_kl->is_bound);
  EXPECT_NEAR(tmpd.path_kl->total, *tmpd.path_kl->initialisation + *tmpd.path_kl->likelihood + *tmpd.path_kl->discretisation, 1e-12);
  EXPECT_FALSE(heun.path_kl->of_chain) << "its own relative entropy is infinite";
  EXPECT_NE(to_text(diagnosis, {.full = true}).find("path KL"), std::string::npos);

  const Diagnosis read = diagnosis_from_json(to_json(diagnosis), "diagnosis.json");
  EXPECT_EQ(read.samplers[1].path_kl->total, tmpd.path_kl->total);
  EXPECT_EQ(read.samplers[1].path_kl->half_begin, tmpd.path_kl->half_begin);
  EXPECT_EQ(read.samplers[1].path_kl->is_bound, tmpd.path_kl->is_bound);
  EXPECT_EQ(read.samplers[1].law->mode_weights, tmpd.law->mode_weights);
  EXPECT_EQ(read.samplers[1].law->kl, tmpd.law->kl);
  EXPECT_EQ(read.samplers[1].mode_departures, tmpd.mode_departures);
  EXPECT_EQ(read.samplers[1].mode_weight_low, tmpd.mode_weight_low);
  EXPECT_EQ(to_text(read, {.full = true}), to_text(diagnosis, {.full = true}));
}

}  // namespace
}  // namespace fslens::test
