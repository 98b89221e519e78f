// The posteriors that approximations imply, against published figures and closed forms. No sampling.
#include "fslens/diagnosis/implied_posterior.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <memory>
#include <numbers>
#include <string>

#include "diagnosis/problems.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/guidance/lens_guidance.hpp"
#include "fslens/guidance/tmpd.hpp"
#include "fslens/samplers/registry.hpp"

namespace fslens::test {
namespace {

std::unique_ptr<Guidance> guidance(const Problem& problem, const std::string& spec) {
  return make_guidance(parse_sampler_spec(spec), problem.lens->denoiser(Measure::posterior));
}

ImpliedPosterior implied(const Problem& problem, const std::string& spec, double t,
                         const ImpliedPosteriorOptions& options = {}) {
  return implied_posterior(*problem.lens, *guidance(problem, spec), t, options);
}

double integral(const ImpliedPosterior& result, const std::vector<double>& density) {
  double cell = 1.0;
  for (const auto& points : result.points)
    if (points.size() > 1) cell *= points[1] - points[0];
  double sum = 0.0;
  for (const double value : density) sum += value * cell;
  return sum;
}

/// A guidance that only tells its score, so that the density must be had by integration.
class ScoreOnly final : public Guidance {
 public:
  explicit ScoreOnly(std::unique_ptr<Guidance> inner) : inner_(std::move(inner)) {}
  std::string name() const override { return "score-only"; }
  void score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
             BatchView out) const override {
    inner_->score(denoiser, likelihood, x, t, mean, out);
  }
  std::optional<std::vector<double>> log_likelihood(const Denoiser&, const Likelihood&, ConstBatchView, double,
                                                    ConstBatchView) const override {
    return std::nullopt;
  }

 private:
  std::unique_ptr<Guidance> inner_;
};

const std::vector<std::string> kOnTheLeftAtom = {"measurement.y=[-1.8]", "noise.sigma=0.3"};

// P5: published to three digits, t = 0.3.
TEST(ImpliedPosterior, HasThePublishedWidthsOfThreeAtoms) {
  const Problem problem = problem_from(kThreeAtoms, kOnTheLeftAtom);
  struct Case {
    std::string spec;
    bool by_score;
    double sd, total_variation;
  };
  for (const Case& c : {Case{"lens", false, 0.771, 0.0}, Case{"dps-sigma", false, 0.504, 0.403},
                        Case{"pigdm:r2=flat", false, 0.814, 0.070}, Case{"tmpd", true, 0.782, 0.019},
                        Case{"dps-zeta:zeta=0.3", false, 0.510, 0.520}}) {
    SCOPED_TRACE(c.spec);
    const ImpliedPosterior result = implied(problem, c.spec, 0.3, {.by_score = c.by_score});
    EXPECT_NEAR(result.sd.value(), c.sd, 1e-3);
    EXPECT_NEAR(result.total_variation, c.total_variation, 1e-3);
    EXPECT_LE(result.resolution_error, 1e-6);
    EXPECT_NEAR(integral(result, result.density), 1.0, 1e-9);
    EXPECT_NEAR(integral(result, result.exact_density), 1.0, 1e-6);
  }
}

TEST(ImpliedPosterior, OfTheExactScoreIsTheExactPosterior) {
  for (const double t : {0.02, 0.3, 1.0}) {
    const ImpliedPosterior result = implied(problem_from(kThreeAtoms), "lens", t);
    EXPECT_TRUE(result.by_score) << "the exact likelihood score comes without a density";
    EXPECT_LT(result.total_variation, 1e-6) << "t = " << t;
    const Moments exact = problem_from(kThreeAtoms).lens->moments(Measure::posterior, t);
    EXPECT_NEAR(result.mean[0], exact.mean[0], 1e-6);
    EXPECT_NEAR(result.variance, exact.covariance(0, 0), 1e-6);
  }
}

// P4: the posterior that each implies for a Gaussian prior of variance v0 is Gaussian, with variance
// 1 / (1/γ + a² J² / S). The mean of the prior has no part in it.
TEST(ImpliedPosterior, HasThePublishedVariancesOfAGaussianPrior) {
  for (const std::string mean : {"[0.5]", "[-3.0]"}) {
    const Problem problem = problem_from(kGaussian, {"prior.mean=" + mean});
    for (const auto& [spec, variance] : std::vector<std::pair<std::string, double>>{
             {"lens", 0.35797}, {"tmpd", 0.35797}, {"dps-sigma", 0.08537}, {"pigdm:r2=flat", 0.45447}}) {
      SCOPED_TRACE(spec + " mean " + mean);
      for (const bool by_score : {false, true}) {
        const ImpliedPosterior result = implied(problem, spec, 0.2, {.by_score = by_score});
        EXPECT_NEAR(result.variance, variance, 1e-5);
        if (variance == 0.35797)
          EXPECT_LT(result.total_variation, 1e-6);
        else
          EXPECT_GT(result.total_variation, 0.03);
      }
    }
  }
}

TEST(ImpliedPosterior, IsTheSameByScoreAndByDensityWhereOneIsTheOthersGradient) {
  const Problem problem = problem_from(kThreeAtoms, kOnTheLeftAtom);
  for (const std::string spec : {"dps-sigma", "pigdm:r2=flat", "pigdm:r2=unit", "dmps", "dps-zeta:zeta=0.3"}) {
    SCOPED_TRACE(spec);
    const ImpliedPosterior by_density = implied(problem, spec, 0.3);
    const ImpliedPosterior by_score = implied(problem, spec, 0.3, {.by_score = true});
    EXPECT_FALSE(by_density.by_score);
    EXPECT_TRUE(by_score.by_score);
    // The score of dps-zeta jumps where the residual changes sign: Simpson's rule is of first order in that interval.
    const double tolerance = spec.starts_with("dps-zeta") ? 1e-3 : 1e-7;
    EXPECT_NEAR(*by_score.sd, *by_density.sd, tolerance);
    EXPECT_NEAR(by_score.total_variation, by_density.total_variation, tolerance);
  }
  const double by_density = *implied(problem, "tmpd", 0.3).sd;
  EXPECT_GT(std::abs(by_density - *implied(problem, "tmpd", 0.3, {.by_score = true}).sd), 0.005)
      << "tmpd drops a derivative: its score is not its density's";
}

TEST(ImpliedPosterior, IntegratesTheScoreWhereThereIsNoDensity) {
  const Problem problem = problem_from(kThreeAtoms, kOnTheLeftAtom);
  const ScoreOnly score_only(guidance(problem, "dps-sigma"));
  const ImpliedPosterior result = implied_posterior(*problem.lens, score_only, 0.3);
  EXPECT_TRUE(result.by_score);
  EXPECT_NEAR(*result.sd, *implied(problem, "dps-sigma", 0.3).sd, 1e-7);
}

// The posterior in the plane is Gaussian: precision G⁻¹ + (AJ)ᵀ S⁻¹ AJ with G = a² V + s² I and J = a V G⁻¹.
struct PlaneGaussian {
  std::array<double, 2> mean;
  std::array<double, 3> covariance;  // xx, xy, yy
  double density(double x, double y) const {
    const double det = covariance[0] * covariance[2] - covariance[1] * covariance[1];
    const double u = x - mean[0], v = y - mean[1];
    const double square = (covariance[2] * u * u - 2.0 * covariance[1] * u * v + covariance[0] * v * v) / det;
    return std::exp(-0.5 * square) / (2.0 * std::numbers::pi * std::sqrt(det));
  }
};

std::array<double, 3> inverse(const std::array<double, 3>& m) {
  const double det = m[0] * m[2] - m[1] * m[1];
  return {m[2] / det, -m[1] / det, m[0] / det};
}

/// For a prior N(mu, v), y = row · x_0 + N(0, ·), and S = σ² + (what the method adds).
PlaneGaussian closed_form(const std::array<double, 2>& mu, const std::array<double, 3>& v,
                          const std::array<double, 2>& row, double y, double variance, double a, double s2) {
  const std::array<double, 3> g_inverse = inverse({a * a * v[0] + s2, a * a * v[1], a * a * v[2] + s2});
  // h = row J = a row V G⁻¹; the mean it sees is row·mu + h (x − a mu).
  const std::array<double, 2> rv = {row[0] * v[0] + row[1] * v[1], row[0] * v[1] + row[1] * v[2]};
  const std::array<double, 2> h = {a * (rv[0] * g_inverse[0] + rv[1] * g_inverse[1]),
                                   a * (rv[0] * g_inverse[1] + rv[1] * g_inverse[2])};
  PlaneGaussian out;
  out.covariance = inverse({g_inverse[0] + h[0] * h[0] / variance, g_inverse[1] + h[0] * h[1] / variance,
                            g_inverse[2] + h[1] * h[1] / variance});
  const double pull = (y - row[0] * mu[0] - row[1] * mu[1]) / variance;
  out.mean = {a * mu[0] + pull * (out.covariance[0] * h[0] + out.covariance[1] * h[1]),
              a * mu[1] + pull * (out.covariance[1] * h[0] + out.covariance[2] * h[1])};
  return out;
}

TEST(ImpliedPosterior, MeetsTheClosedFormInThePlane) {
  const Problem problem = problem_from(R"(
[prior]
kind = "gaussian"
mean = [0.4, -0.7]
cov = [[0.9, 0.3], [0.3, 0.5]]
[operator]
kind = "matrix"
matrix = [[1.0, -0.5]]
[noise]
sigma = 0.4
[measurement]
y = [1.5]
)");
  const double t = 0.25, a = problem.lens->schedule().a(t), s2 = problem.lens->schedule().s2(t);
  const std::array<double, 3> v = {0.9, 0.3, 0.5};
  const double row_norm2 = 1.25;
  const std::array<double, 3> g_inverse = inverse({a * a * 0.9 + s2, a * a * 0.3, a * a * 0.5 + s2});
  // C = V − a² V G⁻¹ V = s² V G⁻¹ ; along the row: row C rowᵀ.
  const std::array<double, 2> rv = {1.0 * v[0] - 0.5 * v[1], 1.0 * v[1] - 0.5 * v[2]};
  const double seen =
      s2 * (rv[0] * (g_inverse[0] * 1.0 + g_inverse[1] * -0.5) + rv[1] * (g_inverse[1] * 1.0 + g_inverse[2] * -0.5));
  const PlaneGaussian truth = closed_form({0.4, -0.7}, v, {1.0, -0.5}, 1.5, 0.16 + seen, a, s2);
  for (const auto& [spec, variance] : std::vector<std::pair<std::string, double>>{
           {"dps-sigma", 0.16}, {"pigdm:r2=flat", 0.16 + row_norm2 * s2 / (a * a)}, {"tmpd", 0.16 + seen}}) {
    SCOPED_TRACE(spec);
    const PlaneGaussian expected = closed_form({0.4, -0.7}, v, {1.0, -0.5}, 1.5, variance, a, s2);
    const ImpliedPosterior result = implied(problem, spec, t);
    ASSERT_EQ(result.points[0].size(), result.points[1].size());
    EXPECT_FALSE(result.sd.has_value());
    EXPECT_NEAR(result.mean[0], expected.mean[0], 1e-7);
    EXPECT_NEAR(result.mean[1], expected.mean[1], 1e-7);
    EXPECT_NEAR(result.variance, expected.covariance[0] + expected.covariance[2], 1e-7);
    double worst = 0.0, variation = 0.0;
    const std::size_t n = result.points[1].size();
    const double cell = (result.points[0][1] - result.points[0][0]) * (result.points[1][1] - result.points[1][0]);
    for (std::size_t i = 0; i < n * n; ++i) {
      const double x = result.points[0][i / n], y = result.points[1][i % n];
      worst = std::max(worst, std::abs(result.density[i] - expected.density(x, y)));
      worst = std::max(worst, std::abs(result.exact_density[i] - truth.density(x, y)));
      variation += 0.5 * std::abs(expected.density(x, y) - truth.density(x, y)) * cell;
    }
    EXPECT_LT(worst, 1e-7);
    EXPECT_NEAR(result.total_variation, variation, 1e-6);
  }
}

// y far from every atom: the posterior sits in the prior's tail, and so does the grid.
TEST(ImpliedPosterior, LosesNothingAtTheEdgeOfTheGrid) {
  const Problem problem = problem_from(kGaussian, {"measurement.y=[40.0]", "noise.sigma=0.05"});
  const ImpliedPosterior result = implied(problem, "tmpd", 0.02);
  EXPECT_LT(result.total_variation, 1e-6);
  EXPECT_LT(result.density.front(), 1e-9);
  EXPECT_LT(result.density.back(), 1e-9);
  EXPECT_NEAR(result.mean[0], problem.lens->moments(Measure::posterior, 0.02).mean[0], 1e-6);
}

TEST(ImpliedPosterior, KnowsNonlinearOperators) {
  const Problem problem = problem_from(kThreeAtoms, {"operator.kind=square", "measurement.y=[4.0]", "noise.sigma=0.6"});
  const ImpliedPosterior result = implied(problem, "dps-sigma", 0.02);
  // y = x² cannot tell −1.8 from 2.2 but by 3.24 and 4.84: both are left.
  const double a = problem.lens->schedule().a(0.02);
  double left = 0.0;
  for (std::size_t i = 0; i < result.density.size(); ++i)
    if (result.points[0][i] < 0.0) left += result.density[i] * (result.points[0][1] - result.points[0][0]);
  const double exact_left = 1.0 / (1.0 + std::exp(0.5 * (std::pow(4.0 - 3.24, 2) - std::pow(4.0 - 4.84, 2)) / 0.36));
  EXPECT_NEAR(left, exact_left, 0.02);
  EXPECT_NEAR(result.mean[0], a * (-1.8 * exact_left + 2.2 * (1.0 - exact_left)), 0.1);
}

TEST(ImpliedPosterior, TakesTheNumberOfPointsThatItIsGiven) {
  const Problem problem = problem_from(kThreeAtoms, kOnTheLeftAtom);
  EXPECT_EQ(implied(problem, "dps-sigma", 0.3, {.points_per_axis = 501}).density.size(), 501u);
  EXPECT_EQ(implied(problem, "dps-sigma", 0.3, {.points_per_axis = 500}).density.size(), 501u);
  EXPECT_NEAR(*implied(problem, "dps-sigma", 0.3, {.points_per_axis = 501}).sd, 0.504, 1e-3);
}

TEST(ImpliedPosterior, HasTheSameBitsForEveryNumberOfThreads) {
  const Problem problem = problem_from(kLabelledPlane);
  std::vector<double> first;
  for (const std::size_t threads : {1, 2, 4}) {
    const ThreadLimit limit(threads);
    const std::vector<double> density = implied(problem, "pigdm", 0.3).density;
    if (first.empty()) first = density;
    EXPECT_EQ(density, first) << threads << " threads";
  }
}

template <class ErrorType>
void expect_refusal(const Problem& problem, const Guidance& guidance, double t, const ImpliedPosteriorOptions& options,
                    const std::string& part) {
  try {
    implied_posterior(*problem.lens, guidance, t, options);
    ADD_FAILURE() << "no error; expected one that says " << part;
  } catch (const ErrorType& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(ImpliedPosterior, RefusesWhatItCannotCompute) {
  const Problem line = problem_from(kThreeAtoms), plane = problem_from(kLabelledPlane);
  const Problem space = problem_from(R"(
[prior]
atoms = [[0, 0, 0], [1, 1, 1]]
complete = true
[operator]
kind = "identity"
[noise]
sigma = 1.0
[measurement]
y = [0, 0, 0]
)");
  const auto tmpd = guidance(line, "tmpd");
  expect_refusal<InvalidArgument>(space, *tmpd, 0.3, {}, "lens.dim = 3");
  expect_refusal<InvalidArgument>(line, *tmpd, 0.0, {}, "t = 0");
  expect_refusal<InvalidArgument>(line, *tmpd, 0.3, {.points_per_axis = 4}, "points_per_axis = 4");
  expect_refusal<InvalidArgument>(line, *tmpd, 0.01, {.points_per_axis = 9}, "points_per_axis = 9");
  expect_refusal<InvalidArgument>(plane, *guidance(plane, "tmpd"), 0.3, {.by_score = true}, "by_score");
  expect_refusal<InvalidArgument>(plane, *guidance(plane, "lens"), 0.3, {}, "lens");
  expect_refusal<InvalidArgument>(line, *tmpd, 1e-7, {}, "too narrow");
  const Problem square = problem_from(kThreeAtoms, {"operator.kind=square"});
  expect_refusal<UsageError>(square, *guidance(square, "pigdm"), 0.3, {}, "affine");
}

/// A score that is not a number to the right of 0.
class Broken final : public Guidance {
 public:
  std::string name() const override { return "broken"; }
  void score(const Denoiser&, const Likelihood&, ConstBatchView x, double, ConstBatchView,
             BatchView out) const override {
    for (std::size_t b = 0; b < x.rows(); ++b) out(b, 0) = std::sqrt(-x(b, 0));
  }
  std::optional<std::vector<double>> log_likelihood(const Denoiser&, const Likelihood&, ConstBatchView, double,
                                                    ConstBatchView) const override {
    return std::nullopt;
  }
};

/// A score that pulls outwards more strongly than any prior holds back.
class Explosive final : public Guidance {
 public:
  std::string name() const override { return "explosive"; }
  void score(const Denoiser&, const Likelihood&, ConstBatchView x, double, ConstBatchView,
             BatchView out) const override {
    for (std::size_t b = 0; b < x.rows(); ++b) out(b, 0) = 50.0 * x(b, 0);
  }
  std::optional<std::vector<double>> log_likelihood(const Denoiser&, const Likelihood&, ConstBatchView, double,
                                                    ConstBatchView) const override {
    return std::nullopt;
  }
};

TEST(ImpliedPosterior, SaysWhereAGuidanceIsNotFiniteOrHasNoPosterior) {
  const Problem problem = problem_from(kThreeAtoms);
  expect_refusal<Error>(problem, Broken(), 0.5, {}, "the score of broken is ");
  expect_refusal<Error>(problem, Explosive(), 0.5, {}, "what explosive implies at t = 0.5 does not vanish");
}

}  // namespace
}  // namespace fslens::test
