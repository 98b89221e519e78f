#include "fslens/metrics/null_band.hpp"

#include <gtest/gtest.h>

#include "fslens/core/error.hpp"
#include "metrics/samples.hpp"

namespace fslens {
namespace {

using namespace samples;

TEST(NullBand, HoldsMeanSdAndQuantiles) {
  const NullBand band = null_band(std::vector<double>{4, 1, 3, 2, 5}, 0.25, 0.9);
  EXPECT_EQ(band.repetitions, 5u);
  EXPECT_DOUBLE_EQ(band.mean, 3.0);
  EXPECT_DOUBLE_EQ(band.sd, std::sqrt(2.5));
  EXPECT_DOUBLE_EQ(band.low, 2.0);
  EXPECT_DOUBLE_EQ(band.high, 4.6);
  EXPECT_TRUE(band.contains(2.0));
  EXPECT_FALSE(band.contains(4.7));
  EXPECT_DOUBLE_EQ(band.effect(3.5), 0.5);
  EXPECT_DOUBLE_EQ(*band.standardised_effect(3.5), 0.5 / std::sqrt(2.5));
}

TEST(NullBand, HasNoStandardisedEffectWithoutSpread) {
  EXPECT_FALSE(null_band(std::vector<double>{2, 2, 2}).standardised_effect(3.0).has_value());
}

TEST(NullBand, OfANonFiniteRepetitionIsNan) {
  for (const double bad : {kNan, kInfinity}) {
    const NullBand band = null_band(std::vector<double>{2, bad, 2});
    EXPECT_TRUE(std::isnan(band.mean));
    EXPECT_TRUE(std::isnan(band.high));
    EXPECT_FALSE(band.contains(2.0));
    EXPECT_FALSE(band.standardised_effect(3.0).has_value());
  }
}

TEST(NullBand, RefusesTooFewRepetitionsAndWrongProbabilities) {
  EXPECT_THROW(null_band(std::vector<double>{1}), InvalidArgument);
  EXPECT_THROW(null_band(std::vector<double>{1, 2}, 0.9, 0.1), InvalidArgument);
  EXPECT_THROW(null_band(std::vector<double>{1, 2}, 0.1, 1.1), InvalidArgument);
}

}  // namespace
}  // namespace fslens
