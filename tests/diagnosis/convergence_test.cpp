#include "fslens/diagnosis/convergence.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/parallel.hpp"
#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "fslens/metrics/intervals.hpp"
#include "fslens/operators/elementwise.hpp"
#include "density_grid.hpp"
#include "mixture_law.hpp"
#include "modewise_kernel.hpp"
#include "problems.hpp"
#include "quadrature_posterior.hpp"
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
    const Convergence found = measure(problem, lens_methods(problem), {{50, 200}, 2, {0.3}});
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

std::shared_ptr<const EmpiricalPrior> atoms_of(const AnalyticProblem& problem, std::size_t count, std::uint64_t step = 0) {
  std::vector<std::size_t> component;
  const Matrix atoms = problem.prior->sample(count, RandomStream(3), step, component);
  return std::make_shared<EmpiricalPrior>(AtomTable(std::vector<double>(atoms.values().begin(), atoms.values().end()), count, atoms.cols()));
}

// Sums over the grid's nodes around each component against the lens's own densities, whose tolerance here is 1e-12.
TEST(DensityGrid, OfALawIsThatOfItsLens) {
  for (const std::string_view text : {test::kGaussian, kPlane}) {
    AnalyticProblem problem = analytic(text, operator_kind("identity"));
    problem.assignment.tolerance = 1e-12;
    const ExactPosterior exact = exact_posterior(problem, std::vector{0.1});
    for (const LensMethod& method : {raw_lens_method(problem), smoothed_lens_method(problem)}) {
      const AtomsLens found = method.make(atoms_of(problem, 300), exact);
      for (const double t : {0.3, 0.1}) {
        const DensityGrid grid(*exact.lens, *problem.prior, t);
        EXPECT_NEAR(grid.total_variation(found.law), grid.total_variation(*found.lens), 1e-8) << method.name << " " << t;
        const Matrix x = probes(*exact.lens, t), from_law = score_of(noised(found.law, problem.schedule, t), x);
        const Matrix from_lens = found.lens->fields(x, t).posterior_score;
        for (std::size_t j = 0; j < x.size(); ++j) EXPECT_NEAR(from_law.values()[j], from_lens.values()[j], 1e-7 * (1.0 + std::abs(from_lens.values()[j])));
      }
      const Moments of_law = moments_of(found.law), of_lens = found.lens->moments(Measure::posterior, 0.0);
      for (std::size_t j = 0; j < of_lens.covariance.size(); ++j) EXPECT_NEAR(of_law.covariance.values()[j], of_lens.covariance.values()[j], 1e-10);
    }
  }
}

// Gaussians with correlated coordinates: row by row, and as the adjoint of the sum.
TEST(RegularGrid, SumsAndIntegratesGaussians) {
  const RegularGrid grid({-3.0, -4.0}, std::vector{3.0, 4.0}, 0.05);
  const GaussianComponents some{{0.3, 0.7}, Matrix(2, 2, {0.2, -0.5, -0.4, 0.31}), Matrix(2, 2, {0.1, 0.06, 0.06, 0.2})};
  const Matrix x = grid.points();
  const std::vector<double> densities = grid.densities(std::span(&some, 1));
  const double determinant = 0.1 * 0.2 - 0.06 * 0.06;
  double mass = 0.0;
  for (std::size_t j = 0; j < grid.size(); ++j) {
    double expected = 0.0;
    for (std::size_t i = 0; i < 2; ++i) {
      const double u = x(j, 0) - some.centres(i, 0), v = x(j, 1) - some.centres(i, 1);
      expected += some.weights[i] * std::exp(-0.5 * (0.2 * u * u - 0.12 * u * v + 0.1 * v * v) / determinant) / (2.0 * M_PI * std::sqrt(determinant));
    }
    EXPECT_NEAR(densities[j], expected, 3e-9);
    mass += densities[j] * grid.cell();
  }
  EXPECT_NEAR(mass, 1.0, 1e-8);
  std::vector<double> first_coordinate;
  for (std::size_t j = 0; j < grid.size(); ++j) first_coordinate.push_back(x(j, 0) * grid.cell());
  const std::vector<double> means = grid.integrals(first_coordinate, some);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(means[i], some.centres(i, 0), 1e-7);
}

TEST(ModewiseKernel, FindsTheModesAndKeepsTheirMoments) {
  const auto atoms = atoms_of(analytic(kPlane), 600);
  const SmoothedPrior prior = modewise_prior(*atoms);
  ASSERT_EQ(prior.groups.size(), 4u);
  const Moments smoothed = moments_of(prior.groups);
  const AtomMoments exact = atom_moments(*atoms, atoms->log_weights());
  for (std::size_t j = 0; j < 2; ++j) EXPECT_NEAR(smoothed.mean[j], exact.mean[j], 1e-10);
  // Shrinkage pulls the covariance of each group, some 0.08 ± 0.01, towards a sphere.
  for (std::size_t j = 0; j < 4; ++j) EXPECT_NEAR(smoothed.covariance.values()[j], exact.covariance.values()[j], 0.01);
}

// Under a Gaussian h = 1 is refused with a probability of 1 % or, the quantile being approximate, somewhat more: 100 sets of atoms with a
// probability of 2 % are refused more than 9 times with one of 3e-5. A uniform law of 2,000 atoms is never taken for one.
TEST(ModewiseKernel, IsTheFittedGaussianWhereTheAtomsAreGaussianAndNarrowWhereTheyAreNot) {
  const AnalyticProblem problem = analytic(test::kGaussian);
  int refused = 0;
  for (std::uint64_t k = 0; k < 100; ++k) refused += modewise_prior(*atoms_of(problem, 500, k)).bandwidths != std::vector{1.0};
  EXPECT_LE(refused, 9);
  double previous = 1.0;
  for (const std::size_t count : {2000u, 32000u}) {
    std::vector<double> uniform(count);
    for (std::size_t i = 0; i < count; ++i) uniform[i] = RandomStream(4).uniform(0, i);
    const SmoothedPrior prior = modewise_prior(EmpiricalPrior(AtomTable(std::move(uniform), count, 1)));
    const double widest = *std::ranges::max_element(prior.bandwidths);
    EXPECT_LT(widest, 0.8 * previous) << count;
    previous = widest;
  }
}

// Where the closed form and the quadrature both apply they are the same lens.
TEST(Convergence, SmoothedLensesByQuadratureAreTheClosedForms) {
  for (const std::string_view text : {test::kGaussian, kPlane}) {
    const AnalyticProblem affine = analytic(text, operator_kind("identity")), clipped = analytic(text, kWideClip);
    const std::vector times = {0.1};
    const ExactPosterior closed = exact_posterior(affine, times), quadrature = exact_posterior(clipped, times);
    const DensityGrid grid(*closed.lens, *affine.prior, 0.1);
    const auto atoms = atoms_of(affine, 300);
    for (const auto method : {smoothed_lens_method, modewise_lens_method}) {
      const AtomsLens expected = method(affine).make(atoms, closed), found = method(clipped).make(atoms, quadrature);
      EXPECT_NEAR(found.log_evidence, expected.log_evidence, 1e-6);
      EXPECT_NEAR(grid.total_variation(found.points), grid.total_variation(expected.law), 1e-6);
      for (std::size_t i = 0; i < 300; ++i) EXPECT_NEAR(found.weights[i], expected.weights[i], 1e-8);
    }
  }
}

// Modes that are Gaussian: no bias, so that the rate is that of the raw lens, here within 4.5 standard errors (4e-5 each), and every error is smaller.
TEST(Convergence, OfTheModewiseLensHasTheRawRateAndSmallerErrors) {
  for (const std::string_view text : {test::kGaussian, kPlane}) {
    const AnalyticProblem problem = analytic(text, operator_kind("identity"));
    const Convergence found = measure(problem, {raw_lens_method(problem), modewise_lens_method(problem)}, {{100, 300, 900}, 8, {0.1}});
    const auto comparison = std::ranges::find(found.comparisons, "total-variation", &LensComparison::statistic);
    ASSERT_NE(comparison, found.comparisons.end());
    EXPECT_GT(comparison->rate_gain->value, -4.5 * comparison->rate_gain->standard_error);
    EXPECT_GT(comparison->overall->factor_interval.low, 1.2);
    double product = 1.0;
    for (const ErrorRatio& ratio : comparison->ratios) product *= ratio.factor;
    EXPECT_NEAR(comparison->overall->factor, std::cbrt(product), 1e-9 * product);
  }
}

TEST(MixtureLaw, HasNoScoreOfAGroupWithoutWeight) {
  const Matrix variance(1, 1, {0.25});
  const std::vector<GaussianComponents> law = {{{0.0}, Matrix(1, 1, {-10.0}), variance}, {{1.0}, Matrix(1, 1, {10.0}), variance}};
  EXPECT_NEAR(score_of(law, Matrix(1, 1, {10.2}))(0, 0), -0.8, 1e-12);
}

TEST(QuadraturePosterior, OfAKernelThatNoGridResolvesIsNoLens) {
  const AnalyticProblem problem = analytic(test::kGaussian, {"prior.mean=[0]", "prior.cov=[[1]]", "operator.kind=abs", "noise.sigma=0.8"});
  const LensMethod narrow{"narrow", [&](std::shared_ptr<const EmpiricalPrior> atoms, const ExactPosterior& exact) -> AtomsLens {
                            const GaussianComponents spikes{std::vector<double>(2, 0.5), Matrix(2, 1, {-1.0, 1.0}), Matrix(1, 1, {1e-20})};
                            posterior_on_nodes(problem, *exact.nodes, std::vector{spikes});
                            return raw_lens_method(problem).make(atoms, exact);
                          }};
  const Convergence found = measure(problem, {raw_lens_method(problem), narrow}, {{50, 100}, 2, {0.2}});
  EXPECT_TRUE(std::isfinite(found.curves.front().levels[0].errors[0]));
  for (const ErrorCurve& curve : found.curves) EXPECT_EQ(std::isnan(curve.levels[1].errors[1]), curve.lens == "narrow") << curve.statistic;
  EXPECT_EQ(std::ranges::count_if(found.absent, [](const auto& a) { return a.statistic.starts_with("narrow lens, N = "); }), 4);
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
