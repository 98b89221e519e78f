#include "fslens/metrics/ecdf_band.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/metrics/intervals.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {
namespace {

std::vector<double> evenly(std::size_t cells) {
  std::vector<double> out;
  for (std::size_t i = 1; i < cells; ++i) out.push_back(static_cast<double>(i) / static_cast<double>(cells));
  return out;
}

/// The sum of multinomial probabilities over every table of counts whose path stays in the band: the definition.
double enumerated(std::size_t n, const std::vector<double>& cumulative, const std::vector<std::size_t>& low, const std::vector<std::size_t>& high) {
  double sum = 0.0;
  const std::function<void(std::size_t, std::size_t, double)> place = [&](std::size_t i, std::size_t below, double log_probability) {
    const double start = i == 0 ? 0.0 : cumulative[i - 1];
    const auto term = [](std::size_t count, double p) { return static_cast<double>(count) * std::log(p) - std::lgamma(static_cast<double>(count) + 1.0); };
    if (i == cumulative.size()) {
      sum += std::exp(log_probability + term(n - below, 1.0 - start) + std::lgamma(static_cast<double>(n) + 1.0));
      return;
    }
    for (std::size_t count = 0; below + count <= n; ++count)
      if (below + count >= low[i] && below + count <= high[i]) place(i + 1, below + count, log_probability + term(count, cumulative[i] - start));
  };
  place(0, 0, 0.0);
  return sum;
}

TEST(NonCrossingProbability, IsTheSumOfMultinomialProbabilities) {
  const std::vector<double> cumulative{0.1, 0.35, 0.5, 0.9};
  EXPECT_NEAR(non_crossing_probability(9, cumulative, std::vector<std::size_t>{0, 1, 3, 6}, std::vector<std::size_t>{3, 5, 6, 9}),
              enumerated(9, cumulative, {0, 1, 3, 6}, {3, 5, 6, 9}), 1e-13);
  EXPECT_NEAR(non_crossing_probability(9, cumulative, std::vector<std::size_t>{0, 0, 0, 0}, std::vector<std::size_t>{9, 9, 9, 9}), 1.0, 1e-13);
  EXPECT_EQ(non_crossing_probability(9, cumulative, std::vector<std::size_t>{2, 2, 2, 2}, std::vector<std::size_t>{1, 9, 9, 9}), 0.0);
}

TEST(NonCrossingProbability, OfOnePointIsBinomial) {
  const std::vector<double> half{0.5};
  // P(40 ≤ Bin(100, ½) ≤ 60) = .96479980 (exact sum).
  EXPECT_NEAR(non_crossing_probability(100, half, std::vector<std::size_t>{40}, std::vector<std::size_t>{60}), 0.9647997997822951, 1e-12);
}

TEST(SimultaneousEcdfBand, IsTheWidestLevelThatKeepsTheCoverage) {
  for (const std::size_t n : {50, 1000, 5000}) {
    const EcdfBand band = simultaneous_ecdf_band(n, evenly(100), 0.99);
    EXPECT_GE(band.coverage, 0.99) << n;
    EXPECT_LT(band.coverage, 0.9935) << n << ": counts are whole, so the level is reached from above";
    EXPECT_GT(band.gamma, 0.01 / 99) << n << ": better than Bonferroni";
    EXPECT_LT(band.gamma, 0.01) << n;
  }
}

/// For many draws and points √n max|F̂ − F| has Kolmogorov's law, median .82757 and 95 % quantile 1.35810; over K evenly spaced points the
/// maximum of a Brownian bridge is smaller by −ζ(½)/√(2πK) = .5826/√K (Siegmund's correction).
TEST(EcdfDeviationQuantile, ApproachesKolmogorovsLaw) {
  constexpr std::size_t kCount = 10000, kCells = 100;
  const double root = std::sqrt(static_cast<double>(kCount)), lost = 0.5826 / std::sqrt(static_cast<double>(kCells));
  EXPECT_NEAR(root * ecdf_deviation_quantile(kCount, evenly(kCells), 0.5), 0.82757 - lost, 0.01);  // whole counts: steps of .01
  EXPECT_NEAR(root * ecdf_deviation_quantile(kCount, evenly(kCells), 0.95), 1.35810 - lost, 0.015);
}

TEST(EcdfDeviationQuantile, OfOneDrawAndOnePointIsByHand) {
  EXPECT_NEAR(ecdf_deviation_quantile(1, std::vector<double>{0.25}, 0.5), 1.0, 0.0) << "0 or 1 below a point at ¼: off by ¼ or ¾, in steps of 1/n";
}

/// Coverage of the bands by simulation: 4000 sets of 300 ranks 0 … 19. The count within the band is binomial with the exact coverage; false
/// alarms 1e-6 (4.9 standard deviations).
TEST(SimultaneousEcdfBand, CoversAsOftenAsItSays) {
  constexpr std::size_t kSets = 4000, kRanks = 300, kCells = 20;
  const EcdfBand band = simultaneous_ecdf_band(kRanks, evenly(kCells), 0.9);
  const RandomStream stream(11);
  std::size_t inside = 0;
  for (std::size_t set = 0; set < kSets; ++set) {
    std::vector<double> ecdf(kCells, 0.0);
    for (std::size_t r = 0; r < kRanks; ++r) {
      const auto rank = static_cast<std::size_t>(stream.uniform(set, r) * kCells);
      for (std::size_t i = rank; i + 1 < kCells; ++i) ecdf[i] += 1.0 / kRanks;
    }
    ecdf.pop_back();
    inside += band.contains(ecdf) ? 1 : 0;
  }
  const double share = static_cast<double>(inside) / kSets;
  EXPECT_NEAR(share, band.coverage, 4.9 * std::sqrt(band.coverage * (1.0 - band.coverage) / kSets));
}

TEST(DkwHalfWidth, IsMassarts) { EXPECT_NEAR(dkw_half_width(1000, 0.99), 0.051470, 1e-6); }

TEST(EcdfBand, RefusesWhatIsNoLaw) {
  EXPECT_THROW(simultaneous_ecdf_band(0, evenly(4), 0.9), InvalidArgument);
  EXPECT_THROW(simultaneous_ecdf_band(10, evenly(4), 1.0), InvalidArgument);
  EXPECT_THROW(simultaneous_ecdf_band(10, std::vector<double>{0.5, 0.5}, 0.9), InvalidArgument);
  EXPECT_THROW(simultaneous_ecdf_band(10, std::vector<double>{0.5, 1.0}, 0.9), InvalidArgument);
  EXPECT_THROW(simultaneous_ecdf_band(10, evenly(4), 0.9).contains(std::vector<double>{0.5}), InvalidArgument);
}

}  // namespace
}  // namespace fslens
