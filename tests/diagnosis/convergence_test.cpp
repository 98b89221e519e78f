#include "fslens/diagnosis/convergence.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/parallel.hpp"
#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "fslens/metrics/intervals.hpp"
#include "fslens/operators/elementwise.hpp"
#include "problems.hpp"
#include "support/expect_invalid.hpp"

namespace fslens {
namespace {

using test::expect_invalid;

constexpr std::string_view kPlane = R"(
[prior]
kind = "gmm"
means = [[-1.5, -1.5], [-1.5, 1.5], [1.5, -1.5], [1.5, 1.5]]
covs = [0.08, 0.08, 0.08, 0.08]
weights = [0.1, 0.2, 0.3, 0.4]
[operator]
kind = "identity"
[noise]
sigma = 0.5
[measurement]
y = [0.4, 1.0]
)";
/// The identity wherever the prior has mass, and yet not affine: the posterior by quadrature is that of the identity.
const std::vector<std::string> kWideClip = {"operator.kind=clip", "operator.lo=-1000", "operator.hi=1000"};

AnalyticProblem analytic(std::string_view text, const std::vector<std::string>& overrides = {}) {
  return build_analytic_problem(test::spec_from(text, overrides), "test");
}

std::vector<std::string> operator_kind(const std::string& kind) { return {"operator.kind=" + kind}; }

/// Points about the posterior at t.
Matrix probes(const Lens& lens, double t) { return lens.sample(Measure::posterior, 200, t, RandomStream(5)).x; }

void expect_same_posterior(std::string_view text, const std::vector<double>& times) {
  const ExactPosterior closed = exact_posterior(analytic(text, operator_kind("identity")), times);
  const ExactPosterior quadrature = exact_posterior(analytic(text, kWideClip), times);
  EXPECT_EQ(closed.method, "closed form");
  EXPECT_EQ(quadrature.method, "quadrature");
  EXPECT_NEAR(quadrature.lens->log_evidence(), closed.lens->log_evidence(), 1e-9);
  for (std::size_t k = 0; k < closed.mode_weights.size(); ++k) EXPECT_NEAR(quadrature.mode_weights[k], closed.mode_weights[k], 1e-9);
  const Moments exact = closed.lens->moments(Measure::posterior, 0.0), found = quadrature.lens->moments(Measure::posterior, 0.0);
  for (std::size_t j = 0; j < exact.mean.size(); ++j) EXPECT_NEAR(found.mean[j], exact.mean[j], 1e-9);
  for (std::size_t j = 0; j < exact.covariance.size(); ++j)
    EXPECT_NEAR(found.covariance.values()[j], exact.covariance.values()[j], 1e-9);
  for (const double t : times) {
    const Matrix x = probes(*closed.lens, t);
    const LensFields expected = closed.lens->fields(x, t), fields = quadrature.lens->fields(x, t);
    const double s = closed.lens->schedule().s(t);
    for (std::size_t b = 0; b < x.rows(); ++b) {
      EXPECT_NEAR(fields.log_posterior_density[b], expected.log_posterior_density[b], 1e-5) << t;
      for (std::size_t j = 0; j < x.cols(); ++j)
        EXPECT_NEAR(s * fields.posterior_score(b, j), s * expected.posterior_score(b, j), 1e-4) << t;
    }
  }
}

TEST(QuadraturePosterior, IsTheClosedFormWhereThereIsOne) {
  expect_same_posterior(test::kGaussian, {0.3, 0.03});
  expect_same_posterior(kPlane, {0.3, 0.1});
}

// Prior N(0, 1), y = |x| + N(0, σ²): p(y) = 2 N(y; 0, 1 + σ²) Φ(μ/τ) with μ = y/(1 + σ²), τ² = σ²/(1 + σ²), and the posterior is that
// of N(μ, τ²) cut at 0, and its mirror image.
TEST(QuadraturePosterior, OfTheAbsoluteValueIsACutGaussianAndItsMirrorImage) {
  const AnalyticProblem problem = analytic(test::kGaussian, {"prior.mean=[0]", "prior.cov=[[1]]", "operator.kind=abs", "noise.sigma=0.8"});
  const ExactPosterior exact = exact_posterior(problem, std::vector{0.1});
  const double y = 0.8, variance = 1.0 + 0.64, mu = y / variance, tau = 0.8 / std::sqrt(variance);
  const double evidence = 2.0 * std::exp(-0.5 * y * y / variance) / std::sqrt(2.0 * M_PI * variance) * normal_cdf(mu / tau);
  EXPECT_NEAR(exact.lens->log_evidence(), std::log(evidence), 1e-5);
  const double hazard = std::exp(-0.5 * mu * mu / (tau * tau)) / std::sqrt(2.0 * M_PI) / normal_cdf(mu / tau);
  const double mean_of_half = mu + tau * hazard, second_moment = mu * mean_of_half + tau * tau;
  const Moments moments = exact.lens->moments(Measure::posterior, 0.0);
  EXPECT_NEAR(moments.mean[0], 0.0, 1e-5);
  EXPECT_NEAR(moments.covariance(0, 0), second_moment, 1e-4);
  EXPECT_LT(exact.log_evidence_error, 1e-5);
  EXPECT_GT(exact.log_evidence_error, 0.0);
}

TEST(QuadraturePosterior, ThatIsNotResolvedIsAnError) {
  expect_invalid([] { exact_posterior(analytic(test::kGaussian, {"operator.kind=square", "noise.sigma=1e-8"}), std::vector{0.1}); },
                 {"square", "not resolved", "1048576 nodes", "log p(y)"});
  expect_invalid([] { exact_posterior(analytic(test::kGaussian, {"operator.kind=square", "measurement.y=[900]"}), std::vector{0.1}); },
                 {"y", "edge of the prior", "9 standard deviations"});
}

TEST(QuadraturePosterior, IsRefusedInMoreThanTwoDimensions) {
  constexpr std::string_view kSpace =
      "[prior]\nkind = \"gaussian\"\nmean = [0, 0, 0]\ncov = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\n[operator]\nkind = \"square\"\n"
      "[noise]\nsigma = 1\n[measurement]\nfrom_prior = true\n";
  expect_invalid([&] { exact_posterior(analytic(kSpace), std::vector{0.1}); }, {"square", "affine", "more than 2 dimensions"});
  EXPECT_EQ(exact_posterior(analytic(kSpace, operator_kind("identity")), std::vector{0.1}).method, "closed form");
}

TEST(AnalyticProblem, IsNotMadeOfAtoms) {
  expect_invalid([] { analytic(test::kThreeAtoms); }, {"prior.kind", "atoms", "gaussian or gmm"});
}

// W2²(N(m, v), N(n, w)) = (m − n)² + (√v − √w)².
TEST(ProjectedLaw, OfGaussiansHasTheirWassersteinDistance) {
  const auto gaussian = [](std::vector<double> mean, double a, double b, double c) {
    std::vector<GaussianComponents> law;
    law.push_back({{1.0}, Matrix(1, 2, std::move(mean)), Matrix(2, 2, {a, b, b, c})});
    return law;
  };
  const SlicedProjections projections(2, 5, RandomStream(1));
  const ProjectedLaw x = project(gaussian({0.0, 1.0}, 1.0, 0.3, 0.5), projections);
  const ProjectedLaw y = project(gaussian({0.5, 0.0}, 0.2, -0.1, 2.0), projections);
  EXPECT_LT(x.bin_error, 1e-3);
  for (std::size_t k = 0; k < 5; ++k) {
    const double u = projections.directions()(k, 0), v = projections.directions()(k, 1);
    const double sd_x = std::sqrt(u * u + 0.6 * u * v + 0.5 * v * v), sd_y = std::sqrt(0.2 * u * u - 0.2 * u * v + 2.0 * v * v);
    const double expected = std::pow(0.5 * u - v, 2) + std::pow(sd_x - sd_y, 2);
    EXPECT_NEAR(wasserstein2_squared(x.lines[k], y.lines[k]), expected, 1e-5);
  }
}

TEST(ProjectedLaw, KeepsPointsAndSpreadsGaussiansAroundThem) {
  const SlicedProjections line(1, 1, RandomStream(0));
  std::vector<GaussianComponents> points, blurred;
  points.push_back({{1.0, 3.0}, Matrix(2, 1, {2.0, -1.0}), {}});
  const ProjectedLaw law = project(points, line);
  EXPECT_EQ(law.lines[0].points, (std::vector{-1.0, 2.0}));
  EXPECT_EQ(law.lines[0].weights, (std::vector{0.75, 0.25}));
  EXPECT_EQ(law.bin_error, 0.0);
  blurred.push_back({{1.0, 3.0}, Matrix(2, 1, {2.0, -1.0}), Matrix(1, 1, {0.04})});
  const WeightedPoints spread = project(blurred, line).lines[0];
  double mean = 0, variance = 0;
  for (std::size_t i = 0; i < spread.points.size(); ++i) mean += spread.weights[i] * spread.points[i];
  for (std::size_t i = 0; i < spread.points.size(); ++i) variance += spread.weights[i] * std::pow(spread.points[i] - mean, 2);
  EXPECT_NEAR(mean, -0.25, 1e-9);
  EXPECT_NEAR(variance, 0.04 + 27.0 / 16.0, 1e-6);
}

const ErrorCurve& curve(const Convergence& convergence, const std::string& lens, const std::string& statistic, std::size_t nth = 0) {
  std::vector<const ErrorCurve*> found;
  for (const ErrorCurve& candidate : convergence.curves)
    if (candidate.lens == lens && candidate.statistic == statistic) found.push_back(&candidate);
  return *found.at(nth);
}

Convergence measure(const AnalyticProblem& problem, const std::vector<LensMethod>& methods, const ConvergenceOptions& options) {
  SilentObserver observer;
  return measure_convergence(problem, methods, options, observer);
}

// A lens without any error but that of its atoms: rates of 1/2 at fixed t, of the evidence and of the moments. |rate − ½| of more than 4.5
// standard errors (of some 60 degrees of freedom) has a probability below 4e-5 each, 2e-4 for all. The standard error itself is 0.09 for the
// absolute value of a Gaussian error, whose logarithm has sd 1.1, and 0.15 would be six of its own standard errors off.
TEST(Convergence, OfTheRawLensIsOfOrderOneOverRootN) {
  const AnalyticProblem problem = analytic(test::kGaussian);
  const Convergence found = measure(problem, {raw_lens_method(problem)}, {{100, 316, 1000, 3162}, 24, {0.3, 0.1}});
  for (const char* statistic : {"total-variation", "log-evidence", "mean", "covariance"}) {
    const ErrorCurve& errors = curve(found, "raw", statistic);
    ASSERT_TRUE(errors.fit) << statistic;
    EXPECT_NEAR(errors.fit->rate.value, 0.5, 4.5 * errors.fit->rate.standard_error) << statistic;
    EXPECT_LT(errors.fit->rate.standard_error, 0.15) << statistic;
  }
  EXPECT_EQ(found.absent.size(), 1u);
  EXPECT_EQ(found.absent[0].statistic, "mode-weights");
}

/// The raw lens of a noise twice as large: it converges, but to another posterior.
LensMethod wrong_noise(const AnalyticProblem& problem) {
  AnalyticProblem wrong = problem;
  wrong.likelihood = std::make_shared<Likelihood>(problem.likelihood->forward_ptr(), GaussianNoise::scalar(1, 0.5), problem.likelihood->y());
  LensMethod method = raw_lens_method(wrong);
  method.name = "wrong noise";
  return method;
}

TEST(Convergence, OfALensThatIsWrongStops) {
  const AnalyticProblem problem = analytic(test::kGaussian);
  const Convergence found = measure(problem, {raw_lens_method(problem), wrong_noise(problem)}, {{1000, 10000}, 4, {0.1}});
  for (const char* statistic : {"total-variation", "sliced-w2", "log-evidence"}) {
    const ErrorCurve& wrong = curve(found, "wrong noise", statistic);
    EXPECT_LT(wrong.fit->rate.value, 0.1) << statistic;
    EXPECT_GT(curve(found, "raw", statistic).fit->rate.value, wrong.fit->rate.value + 0.1) << statistic;
  }
  const auto comparison = std::ranges::find(found.comparisons, "total-variation", &LensComparison::statistic);
  EXPECT_LT(comparison->ratios.back().factor_interval.high, 1.0);
}

// The total variation of the grid against that of one six times as fine, by the trapezoid rule: |p − q| has kinks, which cost a few percent.
TEST(Convergence, TotalVariationIsThatOfAFinerGrid) {
  const AnalyticProblem problem = analytic(test::kGaussian);
  const Convergence found = measure(problem, {raw_lens_method(problem)}, {{200, 400}, 2, {0.05}});
  const ExactPosterior exact = exact_posterior(problem, std::vector{0.05});
  std::vector<std::size_t> component;
  const RandomStream stream = RandomStream(problem.seed).child("atoms", 400);
  const Matrix atoms = problem.prior->sample(400, stream, 1, component);
  const auto prior = std::make_shared<EmpiricalPrior>(AtomTable(std::vector<double>(atoms.values().begin(), atoms.values().end()), 400, 1));
  const FiniteSampleLens lens(prior, problem.schedule, problem.likelihood);
  Matrix x(8001, 1);
  for (std::size_t i = 0; i < x.rows(); ++i) x(i, 0) = -6.0 + 12.0 * static_cast<double>(i) / 8000.0;
  const auto p = exact.lens->log_posterior_density(x, 0.05), q = lens.fields(x, 0.05).log_posterior_density;
  double expected = 0.0;
  for (std::size_t i = 0; i < x.rows(); ++i) expected += 0.5 * std::abs(std::exp(p[i]) - std::exp(q[i])) * 12.0 / 8000.0;
  EXPECT_NEAR(curve(found, "raw", "total-variation").levels[1].errors[1], expected, 0.05 * expected);
  EXPECT_NEAR(curve(found, "raw", "log-evidence").levels[1].errors[1], std::abs(lens.log_evidence() - exact.lens->log_evidence()), 1e-12);
}

TEST(Convergence, HasTheSameBitsForEveryNumberOfThreads) {
  const AnalyticProblem problem = analytic(test::kGaussian);
  const auto errors_with = [&](std::size_t threads) {
    const ThreadLimit limit(threads);
    std::vector<double> all;
    const Convergence found = measure(problem, {raw_lens_method(problem), smoothed_lens_method(problem)}, {{50, 200}, 2, {0.3}});
    for (const ErrorCurve& errors : found.curves)
      for (const ErrorLevel& level : errors.levels) all.insert(all.end(), level.errors.begin(), level.errors.end());
    return all;
  };
  EXPECT_EQ(errors_with(1), errors_with(3));
}

// At a noise level far below the distance of atoms the raw density is a row of spikes.
TEST(Convergence, SmoothedLensIsNearerAtSmallTimes) {
  const AnalyticProblem problem = analytic(test::kGaussian);
  const Convergence found =
      measure(problem, {raw_lens_method(problem), smoothed_lens_method(problem)}, {{100, 400}, 8, {0.01}});
  const auto comparison = std::ranges::find(found.comparisons, "total-variation", &LensComparison::statistic);
  ASSERT_NE(comparison, found.comparisons.end());
  EXPECT_GT(comparison->ratios.back().factor_interval.low, 1.5);
  EXPECT_GT(*comparison->ratios.back().atoms_factor, comparison->ratios.back().factor);
}

TEST(Convergence, RefusesSizesAndTimesThatGiveNoRate) {
  const AnalyticProblem problem = analytic(test::kGaussian);
  const auto refused = [&](const ConvergenceOptions& options) { EXPECT_THROW(measure(problem, {raw_lens_method(problem)}, options), UsageError); };
  refused({{100}, 4, {}});
  refused({{100, 100}, 4, {}});
  refused({{1, 100}, 4, {}});
  refused({{100, 200}, 1, {}});
  refused({{100, 200}, 4, {0.0}});
  refused({{100, 200}, 4, {1.5}});
}

}  // namespace
}  // namespace fslens
