#include "fslens/diagnosis/tuning.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/report/report.hpp"
#include "problems.hpp"

namespace fslens::test {
namespace {

TuneResult tune_quickly(const Problem& problem, const SamplerSpec& spec, const std::string& parameter, const TuningRange& range,
                        const TuneOptions& options) {
  SilentObserver observer;
  return tune(problem, spec, parameter, range, options, observer);
}

TuneOptions quick() {
  TuneOptions options;
  options.num_train = 2;
  options.num_test = 3;
  options.num_scanned = 3;
  options.num_refined = 2;
  options.num_resamples = 200;
  options.optimal_weight = {.num_times = 5, .num_draws = 50};
  return options;
}

TEST(TuningSearch, ClosesInOnTheMinimum) {
  for (const double minimum : {0.02, 0.7, 6.0}) {
    std::size_t calls = 0;
    const TuningSearch search = search_range({0.01, 10.0}, 9, 12, 1.0, [&](TuningCandidate& candidate) {
      ++calls;
      candidate.distance = 2.0 + std::pow(std::log(candidate.value / minimum), 2);
    });
    EXPECT_EQ(calls, 9u + 1u + 12u);
    EXPECT_EQ(search.candidates.size(), calls);
    EXPECT_EQ(search.candidates.front().value, 0.01);
    EXPECT_EQ(search.candidates.back().value, 10.0);
    // Twelve points leave at most two steps of the scan times the golden ratio's eleventh power.
    EXPECT_NEAR(std::log(*search.best_value()), std::log(minimum), 2.0 * std::log(1000.0) / 8.0 * std::pow(0.618034, 11)) << minimum;
    EXPECT_EQ(search.edge, RangeEdge::none);
    for (std::size_t i = 1; i < search.candidates.size(); ++i) EXPECT_LT(search.candidates[i - 1].value, search.candidates[i].value);
  }
}

TEST(TuningSearch, SaysWhenTheOptimumMayLieBeyond) {
  const auto ascending = [](TuningCandidate& candidate) { candidate.distance = candidate.value; };
  const auto descending = [](TuningCandidate& candidate) { candidate.distance = -candidate.value; };
  EXPECT_EQ(search_range({0.0, 1.0}, 5, 4, {}, ascending).edge, RangeEdge::low);
  EXPECT_EQ(search_range({0.0, 1.0}, 5, 4, {}, descending).edge, RangeEdge::high);
  const TuningSearch linear = search_range({0.0, 1.0}, 5, 0, 3.0, ascending);
  ASSERT_EQ(linear.candidates.size(), 5u) << "a value outside of the range is not tried";
  EXPECT_EQ(linear.candidates[1].value, 0.25);
}

TEST(TuningSearch, PassesByWhatDiverges) {
  const TuningSearch search = search_range({0.1, 10.0}, 5, 6, {}, [](TuningCandidate& candidate) {
    if (candidate.value > 2.0) candidate.num_diverged = 1;
    else candidate.distance = 10.0 - candidate.value;
  });
  EXPECT_GT(*search.best_value(), 1.0);
  EXPECT_LE(*search.best_value(), 2.0);
  const TuningSearch none = search_range({0.1, 10.0}, 5, 3, {}, [](TuningCandidate& candidate) { candidate.num_diverged = 2; });
  EXPECT_FALSE(none.best);
}

TEST(TuningSearch, RangesAreReadStrictly) {
  EXPECT_EQ(parse_tuning_range("0.01:10").high, 10.0);
  EXPECT_TRUE(parse_tuning_range("0.01:10").is_logarithmic());
  EXPECT_FALSE(parse_tuning_range("-1:1e1").is_logarithmic());
  for (const char* text : {"", "1", "1:", ":1", "2:1", "1:1", "a:1", "1:2x", "1:inf", "1:2:3"})
    EXPECT_THROW(parse_tuning_range(text), UsageError) << text;
}

/// Exact draws have no excess on average. 100 samples against one reference, whose null mean has 40 repetitions of its own: five standard
/// errors, P < 1e-5 for each of four metrics.
TEST(PosteriorDistance, OfExactDrawsIsNullOnAverage) {
  constexpr std::size_t kSamples = 100, kParticles = 200;
  const Problem problem = problem_from(kLabelledPlane);
  for (const TuningMetric metric : {TuningMetric::sliced_w2, TuningMetric::energy, TuningMetric::mode_weights, TuningMetric::spread}) {
    const PosteriorDistance distance(metric, problem, kParticles, RandomStream(4).child("reference"));
    double sum = 0.0, square = 0.0;
    for (std::size_t i = 0; i < kSamples; ++i) {
      const auto value = distance.measure(problem.lens->sample(Measure::posterior, kParticles, problem.grid.back(), RandomStream(9), i).x);
      ASSERT_TRUE(value);
      EXPECT_GE(value->value, 0.0);
      EXPECT_GT(value->band, 0.0);
      sum += value->excess, square += value->excess * value->excess;
    }
    const double n = kSamples, mean = sum / n, sd = std::sqrt((square - n * mean * mean) / (n - 1.0));
    EXPECT_LT(std::abs(mean), 5.0 * sd * std::sqrt(1.0 / n + 1.0 / PosteriorDistance::kRepetitions)) << to_string(metric);
  }
}

/// A shift of every particle by δ along a unit direction has the mean W2² δ²/d over directions: in standard deviations δ/√(Tr Cov).
TEST(PosteriorDistance, OfAShiftIsTheShiftInStandardDeviations) {
  const Problem problem = problem_from(kGaussian);
  constexpr std::size_t kParticles = 2000;
  const PosteriorDistance distance(TuningMetric::sliced_w2, problem, kParticles, RandomStream(4));
  const double sd = std::sqrt(problem.lens->moments(Measure::posterior, problem.grid.back()).covariance(0, 0));
  Matrix x = problem.lens->sample(Measure::posterior, kParticles, problem.grid.back(), RandomStream(9)).x;
  for (double& value : x.values()) value += 3.0 * sd;
  EXPECT_NEAR(distance.measure(x)->value, 3.0, 5.0 / std::sqrt(kParticles / 2.0));
  x(7, 0) = std::nan("");
  EXPECT_FALSE(distance.measure(x));
}

TEST(PosteriorDistance, ModeWeightsNeedModes) {
  EXPECT_THROW(PosteriorDistance(TuningMetric::mode_weights, problem_from(kGaussian), 100, RandomStream(1)), InvalidArgument);
  EXPECT_EQ(parse_tuning_metric("mode-weights"), TuningMetric::mode_weights);
  EXPECT_EQ(to_string(TuningMetric::sliced_w2), "sliced-w2");
  EXPECT_THROW(parse_tuning_metric("sliced_w2"), UsageError);
}

TEST(Tune, DoesNotDependOnThreads) {
  const Problem problem = problem_from(kThreeAtoms, {"run.particles=100", "grid.steps=20"});
  const auto document = [&](std::size_t threads) {
    const ThreadLimit limit(threads);
    TuneResult result = tune_quickly(problem, {"dps-zeta", {}}, "zeta", {0.1, 1.0}, quick());
    result.seconds = 0.0;
    return to_json(result);
  };
  EXPECT_EQ(document(1), document(2));
}

TEST(Tune, ComparesSettingsUnderTheSameRandomNumbers) {
  const Problem problem = problem_from(kThreeAtoms, {"run.particles=100", "grid.steps=20"});
  const TuneResult result = tune_quickly(problem, {"dps-sigma", {}}, "scale", {0.2, 4.0}, quick());
  ASSERT_EQ(result.tested.size(), result.tempered.t.empty() ? 4u : 5u);
  EXPECT_EQ(result.default_value, 1.0);
  EXPECT_EQ(result.search.candidates.size(), 3u + 1u + 2u) << "the default is tried too";
  for (const TestedSetting& setting : result.tested) {
    EXPECT_EQ(setting.distances.size(), 3u);
    EXPECT_EQ(setting.checks.size(), 10u);
    EXPECT_EQ(setting.improvement.has_value(), setting.name != "default");
  }
  // A schedule of ones and the default are the same setting.
  SamplerSpec ones{"dps-sigma", {{"schedule", "ones"}}, WeightSchedule{{0.5}, {1.0}}};
  const TuneResult again = tune_quickly(problem, ones, "scale", {0.2, 4.0}, quick());
  for (std::size_t y = 0; y < 3; ++y) EXPECT_NEAR(*again.tested[0].distances[y], *result.tested[0].distances[y], 1e-6);
}

/// tmpd is exact for a linear Gaussian problem: at a fine grid its best factor is 1 and nothing beyond discretisation is left.
TEST(Tune, FindsThatAnExactGuidanceNeedsNoFactor) {
  const Problem problem = problem_from(kGaussian, {"run.particles=600", "grid.steps=40", "grid.integrator=exponential", "grid.spacing=log-snr"});
  TuneOptions options = quick();
  options.num_scanned = 5;
  options.num_refined = 4;
  const TuneResult result = tune_quickly(problem, {"tmpd", {}}, "scale", {0.25, 3.0}, options);
  EXPECT_NEAR(*result.search.best_value(), 1.0, 0.15);
  EXPECT_EQ(result.search.edge, RangeEdge::none);
  for (const OptimalWeight& weight : result.optimal_weights) EXPECT_NEAR(*weight.weight, 1.0, 1e-6);
  EXPECT_LT(*result.find("tuned")->mean, 0.2);
}

/// dps-sigma leaves out the variance of x_0 given x_t: no constant repairs all times at once, ζ*(t) = σ²/(A² C + σ²) does.
TEST(Tune, TheWeightAlongTimeRepairsWhatNoConstantCan) {
  const Problem problem = problem_from(kGaussian, {"run.particles=300", "grid.steps=60", "grid.integrator=exponential", "grid.spacing=log-snr"});
  TuneOptions options = quick();
  options.num_test = 6;
  options.num_scanned = 5;
  options.num_refined = 4;
  options.optimal_weight.num_times = 33;
  const TuneResult result = tune_quickly(problem, {"dps-sigma", {}}, "scale", {0.03, 3.0}, options);
  ASSERT_TRUE(result.find("schedule")->over_tuned);
  EXPECT_GT(*result.find("schedule")->over_tuned->low, 1.0);
  EXPECT_LT(*result.find("schedule")->mean, 0.2);
}

TEST(Tune, RefusesByName) {
  const Problem problem = problem_from(kThreeAtoms, {"run.particles=100", "grid.steps=10"});
  const auto message = [&](const SamplerSpec& spec, const std::string& parameter, const TuningRange& range) -> std::string {
    try {
      tune_quickly(problem, spec, parameter, range, quick());
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message({"dps-zeta", {}}, "weight", {0.1, 1.0}), "'weight' of dps-zeta is not a scalar; what can be tuned: zeta, eta");
  EXPECT_EQ(message({"dps-zeta", {}}, "zeto", {0.1, 1.0}),
            "unknown scalar parameter of dps-zeta 'zeto' (did you mean 'zeta'?); known: zeta, eta");
  EXPECT_EQ(message({"exact", {}}, "zeta", {0.1, 1.0}), "exact has no scalar parameter that could be tuned");
  EXPECT_EQ(message({"tmpd", {}}, "eta", {0.0, 1.0}), "tmpd: eta is a parameter of integrator=ddim, but the integrator is 'euler-maruyama'");
  EXPECT_THROW(tune_quickly(problem, {"dps-zeta", {}}, "zeta", {-1.0, 1.0}, quick()), InvalidArgument);
  TuneOptions one_test = quick();
  one_test.num_test = 1;
  EXPECT_THROW(tune_quickly(problem, {"dps-zeta", {}}, "zeta", {0.1, 1.0}, one_test), InvalidArgument);
}

}  // namespace
}  // namespace fslens::test
