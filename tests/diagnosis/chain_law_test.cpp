// The noise-free law of a chain against published mode weights, closed forms and drawn particles.
#include "fslens/diagnosis/chain_law.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "diagnosis/gaussian_chain.hpp"
#include "diagnosis/samplers.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens::test {
namespace {

ChainLaw law_of(const Problem& problem, const std::string& sampler, const ChainLawOptions& options = {}) {
  SilentObserver observer;
  return chain_law(*problem.lens, problem.modes, *sampler_of(problem, sampler), problem.grid,
                   recorded_indices(problem.grid.size(), problem.num_recorded), options, observer);
}

void expect_weights(const ChainLaw& law, const std::vector<double>& published, const std::string& which) {
  for (std::size_t k = 0; k < published.size(); ++k) EXPECT_NEAR(law.assigned_weights[k], published[k], 1e-3) << which << ", mode " << k;
  EXPECT_LE(law.error, 1e-3) << which;
}

// mathematics.md, P3, and tests/oracle/quadrature.py. The last of four decimals, and no worse than 1e-3, is what is published.
TEST(ChainLaw, ThreeAtomsOnTheLeftmostAsPublished) {
  const Problem problem = problem_from(kThreeAtoms, {"grid.steps=500", "noise.sigma=0.3", "measurement.y=[-1.8]"});
  expect_weights(law_of(problem, "pigdm:r2=flat"), {0.9030, 0.0773, 0.0197}, "pigdm");
  expect_weights(law_of(problem, "tmpd"), {0.9833, 0.0167, 0.0000}, "tmpd");
}

TEST(ChainLaw, ThreeAtomsBetweenTwoAsPublished) {
  const Problem problem = problem_from(kThreeAtoms, {"grid.steps=500"});
  expect_weights(law_of(problem, "dps-sigma"), {0.5964, 0.4036, 0.0000}, "dps-sigma");
  expect_weights(law_of(problem, "dps-zeta:zeta=0.3"), {0.5738, 0.4248, 0.0014}, "dps-zeta");
  expect_weights(law_of(problem, "pigdm:r2=flat"), {0.4315, 0.5176, 0.0509}, "pigdm");
  expect_weights(law_of(problem, "tmpd"), {0.4916, 0.5006, 0.0079}, "tmpd");
}

TEST(ChainLaw, OfAGaussianIsItsLinearRecursion) {
  const Problem problem = problem_from(kGaussian);
  const LineProblem line;
  for (const char* method : {"lens-sde", "tmpd", "pigdm:r2=flat", "dps-sigma"}) {
    const ChainLaw law = law_of(problem, method);
    std::size_t compared = 0;
    for (const ChainLawAt& at : law.at) {
      const std::string name = std::string(method).substr(0, std::string(method).find(':'));
      const LineGaussian expected = line.chain(name, problem.grid, at.index), exact = line.exact(at.t);
      EXPECT_NEAR(at.mean[0], expected.mean, 1e-5 * std::sqrt(expected.variance)) << method << " t = " << at.t;
      EXPECT_NEAR(at.variance, expected.variance, 1e-5 * expected.variance) << method << " t = " << at.t;
      // Where the chain is much too narrow some of the exact posterior is beyond all that is known of the chain.
      EXPECT_EQ(at.kl.has_value(), at.exact_outside <= 1e-5);
      if (at.exact_outside < 1e-9) {
        EXPECT_NEAR(*at.kl, gaussian_kl(exact, expected), 1e-3 * (1.0 + *at.kl)) << method << " t = " << at.t;
        ++compared;
      }
      EXPECT_NEAR(at.mass, 1.0, 1e-6);
    }
    EXPECT_GE(compared, law.at.size() / 2) << method;
  }
}

TEST(ChainLaw, OfADeterministicChainIsThePushForward) {
  // The probability flow of a Gaussian is affine: two particles tell what it does to all.
  const Problem problem = problem_from(kGaussian);
  for (const char* text : {"lens-sde:integrator=heun", "tmpd:integrator=ddim,eta=0"}) {
    const auto sampler = sampler_of(problem, text);
    Matrix x(2, 1, {-1.0, 1.0});
    SilentObserver observer;
    const Matrix end = run_sampler(*sampler, problem.grid, x, RandomStream(1), observer).x;
    const double scale = 0.5 * (end(1, 0) - end(0, 0)) * problem.lens->schedule().s(problem.grid.front());
    const ChainLaw law = law_of(problem, text);
    EXPECT_NEAR(law.at.back().mean[0], 0.5 * (end(0, 0) + end(1, 0)), 1e-4 * std::abs(scale)) << text;
    EXPECT_NEAR(law.at.back().variance, scale * scale, 1e-3 * scale * scale) << text;
  }
}

TEST(ChainLaw, OfTheExponentialMidpointHasItsOwnMoments) {
  const Problem problem = problem_from(kGaussian, {"grid.steps=20", "grid.spacing=\"log-snr\""});
  const auto sampler = sampler_of(problem, "lens-sde:integrator=exponential");
  // Affine in x: mean and variance by recursion over what the law of a step says at 0 and 1.
  double mean = 0.0, variance = problem.lens->schedule().s2(problem.grid.front());
  for (std::size_t k = 0; k + 1 < problem.grid.size(); ++k) {
    const StepLaw law = *sampler->step_law(Matrix(2, 1, {0.0, 1.0}), problem.grid[k], problem.grid[k + 1], 0.3);
    double offset = 0.0, slope = 0.0, inner = 0.0;
    for (std::size_t q = 0; q < law.weight.size(); ++q) {
      offset += law.weight[q] * law.mean[q](0, 0);
      slope += law.weight[q] * (law.mean[q](1, 0) - law.mean[q](0, 0));
    }
    for (std::size_t q = 0; q < law.weight.size(); ++q) inner += law.weight[q] * std::pow(law.mean[q](0, 0) - offset, 2);
    mean = slope * mean + offset;
    variance = slope * slope * variance + inner + law.variance;
  }
  const ChainLaw law = law_of(problem, "lens-sde:integrator=exponential");
  EXPECT_NEAR(law.at.back().mean[0], mean, 1e-5);
  EXPECT_NEAR(law.at.back().variance, variance, 1e-5 * variance);
}

TEST(ChainLaw, InThePlaneIsWhatParticlesShow) {
  // 20,000 particles; 4.5 standard errors for three weights and two means: a correct program fails with a probability below 4e-5.
  const Problem problem = problem_from(kLabelledPlane, {"grid.steps=12", "run.record=2", "grid.t_min=0.1", "grid.spacing=\"log-snr\""});
  for (const char* text : {"pigdm:integrator=ancestral", "tmpd:integrator=ancestral"}) {
    const auto sampler = sampler_of(problem, text);
    const ChainLaw law = law_of(problem, text, {.tolerance = 5e-3});
    const RandomStream stream(3);
    SilentObserver observer;
    const Matrix x = run_sampler(*sampler, problem.grid, initial_states(problem.lens->schedule(), problem.grid.front(), 20000, 2, stream),
                                 stream, observer).x;
    const std::vector<std::size_t> component = problem.lens->assign(x, problem.grid.back());
    const double count = static_cast<double>(x.rows());
    for (std::size_t k = 0; k < problem.modes.num_modes(); ++k) {
      const double share = static_cast<double>(std::ranges::count_if(
                               component, [&](std::size_t c) { return problem.modes.mode_of_component[c] == k; })) / count;
      const double p = law.assigned_weights[k];
      EXPECT_NEAR(share, p, 4.5 * std::sqrt(std::max(p * (1.0 - p), 1.0 / count) / count) + law.error) << text << ", mode " << k;
    }
    const ChainLawAt& last = law.at.back();
    double variance = 0.0;
    for (std::size_t j = 0; j < 2; ++j) {
      double mean = 0.0;
      for (std::size_t b = 0; b < x.rows(); ++b) mean += x(b, j) / count;
      EXPECT_NEAR(mean, last.mean[j], 4.5 * std::sqrt(last.variance / count)) << text;
      for (std::size_t b = 0; b < x.rows(); ++b) variance += (x(b, j) - mean) * (x(b, j) - mean) / count;
    }
    EXPECT_NEAR(variance, last.variance, 0.05 * last.variance) << text;
  }
}

TEST(ChainLaw, HasTheSameBitsForAnyNumberOfThreads) {
  const Problem problem = problem_from(kLabelledPlane, {"grid.steps=6", "run.record=2", "grid.t_min=0.2"});
  const auto run = [&](std::size_t threads) {
    const ThreadLimit limit(threads);
    return law_of(problem, "dps-zeta", {.tolerance = 1.0});
  };
  const ChainLaw one = run(1), two = run(2);
  EXPECT_EQ(one.at.back().density, two.at.back().density);
  EXPECT_EQ(one.assigned_weights, two.assigned_weights);
  EXPECT_EQ(one.at.back().kl, two.at.back().kl);
}

TEST(ChainLaw, AnUnresolvedLawIsAnErrorAndNotANumber) {
  const Problem problem = problem_from(kThreeAtoms);
  EXPECT_THROW(law_of(problem, "dps-zeta", {.tolerance = 1e-12}), UnresolvedLaw);
  EXPECT_THROW(law_of(problem, "tmpd", {.max_evaluations = 1000.0}), UnresolvedLaw);
}

TEST(ChainLaw, RefusesWhatItCannotDo) {
  EXPECT_THROW(law_of(problem_from(kLabelledPlane), "tmpd:integrator=heun"), InvalidArgument);
  EXPECT_THROW(law_of(problem_from(kThreeAtoms), "tmpd", {.tolerance = 0.0}), InvalidArgument);
  const Problem problem = problem_from(kThreeAtoms);
  const auto sampler = sampler_of(problem, "tmpd");
  SilentObserver observer;
  EXPECT_THROW(chain_law(*problem.lens, problem.modes, *sampler, problem.grid, {problem.grid.size()}, {}, observer), InvalidArgument);
  EXPECT_THROW(chain_law(*problem.lens, problem.modes, *sampler, {0.5}, {0}, {}, observer), InvalidArgument);
}

}  // namespace
}  // namespace fslens::test
