#include "fslens/metrics/ratio_of_means.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "fslens/core/error.hpp"

namespace fslens::test {
namespace {

TEST(RatioOfMeans, PairsCancelWhatIsCommonToBoth) {
  const std::vector<double> lower = {1.0, 100.0, 0.01, 3.0};
  std::vector<double> upper = lower;
  for (double& value : upper) value *= 2.5;
  const RatioOfMeans ratio = ratio_of_means(upper, lower, 200, 0.95, RandomStream(1));
  EXPECT_NEAR(*ratio.value, 2.5, 1e-14);
  EXPECT_NEAR(*ratio.low, 2.5, 1e-14);
  EXPECT_NEAR(*ratio.high, 2.5, 1e-14);
}

TEST(RatioOfMeans, IsAbsentWhereNothingIsLeftBelow) {
  const RatioOfMeans none = ratio_of_means(std::vector<double>{1.0, 2.0}, std::vector<double>{0.0, 0.0}, 100, 0.95, RandomStream(1));
  EXPECT_FALSE(none.value || none.low || none.high);
  // One case of three is positive: a resample misses it with probability (2/3)³, so that only the upper end is unbounded.
  const RatioOfMeans some = ratio_of_means(std::vector<double>{1.0, 1.0, 1.0}, std::vector<double>{0.0, 0.0, 3.0}, 1000, 0.95, RandomStream(1));
  EXPECT_EQ(*some.value, 1.0);
  EXPECT_TRUE(some.low);
  EXPECT_FALSE(some.high);
}

TEST(RatioOfMeans, RefusesWhatHasNoRatio) {
  const std::vector<double> two = {1.0, 2.0}, one = {1.0}, negative = {1.0, -2.0};
  EXPECT_THROW(ratio_of_means(one, one, 100, 0.95, RandomStream(1)), InvalidArgument);
  EXPECT_THROW(ratio_of_means(two, one, 100, 0.95, RandomStream(1)), InvalidArgument);
  EXPECT_THROW(ratio_of_means(two, negative, 100, 0.95, RandomStream(1)), InvalidArgument);
  EXPECT_THROW(ratio_of_means(two, two, 100, 1.0, RandomStream(1)), InvalidArgument);
}

/// 400 samples of 40 pairs (u, v) = (3 e₁, e₂) plus a common part: the true ratio 4/2 lies in the 95 % interval about 0.93 times (percentile
/// intervals of few cases are narrow). Fewer than 352 or more than 396 hits have probability < 1e-4 for any coverage in [0.92, 0.96].
TEST(RatioOfMeans, IntervalsCoverTheTrueRatio) {
  std::size_t hits = 0;
  for (std::size_t sample = 0; sample < 400; ++sample) {
    const RandomStream stream = RandomStream(5).child("sample", sample);
    std::vector<double> upper, lower;
    for (std::size_t i = 0; i < 40; ++i) {
      const double common = -std::log(stream.uniform(0, i));
      upper.push_back(common - 3.0 * std::log(stream.uniform(1, i)));
      lower.push_back(common - std::log(stream.uniform(2, i)));
    }
    const RatioOfMeans ratio = ratio_of_means(upper, lower, 400, 0.95, stream.child("bootstrap"));
    hits += *ratio.low <= 2.0 && 2.0 <= *ratio.high ? 1 : 0;
  }
  EXPECT_GE(hits, 352u);
  EXPECT_LE(hits, 396u);
}

}  // namespace
}  // namespace fslens::test
