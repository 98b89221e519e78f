#include "fslens/metrics/classifier_two_sample.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "fslens/core/error.hpp"
#include "samples.hpp"

namespace fslens {
namespace {

/// Pairs (y, x), (y, x') with x = y + N(0, 1) and x' = y + N(shift, scale²).
std::pair<Matrix, Matrix> joint_pairs(std::size_t pairs, double shift, double scale, std::uint64_t seed) {
  const RandomStream stream(seed);
  Matrix first(pairs, 2), second(pairs, 2);
  for (std::size_t r = 0; r < pairs; ++r) {
    first(r, 0) = second(r, 0) = stream.normal(0, r, 0);
    first(r, 1) = first(r, 0) + stream.normal(1, r, 0);
    second(r, 1) = second(r, 0) + shift + scale * stream.normal(2, r, 0);
  }
  return {first, second};
}

/// Every point against every other by the definition: sorted distances, votes one by one.
double naive_accuracy(const Matrix& first, const Matrix& second, std::size_t k, std::size_t folds) {
  const std::size_t pairs = first.rows(), d = first.cols();
  const auto value = [&](std::size_t i, std::size_t j) { return i < pairs ? first(i, j) : second(i - pairs, j); };
  std::vector<double> sd(d);
  for (std::size_t j = 0; j < d; ++j) {
    double mean = 0.0, square = 0.0;
    for (std::size_t i = 0; i < 2 * pairs; ++i) mean += value(i, j) / (2.0 * static_cast<double>(pairs));
    for (std::size_t i = 0; i < 2 * pairs; ++i) square += std::pow(value(i, j) - mean, 2.0) / (2.0 * static_cast<double>(pairs) - 1.0);
    sd[j] = std::sqrt(square);
  }
  std::size_t correct = 0;
  for (std::size_t i = 0; i < 2 * pairs; ++i) {
    std::vector<std::pair<double, bool>> others;
    for (std::size_t o = 0; o < 2 * pairs; ++o) {
      if (o % pairs % folds == i % pairs % folds) continue;
      double distance = 0.0;
      for (std::size_t j = 0; j < d; ++j) distance += std::pow((value(i, j) - value(o, j)) / sd[j], 2.0);
      others.emplace_back(distance, o >= pairs);
    }
    std::sort(others.begin(), others.end());
    std::size_t votes = 0;
    for (std::size_t n = 0; n < k; ++n) votes += others[n].second ? 1 : 0;
    correct += (2 * votes > k) == (i >= pairs) ? 1 : 0;
  }
  return static_cast<double>(correct) / (2.0 * static_cast<double>(pairs));
}

TEST(ClassifierTwoSample, IsTheNaiveClassifier) {
  const auto [first, second] = joint_pairs(60, 1.0, 0.5, 4);
  const ClassifierTwoSample result = classifier_two_sample(first, second, RandomStream(1), {.folds = 4, .neighbours = 7});
  EXPECT_NEAR(result.accuracy, naive_accuracy(first, second, 7, 4), 1e-12);
  EXPECT_EQ(result.neighbours, 7u);
}

/// N(0, 1) against N(3, 1), y of no use: the best classifier is right with probability Φ(1.5) = .93319; with 1,000 pairs and 39 neighbours it
/// comes within .02 of it (binomial error .0056).
TEST(ClassifierTwoSample, ApproachesTheBestClassifier) {
  const auto [first, second] = joint_pairs(1000, 3.0, 1.0, 5);
  const ClassifierTwoSample result = classifier_two_sample(first, second, RandomStream(1));
  EXPECT_NEAR(result.accuracy, 0.93319, 0.025);
  EXPECT_LE(result.accuracy, 0.93319 + 4.9 * 0.0056);
  EXPECT_TRUE(result.interval.contains(result.accuracy));
  EXPECT_NEAR(result.p_value, 1.0 / 200.0, 1e-15);
}

TEST(ClassifierTwoSample, SeesWidthWhereMeansAreEqual) {
  const auto [first, second] = joint_pairs(1000, 0.0, 0.3, 6);
  EXPECT_GT(classifier_two_sample(first, second, RandomStream(1)).interval.low, 0.6);
}

/// p-values of equal laws are uniform on 1/20 … 1 with 19 permutations: P(p ≤ 0.1) = 0.1, 300 sets, false alarms 1e-6.
TEST(ClassifierTwoSample, PValuesOfEqualLawsAreUniform) {
  constexpr std::size_t kSets = 300;
  std::size_t small = 0;
  for (std::size_t set = 0; set < kSets; ++set) {
    const auto [first, second] = joint_pairs(40, 0.0, 1.0, 100 + set);
    small += classifier_two_sample(first, second, RandomStream(set), {.permutations = 19}).p_value <= 0.1 + 1e-12 ? 1 : 0;
  }
  EXPECT_LE(static_cast<double>(small) / kSets, 0.1 + 4.9 * std::sqrt(0.1 * 0.9 / kSets)) << "equal accuracies make it conservative, not liberal";
  EXPECT_GE(static_cast<double>(small) / kSets, 0.03);
}

TEST(ClassifierTwoSample, StandsStatesThatAreFarOut) {
  const auto [first, second] = joint_pairs(60, 0.0, 1.0, 12);
  const ClassifierTwoSample result = classifier_two_sample(first, samples::with_value(second, 3, 1, 1e300), RandomStream(1));
  EXPECT_GT(result.accuracy, 0.3);
  EXPECT_LE(result.accuracy, 1.0);
}

TEST(ClassifierTwoSample, DoesNotDependOnThreads) {
  const auto [first, second] = joint_pairs(200, 0.5, 1.0, 8);
  const ClassifierTwoSample all = classifier_two_sample(first, second, RandomStream(1));
  const ThreadLimit one(1);
  const ClassifierTwoSample single = classifier_two_sample(first, second, RandomStream(1));
  EXPECT_EQ(all.accuracy, single.accuracy);
  EXPECT_EQ(all.p_value, single.p_value);
}

TEST(ClassifierTwoSample, RefusesWhatItCannotClassify) {
  const auto [first, second] = joint_pairs(40, 0.0, 1.0, 9);
  const RandomStream stream(1);
  EXPECT_THROW(classifier_two_sample(first, samples::normal(39, 2, 1), stream), InvalidArgument);
  EXPECT_THROW(classifier_two_sample(samples::with_value(first, 3, 1, samples::kNan), second, stream), InvalidArgument);
  EXPECT_THROW(classifier_two_sample(first, second, stream, {.folds = 1}), InvalidArgument);
  EXPECT_THROW(classifier_two_sample(first, second, stream, {.neighbours = 4}), InvalidArgument);
  EXPECT_THROW(classifier_two_sample(first, second, stream, {.neighbours = 65}), InvalidArgument);
  EXPECT_THROW(classifier_two_sample(first, second, stream, {.permutations = 0}), InvalidArgument);
}

}  // namespace
}  // namespace fslens
