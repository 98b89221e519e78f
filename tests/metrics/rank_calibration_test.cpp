// Ranks, coverage and TARP: by hand, by the law of ranks that theory gives, and on exact draws.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/metrics/credible_coverage.hpp"
#include "fslens/metrics/intervals.hpp"
#include "fslens/metrics/simulation_based_calibration.hpp"
#include "fslens/metrics/tarp.hpp"
#include "fslens/rng/stream.hpp"
#include "support/rank_law.hpp"
#include "support/special_values.hpp"

namespace fslens {
namespace {

TEST(RankOfTruth, CountsTheDrawsBelow) {
  const std::vector<double> draws{0.3, -1.0, 2.0, 0.1};
  EXPECT_EQ(rank_of_truth(0.2, draws, RandomStream(1), 0), 2u);
  EXPECT_EQ(rank_of_truth(-5.0, draws, RandomStream(1), 0), 0u);
  EXPECT_EQ(rank_of_truth(5.0, draws, RandomStream(1), 0), 4u);
  EXPECT_FALSE(rank_of_truth(test::kNan, draws, RandomStream(1), 0));
  EXPECT_FALSE(rank_of_truth(0.0, std::vector<double>{0.0, test::kInfinity}, RandomStream(1), 0));
}

/// Chi-squared of 4 cells, 3 degrees: above 35.9 with probability 8e-8.
TEST(RankOfTruth, BreaksTiesEvenly) {
  const std::vector<double> draws{1.0, 1.0, 0.0, 1.0, 2.0};
  std::vector<double> count(6, 0.0);
  constexpr std::size_t kReplicates = 8000;
  for (std::size_t r = 0; r < kReplicates; ++r) count[*rank_of_truth(1.0, draws, RandomStream(3), r)] += 1.0;
  EXPECT_EQ(count[0], 0.0);
  EXPECT_EQ(count[5], 0.0);
  double chi2 = 0.0;
  for (std::size_t rank = 1; rank <= 4; ++rank) chi2 += std::pow(count[rank] - kReplicates / 4.0, 2.0) / (kReplicates / 4.0);
  EXPECT_LT(chi2, 35.9);
}

TEST(RankUniformity, IsWhatItSaysByHand) {
  const UniformRanks uniform(4, 3, 0.9);
  const std::vector<std::size_t> ranks{0, 0, 3, 1};
  const RankUniformity result = rank_uniformity(ranks, uniform);
  EXPECT_EQ(result.ecdf, (std::vector<double>{0.5, 0.75, 0.75}));
  EXPECT_NEAR(result.max_deviation, 0.25, 1e-15);
  EXPECT_NEAR(result.mean_offset, (0.125 + 0.125 + 0.875 + 0.375) / 4 - 0.5, 1e-15);
  EXPECT_NEAR(result.distance_offset, (0.375 + 0.375 + 0.375 + 0.125) / 4 - 0.25, 1e-15);
  EXPECT_EQ(result.direction, Miscalibration::none) << "four ranks say nothing for certain";
  EXPECT_THROW(rank_uniformity(std::vector<std::size_t>{0, 1, 2, 4}, uniform), InvalidArgument);
  EXPECT_THROW(rank_uniformity(std::vector<std::size_t>{0, 1, 2}, uniform), InvalidArgument);
  EXPECT_THROW(UniformRanks(10, 0, 0.9), InvalidArgument);
}

TEST(CredibleCoverage, LevelsAreExactForUniformRanks) {
  for (const std::size_t draws : {2, 3, 10, 99})
    for (const bool central : {true, false}) {
      const CoverageLevels levels = central ? CoverageLevels::central(500, draws, 0.99) : CoverageLevels::nested(500, draws, 0.99);
      std::vector<std::size_t> each;
      for (std::size_t rank = 0; rank <= draws; ++rank) each.push_back(rank);
      const CoverageCurve curve = credible_coverage(each, levels);
      for (std::size_t k = 0; k < levels.level.size(); ++k) EXPECT_NEAR(curve.coverage[k], levels.level[k], 1e-14) << draws << " " << central;
    }
  EXPECT_NEAR(CoverageLevels::central(500, 99, 0.99).level[nearest_level(CoverageLevels::central(500, 99, 0.99), 0.9)], 0.9, 1e-15);
  EXPECT_THROW(CoverageLevels::central(500, 1, 0.99), InvalidArgument);
}

TEST(CredibleCoverage, CountsTheTruthsWithin) {
  const CoverageLevels levels = CoverageLevels::central(4, 5, 0.9);  // ranks 2–3 (level 1/3), 1–4 (2/3)
  const CoverageCurve curve = credible_coverage(std::vector<std::size_t>{0, 1, 2, 5}, levels);
  EXPECT_EQ(curve.coverage, (std::vector<double>{0.25, 0.5}));
  EXPECT_NEAR(curve.interval[0].high, clopper_pearson(1, 4).high, 1e-15);
}

TEST(StandardisedDistances, AreInUnitsOfTheScale) {
  const Matrix x(2, 2, {3.0, 8.0, 0.0, test::kNan});
  const std::vector<double> distances = standardised_distances(x, std::vector<double>{0.0, 0.0}, std::vector<double>{1.0, 2.0});
  EXPECT_NEAR(distances[0], 5.0, 1e-15);
  EXPECT_TRUE(std::isnan(distances[1]));
  EXPECT_THROW(standardised_distances(x, std::vector<double>{0.0, 0.0}, std::vector<double>{1.0, 0.0}), InvalidArgument);
}


/// Truths N(0, truth_variance) ranked among draws N(offset, variance).
std::vector<std::size_t> gaussian_ranks(std::size_t replicates, std::size_t draws, double truth_variance, double offset, double variance) {
  const RandomStream stream(29);
  std::vector<std::size_t> ranks;
  std::vector<double> values(draws);
  for (std::size_t r = 0; r < replicates; ++r) {
    for (std::size_t l = 0; l < draws; ++l) values[l] = offset + std::sqrt(variance) * stream.normal(0, r, l);
    ranks.push_back(*rank_of_truth(std::sqrt(truth_variance) * stream.normal(1, r), values, stream, r));
  }
  return ranks;
}

TEST(RankUniformity, NamesTheDirection) {
  constexpr std::size_t kReplicates = 2000, kDraws = 19;
  const UniformRanks uniform(kReplicates, kDraws, 0.99);
  const auto direction = [&](double offset, double variance) {
    return rank_uniformity(gaussian_ranks(kReplicates, kDraws, 1.0, offset, variance), uniform).direction;
  };
  EXPECT_EQ(direction(0.0, 0.25), Miscalibration::over_confident);
  EXPECT_EQ(direction(0.0, 4.0), Miscalibration::under_confident);
  EXPECT_EQ(direction(-0.5, 1.0), Miscalibration::biased_low);
  EXPECT_EQ(direction(0.5, 1.0), Miscalibration::biased_high);
  EXPECT_EQ(direction(0.0, 1.0), Miscalibration::none);
}

/// mathematics.md, P4: at t = 0.2 the exact posterior has variance .35797; the one that dps-sigma implies .08537, pigdm's .45447, all with
/// the same mean in the average here (offset 0). Draws from the implied posteriors have the coverage that those numbers predict: of central
/// intervals, P(j ≤ rank ≤ L − j) by quadrature. 5 levels × 3 laws; false alarms 1e-6 each.
TEST(CredibleCoverage, IsWhatTheImpliedVariancesOfP4Predict) {
  constexpr std::size_t kReplicates = 10000, kDraws = 99;
  constexpr double kTruth = 0.35797;
  const CoverageLevels levels = CoverageLevels::central(kReplicates, kDraws, 0.99);
  const UniformRanks uniform(kReplicates, kDraws, 0.99);
  const std::vector<std::pair<double, Miscalibration>> laws{
      {kTruth, Miscalibration::none}, {0.08537, Miscalibration::over_confident}, {0.45447, Miscalibration::under_confident}};
  for (const auto& [variance, direction] : laws) {
    const std::vector<std::size_t> ranks = gaussian_ranks(kReplicates, kDraws, kTruth, 0.0, variance);
    const std::vector<double> law = test::rank_law(kDraws, 0.0, kTruth / variance);
    const CoverageCurve curve = credible_coverage(ranks, levels);
    for (const double level : {0.3, 0.5, 0.8, 0.9, 0.98}) {
      const std::size_t k = nearest_level(levels, level);
      double predicted = 0.0;
      for (std::size_t rank = levels.first[k]; rank <= levels.last[k]; ++rank) predicted += law[rank];
      EXPECT_NEAR(curve.coverage[k], predicted, 4.9 * std::sqrt(predicted * (1.0 - predicted) / kReplicates)) << variance << " at " << level;
    }
    EXPECT_EQ(rank_uniformity(ranks, uniform).direction, direction) << variance;
    EXPECT_EQ(curve.within_band, direction == Miscalibration::none) << variance;
  }
}

/// Exact posteriors in 50 dimensions: TARP with prior draws as references passes; normalised by the range of draws and truth together, which
/// depends on both, it does not. Bands of 1 − 1e-6: a false alarm of the first in 1e6; the second fails by construction.
TEST(Tarp, PassesExactPosteriorsInHighDimensionWhereNormalisationByDrawsDoesNot) {
  constexpr std::size_t kReplicates = 1500, kDraws = 20, kDim = 50;
  const RandomStream stream(31);
  const UniformRanks uniform(kReplicates, kDraws, 1.0 - 1e-6);
  std::vector<std::size_t> fixed, normalised;
  Matrix x(kDraws + 1, kDim), scaled(kDraws + 1, kDim);  // the last row is the truth
  const std::vector<double> scale(kDim, std::sqrt(2.0));
  std::vector<double> reference(kDim), unit(kDim);
  for (std::size_t r = 0; r < kReplicates; ++r) {
    for (std::size_t j = 0; j < kDim; ++j) {
      const double mean = stream.normal(0, r, j);  // the posterior is N(mean, 1), the prior N(0, 2)
      for (std::size_t l = 0; l <= kDraws; ++l) x(l, j) = mean + stream.child("draws", l).normal(0, r, j);
      reference[j] = std::sqrt(2.0) * stream.normal(1, r, j);
      unit[j] = stream.uniform(2, r, j);
      double low = x(0, j), high = x(0, j);
      for (std::size_t l = 1; l < kDraws; ++l) low = std::min(low, x(l, j)), high = std::max(high, x(l, j));
      for (std::size_t l = 0; l <= kDraws; ++l) scaled(l, j) = (x(l, j) - low) / (high - low);
    }
    const auto rank = [&](const std::vector<double>& d) { return *rank_of_truth(d.back(), std::span(d).first(kDraws), stream, r); };
    fixed.push_back(rank(standardised_distances(x, reference, scale)));
    normalised.push_back(rank(standardised_distances(scaled, unit, std::vector<double>(kDim, 1.0))));
  }
  EXPECT_TRUE(rank_uniformity(fixed, uniform).within_band);
  EXPECT_FALSE(rank_uniformity(normalised, uniform).within_band);
}

}  // namespace
}  // namespace fslens
