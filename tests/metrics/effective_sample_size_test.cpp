#include "fslens/metrics/effective_sample_size.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "fslens/core/error.hpp"
#include "metrics/samples.hpp"

namespace fslens {
namespace {

using namespace samples;

TEST(EffectiveSampleSize, OfEqualWeightsIsTheirNumber) {
  const auto ess = effective_sample_size(std::vector<double>(7, -12345.0));
  ASSERT_TRUE(ess.has_value());
  EXPECT_NEAR(ess->value, 7.0, 1e-13);
  EXPECT_NEAR(ess->perplexity, 7.0, 1e-13);
  EXPECT_NEAR(ess->largest_weight, 1.0 / 7, 1e-15);
}

TEST(EffectiveSampleSize, AgreesWithTheDefinition) {
  const auto ess = effective_sample_size(std::vector{std::log(0.5), std::log(0.25), std::log(0.125), std::log(0.125)});
  EXPECT_NEAR(ess->value, 1.0 / (0.25 + 0.0625 + 2 * 0.015625), 1e-14);
  EXPECT_NEAR(ess->perplexity, std::pow(2.0, 1.75), 1e-14);
  EXPECT_NEAR(ess->largest_weight, 0.5, 1e-15);
}

TEST(EffectiveSampleSize, SurvivesUnderflowAndOverflow) {
  EXPECT_NEAR(effective_sample_size(std::vector{-1e5, -1e5, -2e5})->value, 2.0, 1e-14);
  EXPECT_NEAR(effective_sample_size(std::vector{1e5, 1e5, -kInfinity})->perplexity, 2.0, 1e-14);
}

TEST(EffectiveSampleSize, IsAbsentWithoutAPositiveWeight) {
  EXPECT_FALSE(effective_sample_size(std::vector{-kInfinity, -kInfinity}).has_value());
}

TEST(EffectiveSampleSize, OfANanIsNan) {
  EXPECT_TRUE(std::isnan(effective_sample_size(std::vector{0.0, kNan})->value));
  EXPECT_TRUE(std::isnan(effective_sample_size(std::vector{0.0, kInfinity})->perplexity));
  EXPECT_THROW(effective_sample_size(std::vector<double>{}), InvalidArgument);
}

RC_GTEST_PROP(EffectiveSampleSize, LiesBetweenOneThePerplexityAndN, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1000000);
  const Matrix logs = normal(1, *rc::gen::inRange<std::size_t>(1, 50), seed, -700.0, 5.0);
  const auto ess = effective_sample_size(logs.values());
  RC_ASSERT(ess->value >= 1 - 1e-12);
  RC_ASSERT(ess->value <= ess->perplexity + 1e-9);
  RC_ASSERT(ess->perplexity <= static_cast<double>(logs.size()) + 1e-9);
  const auto shifted = effective_sample_size(translated(logs, 1e3).values());
  RC_ASSERT(std::abs(shifted->value - ess->value) < 1e-9);
}

}  // namespace
}  // namespace fslens
