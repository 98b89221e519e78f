#include "fslens/diagnosis/optimal_weight.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include "fslens/core/error.hpp"
#include "problems.hpp"

namespace fslens::test {
namespace {

std::vector<OptimalWeight> weights_of(const std::vector<Problem>& problems, const SamplerSpec& spec, std::size_t num_draws,
                                      std::size_t num_times = 5) {
  SilentObserver observer;
  return optimal_weights(problems, spec, {.num_times = num_times, .num_draws = num_draws}, RandomStream(3), observer);
}

/// N(0.5, 0.6), y = 1.2 x_0 − 0.1 + N(0, 0.25²), y = 0.8, at time t: J, C and the residual's law in closed form.
struct LinearOracle {
  explicit LinearOracle(const NoiseSchedule& schedule, double t) : a(schedule.a(t)), s2(schedule.s2(t)) {
    const double gamma = a * a * kV + s2;
    jacobian = a * kV / gamma;
    covariance = s2 * kV / gamma;
    evidence = kA * kA * covariance + kSigma * kSigma;
    const double gain = kV * kA / (kA * kA * kV + kSigma * kSigma);
    const double x0_mean = kMu + gain * (kY - kA * kMu - kB), x0_variance = kV - gain * kA * kV;
    x_mean = a * x0_mean;
    x_variance = a * a * x0_variance + s2;
    // r = y − A m − b with m = μ + J (x − a μ).
    r_mean = kY - kA * (kMu + jacobian * (x_mean - a * kMu)) - kB;
    r_sd = kA * jacobian * std::sqrt(x_variance);
  }
  static constexpr double kMu = 0.5, kV = 0.6, kA = 1.2, kB = -0.1, kSigma = 0.25, kY = 0.8;
  double a, s2, jacobian, covariance, evidence, x_mean, x_variance, r_mean, r_sd;

  double mean_abs_residual() const {  // of a folded normal
    return r_sd * std::sqrt(2.0 / std::numbers::pi) * std::exp(-0.5 * r_mean * r_mean / (r_sd * r_sd)) +
           r_mean * std::erf(r_mean / (r_sd * std::numbers::sqrt2));
  }
  double mean_square_residual() const { return r_mean * r_mean + r_sd * r_sd; }
};

/// There s = A J r / (A² C + σ²), and dps-sigma, pigdm and tmpd have another number below the same A J r: ζ* is the ratio of the two, whatever
/// was drawn, and nothing is left.
TEST(OptimalWeight, IsTheRatioOfVariancesWhereTheGuidanceIsProportional) {
  const Problem problem = problem_from(kGaussian);
  const NoiseSchedule& schedule = problem.lens->schedule();
  const auto expect_weights = [&](const SamplerSpec& spec, const std::function<double(double, const LinearOracle&)>& variance) {
    const auto weights = weights_of({problem}, spec, 40);
    ASSERT_EQ(weights.size(), 5u);
    EXPECT_EQ(weights.front().t, 1.0);
    EXPECT_EQ(weights.back().t, 0.01);
    for (const OptimalWeight& weight : weights) {
      const LinearOracle oracle(schedule, weight.t);
      ASSERT_TRUE(weight.weight) << spec.name;
      EXPECT_NEAR(*weight.weight, variance(weight.t, oracle) / oracle.evidence, 1e-7 * *weight.weight) << spec.name << " t " << weight.t;
      EXPECT_NEAR(*weight.unrepairable, 0.0, 1e-7);
      EXPECT_FALSE(weight.weight_error) << "one measurement has no spread";
    }
  };
  const double noise = LinearOracle::kSigma * LinearOracle::kSigma, a2 = LinearOracle::kA * LinearOracle::kA;
  expect_weights({"dps-sigma", {}}, [&](double, const LinearOracle&) { return noise; });
  expect_weights({"pigdm", {{"r2", "flat"}}}, [&](double, const LinearOracle& o) { return noise + a2 * o.s2 / (o.a * o.a); });
  expect_weights({"tmpd", {}}, [&](double, const LinearOracle& o) { return o.evidence; });
  // Another weight, or a schedule, in the spec changes nothing: g is taken at unit weight.
  expect_weights({"dps-sigma", {{"scale", "7"}, {"schedule", "file"}}, WeightSchedule{{0.5}, {9.0}}},
                 [&](double, const LinearOracle&) { return noise; });
}

/// dps-zeta has g = 2 A J sign(r)/σ²: ζ* = σ² E|r| / (2 (A² C + σ²)), and 1 − (E|r|)²/E r² is left. Five standard errors: P < 1e-6 each.
TEST(OptimalWeight, OfDpsZetaIsAFoldedNormalsMean) {
  constexpr std::size_t kDraws = 20000;
  const Problem problem = problem_from(kGaussian);
  for (const OptimalWeight& weight : weights_of({problem}, {"dps-zeta", {}}, kDraws)) {
    const LinearOracle oracle(problem.lens->schedule(), weight.t);
    const double expected = LinearOracle::kSigma * LinearOracle::kSigma * oracle.mean_abs_residual() / (2.0 * oracle.evidence);
    const double square = oracle.mean_square_residual(), share = std::pow(oracle.mean_abs_residual(), 2) / square;
    EXPECT_NEAR(*weight.weight, expected, 5.0 * expected * std::sqrt((1.0 / share - 1.0) / kDraws)) << weight.t;
    // |r|/√(E r²) has a standard deviation below 1, so that the share's is below 4/√n.
    EXPECT_NEAR(*weight.unrepairable, 1.0 - share, 5.0 * 4.0 * std::sqrt((1.0 - share) / kDraws)) << weight.t;
  }
}

/// dmps is affine in x with another slope: E⟨g, s⟩ and E‖g‖² are moments of a Gaussian x.
TEST(OptimalWeight, OfDmpsIsAMomentOfAGaussian) {
  constexpr std::size_t kDraws = 20000;
  const Problem problem = problem_from(kGaussian);
  for (const OptimalWeight& weight : weights_of({problem}, {"dmps", {}}, kDraws)) {
    const LinearOracle o(problem.lens->schedule(), weight.t);
    const double c = LinearOracle::kA / o.a / (LinearOracle::kSigma * LinearOracle::kSigma + o.s2 / (o.a * o.a) * LinearOracle::kA * LinearOracle::kA);
    const double g0 = c * (LinearOracle::kY - LinearOracle::kB - LinearOracle::kA * o.x_mean / o.a), g1 = -c * LinearOracle::kA / o.a;
    const double k = LinearOracle::kA * o.jacobian / o.evidence;
    const double s0 = k * o.r_mean, s1 = -k * LinearOracle::kA * o.jacobian;
    const double gs = g0 * s0 + g1 * s1 * o.x_variance, gg = g0 * g0 + g1 * g1 * o.x_variance, ss = s0 * s0 + s1 * s1 * o.x_variance;
    // Var(g s − ζ g²) ≤ E (g² (s − ζ g)²), and fourth moments of a Gaussian are at most three squares of second ones.
    const double left = ss - gs * gs / gg;
    EXPECT_NEAR(*weight.weight, gs / gg, 5.0 * std::sqrt(3.0 * std::max(left, 1e-14 * ss) / gg / kDraws) + 1e-7) << weight.t;
  }
}

/// Three atoms: every expectation by quadrature over x of formulas written down anew.
TEST(OptimalWeight, OfThreeAtomsAgreesWithQuadrature) {
  constexpr std::size_t kDraws = 20000;
  constexpr std::array<double, 3> kAtoms = {-1.8, 0.2, 2.2};
  constexpr double kY = -0.8, kNoise = 0.36;
  const Problem problem = problem_from(kThreeAtoms);
  for (const OptimalWeight& weight : weights_of({problem}, {"dps-sigma", {}}, kDraws, 9)) {
    if (!weight.weight) continue;  // near t_min there is no guidance
    const double a = problem.lens->schedule().a(weight.t), s2 = problem.lens->schedule().s2(weight.t);
    double gs = 0.0, gg = 0.0, ss = 0.0, mass = 0.0;
    const auto integrate = [&](const std::function<void(double, double, double)>& add) {
      const double step = 1e-3 * std::sqrt(s2);
      for (double x = -2.0 * a - 8.0 * std::sqrt(s2); x < 2.4 * a + 8.0 * std::sqrt(s2); x += step) {
        std::array<double, 3> prior{}, posterior{};
        double prior_sum = 0.0, posterior_sum = 0.0, m = 0.0, m_y = 0.0, square = 0.0;
        for (std::size_t i = 0; i < 3; ++i) {
          prior[i] = std::exp(-0.5 * (x - a * kAtoms[i]) * (x - a * kAtoms[i]) / s2);
          posterior[i] = prior[i] * std::exp(-0.5 * (kY - kAtoms[i]) * (kY - kAtoms[i]) / kNoise);
          prior_sum += prior[i], posterior_sum += posterior[i];
        }
        if (prior_sum < 1e-200 || posterior_sum < 1e-200) continue;
        for (std::size_t i = 0; i < 3; ++i) {
          m += prior[i] / prior_sum * kAtoms[i], m_y += posterior[i] / posterior_sum * kAtoms[i];
          square += prior[i] / prior_sum * kAtoms[i] * kAtoms[i];
        }
        add(posterior_sum * step, a / s2 * (square - m * m) * (kY - m) / kNoise, a / s2 * (m_y - m));
      }
    };
    integrate([&](double p, double g, double s) { gs += p * g * s, gg += p * g * g, ss += p * s * s, mass += p; });
    const double expected = gs / gg;
    double variance = 0.0;  // of g s − ζ* g² over x
    integrate([&](double p, double g, double s) { variance += p / mass * std::pow(g * s - expected * g * g, 2); });
    EXPECT_NEAR(*weight.weight, expected, 5.0 * std::sqrt(variance / kDraws) / (gg / mass)) << weight.t;
  }
}

/// With ζ(t) g = q s the bound is (1 − q)² times that of no guidance at all, which is ½ ∫ s² E‖s‖² dλ.
TEST(GirsanovKl, IsQuadraticInTheWeight) {
  const Problem problem = problem_from(kGaussian);
  const NoiseSchedule& schedule = problem.lens->schedule();
  const auto moments = weights_of({problem}, {"dps-sigma", {}}, 500, 33);
  const WeightSchedule best = to_schedule(moments);
  const auto scaled = [&](double q) { return girsanov_kl(schedule, moments, [&](double t) { return q * best.at(schedule, t); }); };
  double none = 0.0;
  for (std::size_t k = 0; k + 1 < moments.size(); ++k)
    none += 0.25 * (schedule.s2(moments[k].t) * moments[k].exact_square + schedule.s2(moments[k + 1].t) * moments[k + 1].exact_square) *
            (schedule.log_snr(moments[k + 1].t) - schedule.log_snr(moments[k].t));
  EXPECT_NEAR(scaled(0.0), none, 1e-12 * none);
  EXPECT_NEAR(scaled(0.5), 0.25 * none, 1e-6 * none);
  EXPECT_NEAR(scaled(1.0), 0.0, 1e-6 * none);
  EXPECT_NEAR(scaled(3.0), 4.0 * none, 1e-6 * none);
}

TEST(GirsanovKl, IsLeastAtTheBestConstantAndNotAboveItAtTheBestWeight) {
  const Problem problem = problem_from(kThreeAtoms);
  const NoiseSchedule& schedule = problem.lens->schedule();
  const auto moments = weights_of({problem}, {"dps-zeta", {}}, 500, 17);
  const double best = best_constant_weight(schedule, moments);
  const auto at = [&](double zeta) { return girsanov_kl(schedule, moments, [=](double) { return zeta; }); };
  for (const double factor : {0.5, 0.99, 1.01, 2.0}) EXPECT_GT(at(factor * best), at(best)) << factor;
  const WeightSchedule weights = to_schedule(moments);
  EXPECT_LE(girsanov_kl(schedule, moments, [&](double t) { return weights.at(schedule, t); }), at(best));
}

TEST(OptimalWeight, PoolsMeasurementsAndTellsTheirSpread) {
  const std::vector<Problem> problems = {problem_from(kGaussian), problem_from(kGaussian, {"measurement.y=[2.5]"}),
                                         problem_from(kGaussian, {"measurement.y=[-0.4]"})};
  for (const OptimalWeight& weight : weights_of(problems, {"dps-sigma", {}}, 50)) {
    EXPECT_NEAR(*weight.weight_error, 0.0, 1e-6 * *weight.weight) << "every y has the same one";
    EXPECT_NEAR(*weight.removed, 1.0, 1e-6);
  }
  for (const OptimalWeight& weight : weights_of(problems, {"dps-zeta", {}}, 50)) {
    EXPECT_GT(*weight.weight_error, 0.0);
    EXPECT_GT(*weight.unrepairable_error, 0.0);
  }
}

TEST(OptimalWeight, TempersPositiveWeightsOnly) {
  EXPECT_EQ(tempered({{0.9, 0.1}, {4.0, 0.25}}), (WeightSchedule{{0.9, 0.1}, {2.0, 0.5}}));
  EXPECT_TRUE(tempered({{0.9, 0.1}, {4.0, 0.0}}).t.empty());
  EXPECT_TRUE(tempered({{0.9, 0.1}, {-4.0, 1.0}}).t.empty());
}

TEST(OptimalWeight, RefusesSamplersWithoutAWeight) {
  const std::vector<Problem> problems = {problem_from(kGaussian)};
  for (const char* name : {"dps", "lens-sde", "exact"}) EXPECT_THROW(weights_of(problems, {name, {}}, 10), UsageError) << name;
  EXPECT_THROW(weights_of({}, {"dps-sigma", {}}, 10), InvalidArgument);
  EXPECT_THROW(weights_of(problems, {"dps-sigma", {}}, 0), InvalidArgument);
  EXPECT_THROW(weights_of(problems, {"dps-sigma", {}}, 10, 1), InvalidArgument);
}

}  // namespace
}  // namespace fslens::test
