#include "fslens/diagnosis/calibration.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/report/calibration_report.hpp"
#include "problems.hpp"
#include "support/rank_law.hpp"

namespace fslens::test {
namespace {

CalibrationReport calibrated(const Problem& problem, const CalibrateOptions& options) {
  SilentObserver observer;
  return calibrate(problem, options, observer);
}

const RankResult& result_of(const SamplerCalibration& sampler, const std::string& id) {
  return *std::ranges::find(sampler.ranks, id, &RankResult::statistic);
}

const CalibrationStatistic& statistic_of(const CalibrationReport& report, const std::string& id) {
  return *std::ranges::find(report.statistics, id, &CalibrationStatistic::id);
}

/// Mean and variance of the final state of Euler–Maruyama with dps-sigma's score on a one-dimensional Gaussian problem, as functions of y:
/// mean = mean[0] + mean[1] y. Prior N(μ, v0), y = α x + β + N(0, σ²). With γ = a² v0 + s² the denoiser is m = μ + (a v0/γ)(x − b − a μ),
/// J = a v0/γ, and the whole score is −(x − b − a μ)/γ + J α (y − α m − β)/σ²: affine in x, so the chain stays Gaussian.
struct GaussianChain {
  double mean[2] = {0.0, 0.0};
  double variance = 0.0;
};

GaussianChain dps_sigma_chain(const Problem& problem, double mu, double v0, double alpha, double beta, double sigma) {
  const NoiseSchedule& schedule = problem.lens->schedule();
  GaussianChain chain{{schedule.shift(problem.grid.front()), 0.0}, schedule.s2(problem.grid.front())};
  for (std::size_t k = 0; k + 1 < problem.grid.size(); ++k) {
    const double t = problem.grid[k], step = t - problem.grid[k + 1];
    const double a = schedule.a(t), shift = schedule.shift(t), gamma = a * a * v0 + schedule.s2(t), jacobian = a * v0 / gamma;
    // m = m0 + J x; score = c0 + c1 x + cy y
    const double m0 = mu - jacobian * (shift + a * mu), pull = jacobian * alpha / (sigma * sigma);
    const double c1 = -1.0 / gamma - pull * alpha * jacobian, c0 = (shift + a * mu) / gamma - pull * (alpha * m0 + beta), cy = pull;
    const double g2 = schedule.g2(t), f = schedule.f(t);
    const double factor = 1.0 + (-f + g2 * c1) * step;
    chain.mean[0] = factor * chain.mean[0] + (f * schedule.mean() + g2 * c0) * step;
    chain.mean[1] = factor * chain.mean[1] + g2 * cy * step;
    chain.variance = factor * factor * chain.variance + g2 * step;
  }
  return chain;
}

/// dps-sigma is over-confident by the number that the recursion predicts: the truth at t_min less the chain's mean is Gaussian over y and
/// x_0, and the coverage of its central intervals follows by quadrature. Six levels and the mean rank, false alarms 1e-6 each.
TEST(Calibration, DpsSigmaCoversWhatItsChainsLawPredicts) {
  constexpr double kMu = 0.5, kV0 = 0.6, kAlpha = 1.2, kBeta = -0.1, kSigma = 0.25;
  const Problem problem = problem_from(kGaussian);
  constexpr std::size_t kReplicates = 1500, kDraws = 39;
  const CalibrationReport report = calibrated(problem, {.samplers = {{"dps-sigma", {}}}, .replicates = kReplicates, .draws = kDraws});
  const GaussianChain chain = dps_sigma_chain(problem, kMu, kV0, kAlpha, kBeta, kSigma);
  const NoiseSchedule& schedule = problem.lens->schedule();
  const double t = problem.grid.back(), a = schedule.a(t);
  // x_T − mean[0] − mean[1] y with x_T = a x_0 + b + s ε and y = α x_0 + β + σ n.
  const double slope = a - chain.mean[1] * kAlpha;
  const double offset = slope * kMu + schedule.shift(t) - chain.mean[0] - chain.mean[1] * kBeta;
  const double variance = slope * slope * kV0 + schedule.s2(t) + chain.mean[1] * chain.mean[1] * kSigma * kSigma;
  const std::vector<double> law = rank_law(kDraws, offset / std::sqrt(chain.variance), variance / chain.variance);

  const SamplerCalibration& sampler = report.samplers[1];
  const RankResult& ranks = result_of(sampler, "x_1");
  for (const double level : {0.2, 0.4, 0.6, 0.8, 0.9, 0.95}) {
    const std::size_t k = nearest_level(report.central, level);
    double predicted = 0.0;
    for (std::size_t rank = report.central.first[k]; rank <= report.central.last[k]; ++rank) predicted += law[rank];
    EXPECT_NEAR(ranks.coverage.coverage[k], predicted, 4.9 * std::sqrt(predicted * (1.0 - predicted) / kReplicates)) << level;
    EXPECT_LT(predicted, level - 0.04) << "over-confident, and not by chance";
  }
  EXPECT_EQ(ranks.uniformity.direction, Miscalibration::over_confident);
  EXPECT_FALSE(ranks.uniformity.within_band);
  EXPECT_EQ(sampler.check.verdict, Verdict::fail) << sampler.check.finding;
  EXPECT_EQ(sampler.check.id, "calibration");
  EXPECT_GT(*sampler.check.low, 0.05);
  EXPECT_FALSE(sampler.check.advice.empty());
  ASSERT_TRUE(sampler.c2st);
  EXPECT_GT(sampler.c2st->interval.low, 0.5);
  EXPECT_EQ(report.verdict, Verdict::fail);
}

/// Exact draws are exactly calibrated where the prior is known: bands of all rank ECDFs at 1 − 1e-5 hold (a false alarm in 1e4 over the ten
/// bands), and none of them fails.
TEST(Calibration, ExactDrawsAreUniformWithinSimultaneousBands) {
  constexpr std::size_t kReplicates = 3000, kDraws = 19;
  for (const std::string_view text : {kGaussian, kThreeAtoms}) {
    const CalibrationReport report = calibrated(problem_from(text), {.samplers = {}, .replicates = kReplicates, .draws = kDraws});
    const UniformRanks uniform(kReplicates, kDraws, 1.0 - 1e-5);
    for (const RankResult& result : report.samplers[0].ranks) {
      EXPECT_TRUE(uniform.band.contains(result.uniformity.ecdf)) << result.statistic;
      EXPECT_NE(result.verdict, Verdict::fail) << result.statistic;
    }
    EXPECT_FALSE(report.left_out);
    EXPECT_NE(report.verdict, Verdict::fail);
  }
}

/// Ten atoms, truth left out, sharp measurement: the exact draws of the nine others cannot hold the truth, so no sampler is convicted.
TEST(Calibration, ATruthThatIsLeftOutMakesTheVerdictInconclusive) {
  Problem problem = problem_from(kLabelledPlane, {"noise.sigma=0.02"});
  problem.is_population = false;
  const CalibrationReport report = calibrated(problem, {.samplers = {{"dps-sigma", {}}}, .replicates = 400, .draws = 19});
  EXPECT_TRUE(report.left_out);
  EXPECT_EQ(statistic_of(report, "hpd").validity, Validity::marked);
  EXPECT_FALSE(statistic_of(report, "hpd").reason.empty());
  EXPECT_EQ(report.samplers[0].check.verdict, Verdict::inconclusive) << report.samplers[0].check.finding;
  EXPECT_EQ(report.samplers[1].check.verdict, Verdict::inconclusive);
  EXPECT_NE(report.samplers[1].check.finding.find("exact draws"), std::string::npos) << report.samplers[1].check.finding;
  EXPECT_TRUE(result_of(report.samplers[1], "x_1").from_control);
  EXPECT_FALSE(result_of(report.samplers[0], "x_1").from_control);
}

/// A prior of 12 dimensions: projections instead of coordinates, and hpd and tarp are shown but not judged; in 120 tarp is refused.
TEST(Calibration, StatisticsAreMarkedAndRefusedInManyDimensions) {
  for (const std::size_t d : {12, 120}) {
    std::string mean = "[0", rows = "[";
    for (std::size_t j = 1; j < d; ++j) mean += ", 0";
    for (std::size_t i = 0; i < d; ++i) {
      rows += i == 0 ? "[" : ", [";
      for (std::size_t j = 0; j < d; ++j) rows += (j == 0 ? "" : ", ") + std::string(i == j ? "1.0" : "0.0");
      rows += "]";
    }
    const std::string text = "[prior]\nkind = \"gaussian\"\nmean = " + mean + "]\ncov = " + rows +
                             "]\n[operator]\nkind = \"identity\"\n[noise]\nsigma = 1.0\n[measurement]\nfrom_prior = true\n[grid]\nsteps = 5\n";
    const CalibrationReport report = calibrated(problem_from(text), {.samplers = {}, .replicates = 100, .draws = 9});
    EXPECT_EQ(statistic_of(report, "hpd").validity, Validity::marked);
    EXPECT_EQ(statistic_of(report, "tarp").validity, d > 100 ? Validity::refused : Validity::marked);
    EXPECT_EQ(report.statistics.front().id, "pc_1");
    EXPECT_EQ(report.samplers[0].ranks.size(), d > 100 ? 5u : 6u);
    EXPECT_NE(to_text(report).find("tarp is"), std::string::npos);
  }
}

/// A sampler that diverges on most measurements fails by that alone; its ranks are absent and not invented.
TEST(Calibration, DrawsThatAreNotFiniteAreCountedAndFail) {
  const Problem problem = problem_from(kGaussian, {"noise.sigma=1e-3", "grid.steps=400", "grid.t_min=1e-3"});
  const CalibrationReport report = calibrated(problem, {.samplers = {{"dps-sigma", {}}}, .replicates = 60, .draws = 9});
  const SamplerCalibration& sampler = report.samplers[1];
  ASSERT_GT(sampler.num_unranked, 30u) << "the guidance is meant to be too stiff for the step";
  EXPECT_EQ(sampler.status, "diverged");
  EXPECT_EQ(sampler.check.verdict, Verdict::fail);
  for (const RankResult& result : sampler.ranks) EXPECT_EQ(result.ranks.size() + sampler.num_unranked, 60u);
}

TEST(Calibration, DoesNotDependOnThreads) {
  const Problem problem = problem_from(kThreeAtoms);
  const CalibrateOptions options{.samplers = {{"pigdm", {}}}, .replicates = 60, .draws = 9};
  const CalibrationReport all = calibrated(problem, options);
  const ThreadLimit one(1);
  const CalibrationReport single = calibrated(problem, options);
  for (std::size_t i = 0; i < all.samplers.size(); ++i)
    for (std::size_t q = 0; q < all.samplers[i].ranks.size(); ++q) EXPECT_EQ(all.samplers[i].ranks[q].ranks, single.samplers[i].ranks[q].ranks);
  EXPECT_EQ(all.samplers[1].c2st->p_value, single.samplers[1].c2st->p_value);
}

/// More replicates and other samplers leave the ranks that were there as they are.
TEST(Calibration, AReplicateIsAFunctionOfSeedAndIndex) {
  const Problem problem = problem_from(kThreeAtoms);
  const CalibrationReport few = calibrated(problem, {.samplers = {}, .replicates = 50, .draws = 9});
  const CalibrationReport more = calibrated(problem, {.samplers = {{"tmpd", {}}}, .replicates = 70, .draws = 9});
  const std::vector<std::size_t>& a = few.samplers[0].ranks[0].ranks;
  EXPECT_TRUE(std::equal(a.begin(), a.end(), more.samplers[0].ranks[0].ranks.begin()));
}

TEST(Calibration, StatesWhatItCanDetect) {
  const CalibrationReport small = calibrated(problem_from(kThreeAtoms), {.samplers = {}, .replicates = 50, .draws = 9});
  const CalibrationReport large = calibrated(problem_from(kThreeAtoms), {.samplers = {}, .replicates = 800, .draws = 9});
  // Four judged statistics: margin + √(log(2·4/.01)/2R) + 1.645/(2√R).
  EXPECT_NEAR(small.detectable, 0.05 + std::sqrt(std::log(800.0) / 100.0) + 1.6448536 / (2.0 * std::sqrt(50.0)), 1e-6);
  EXPECT_NEAR(large.detectable - 0.05, (small.detectable - 0.05) / 4.0, 1e-12);
  EXPECT_EQ(small.replicates_to_pass, std::optional<std::size_t>(2729));
  const CalibrationReport strict = calibrated(problem_from(kThreeAtoms, {"margins.calibration=0"}), {.samplers = {}, .replicates = 50, .draws = 9});
  EXPECT_FALSE(strict.replicates_to_pass);
  EXPECT_EQ(strict.verdict, Verdict::inconclusive) << "no number of replicates shows a deviation of exactly 0";
}

class Impatient final : public Observer {
 public:
  void progress(std::string_view, std::size_t done, std::size_t) override { seen_ = std::max(seen_, done); }
  bool interrupted() override { return seen_ >= 3; }

 private:
  std::size_t seen_ = 0;
};

TEST(Calibration, CanBeInterruptedAndRefusesBadInput) {
  const Problem problem = problem_from(kThreeAtoms);
  Impatient observer;
  EXPECT_THROW(calibrate(problem, {.samplers = {}, .replicates = 100000, .draws = 9}, observer), Interrupted);
  EXPECT_THROW(calibrated(problem, {.samplers = {}, .replicates = 49}), InvalidArgument);
  EXPECT_THROW(calibrated(problem, {.samplers = {}, .replicates = 50, .draws = 8}), InvalidArgument);
  EXPECT_THROW(calibrated(problem, {.samplers = {{"pigmd", {}}}, .replicates = 50}), UsageError);
  EXPECT_THROW(calibrated(problem, {.samplers = {{"pigdm", {}}, {"pigdm", {}}}, .replicates = 50}), UsageError);
  EXPECT_THROW(calibrated(problem, {.samplers = {{"exact", {{"zeta", "1"}}}}, .replicates = 50}), UsageError);
}

}  // namespace
}  // namespace fslens::test
