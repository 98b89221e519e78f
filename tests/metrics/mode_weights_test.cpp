#include "fslens/metrics/mode_weights.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "fslens/core/error.hpp"
#include "metrics/samples.hpp"

namespace fslens {
namespace {

using namespace samples;

// Rows softmax(N(0, 1)).
Matrix random_responsibilities(std::size_t rows, std::size_t modes, std::uint64_t seed) {
  Matrix r = normal(rows, modes, seed);
  for (std::size_t b = 0; b < rows; ++b) {
    double sum = 0;
    for (double& value : r.row(b)) sum += value = std::exp(value);
    for (double& value : r.row(b)) value /= sum;
  }
  return r;
}

TEST(ModeWeights, AreMeansOfTheResponsibilitiesWithTheirErrors) {
  const Matrix r = random_responsibilities(300, 4, 1);
  const ModeWeights result = mode_weights(r);
  for (std::size_t k = 0; k < 4; ++k) {
    std::vector<double> column;
    for (std::size_t b = 0; b < 300; ++b) column.push_back(r(b, k));
    EXPECT_NEAR(result.weights[k], mean_and_error(column).mean, 1e-15);
    EXPECT_NEAR(result.standard_errors[k], mean_and_error(column).error, 1e-15);
  }
}

TEST(ModeWeights, OfHardAssignmentsAreThoseOfTheirIndicators) {
  const std::vector<std::size_t> assignments = {0, 2, 2, 1, 2, 0, 2};
  Matrix indicators(7, 4);
  for (std::size_t b = 0; b < 7; ++b) indicators(b, assignments[b]) = 1;
  const ModeWeights hard = mode_weights(assignments, 4);
  const ModeWeights soft = mode_weights(indicators);
  const std::vector target = {0.1, 0.2, 0.3, 0.4};
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_NEAR(hard.weights[k], soft.weights[k], 1e-15);
    EXPECT_NEAR(hard.standard_errors[k], soft.standard_errors[k], 1e-15);
  }
  const auto hard_distance = mode_weights_total_variation(assignments, target);
  const auto soft_distance = mode_weights_total_variation(indicators, target);
  EXPECT_NEAR(hard_distance.value, soft_distance.value, 1e-15);
  EXPECT_NEAR(hard_distance.standard_error, soft_distance.standard_error, 1e-15);
  EXPECT_EQ(mode_counts(assignments, 4), (std::vector<std::size_t>{2, 1, 4, 0}));
}

TEST(ModeWeightsTotalVariation, IsThePublishedOneForKnownWeights) {
  // mode weights .9030/.0773/.0197 against 1/0/0
  const Matrix r(2, 3, std::vector<double>{0.903, 0.0773, 0.0197, 0.903, 0.0773, 0.0197});
  const auto distance = mode_weights_total_variation(r, std::vector{1.0, 0.0, 0.0});
  EXPECT_NEAR(distance.value, 0.097, 1e-15);
  EXPECT_NEAR(distance.standard_error, 0.0, 1e-15);
}

// Weights near ⅓ each against a target far from any tie: the mean standard error must be the sd of 500 repetitions
// within 20 % (that sd is known to 3 %): beyond 6 sd.
TEST(ModeWeightsTotalVariation, HasTheStandardErrorOfItsRepetitions) {
  std::vector<double> values;
  double standard_error = 0;
  const std::vector target = {0.7, 0.25, 0.05};
  for (std::uint64_t r = 0; r < 500; ++r) {
    const auto distance = mode_weights_total_variation(random_responsibilities(200, 3, r), target);
    values.push_back(distance.value);
    standard_error += distance.standard_error / 500;
  }
  EXPECT_NEAR(standard_error / (mean_and_error(values).error * std::sqrt(500.0)), 1.0, 0.2);
}

RC_GTEST_PROP(ModeWeightsTotalVariation, IsBlindToTheOrderOfParticles, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1000000);
  const Matrix r = random_responsibilities(*rc::gen::inRange<std::size_t>(2, 600), 3, seed);
  const std::vector target = {0.7, 0.2, 0.1};
  const auto one = mode_weights_total_variation(r, target);
  const auto other = mode_weights_total_variation(with_rows_reversed(r), target);
  RC_ASSERT(std::abs(one.value - other.value) < 1e-14);
  RC_ASSERT(std::abs(one.standard_error - other.standard_error) < 1e-14);
}

TEST(ModeWeights, HaveTheSameBitsWithAnyNumberOfThreads) {
  const Matrix r = random_responsibilities(2000, 5, 3);
  expect_same_bits_with_any_threads([&] { return mode_weights(r).weights; });
}

TEST(ModeWeights, OfANonFiniteResponsibilityAreNanInThatModeOnly) {
  const Matrix r = with_value(random_responsibilities(10, 3, 1), 4, 1, kNan);
  const ModeWeights result = mode_weights(r);
  EXPECT_TRUE(std::isnan(result.weights[1]));
  EXPECT_TRUE(std::isnan(result.standard_errors[1]));
  EXPECT_TRUE(std::isfinite(result.weights[0]));
  EXPECT_TRUE(std::isnan(mode_weights_total_variation(r, std::vector{0.2, 0.3, 0.5}).value));
}

TEST(ModeWeights, RefuseWrongShapesAssignmentsAndTargets) {
  const Matrix r = random_responsibilities(5, 3, 1);
  const std::vector<std::size_t> assignments = {0, 1, 3};
  EXPECT_THROW(mode_weights(Matrix(1, 3)), InvalidArgument);
  EXPECT_THROW(mode_weights(assignments, 3), InvalidArgument);
  EXPECT_THROW(mode_weights(std::vector<std::size_t>{0}, 3), InvalidArgument);
  EXPECT_THROW(mode_counts(assignments, 3), InvalidArgument);
  EXPECT_THROW(mode_weights_total_variation(r, std::vector{0.5, 0.5}), InvalidArgument);
  EXPECT_THROW(mode_weights_total_variation(r, std::vector{0.5, 0.2, 0.2}), InvalidArgument);
  EXPECT_THROW(mode_weights_total_variation(r, std::vector{1.5, -0.5, 0.0}), InvalidArgument);
  EXPECT_THROW(mode_weights_total_variation(assignments, std::vector{0.5, 0.5}), InvalidArgument);
}

}  // namespace
}  // namespace fslens
