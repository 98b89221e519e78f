#include "fslens/metrics/energy_distance.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <numbers>

#include "fslens/core/error.hpp"
#include "metrics/samples.hpp"

namespace fslens {
namespace {

using namespace samples;

long double distance(const Matrix& x, std::size_t i, const Matrix& y, std::size_t j) {
  return std::sqrt(squared_distance(x.row(i), y.row(j)));
}

EnergyDistance naive_energy_distance(const Matrix& x, const Matrix& y) {
  const auto side = [](const Matrix& own, const Matrix& other) {
    std::vector<double> projection;
    for (std::size_t i = 0; i < own.rows(); ++i) {
      long double within = 0;
      long double across = 0;
      for (std::size_t j = 0; j < own.rows(); ++j) within += j == i ? 0.0L : distance(own, i, own, j);
      for (std::size_t j = 0; j < other.rows(); ++j) across += distance(own, i, other, j);
      projection.push_back(static_cast<double>(2 * across / other.rows() - 2 * within / (own.rows() - 1)));
    }
    return mean_and_error(projection);
  };
  const MeanAndError a = side(x, y);
  const MeanAndError b = side(y, x);
  return {(a.mean + b.mean) / 2, std::hypot(a.error, b.error)};
}

// E|Z| for Z ~ N(mean, sd²)
double folded_normal_mean(double mean, double sd) {
  return sd * std::sqrt(2 / std::numbers::pi) * std::exp(-mean * mean / (2 * sd * sd)) +
         mean * std::erf(mean / (sd * std::numbers::sqrt2));
}

TEST(EnergyDistance, AgreesWithTheNaiveLoops) {
  for (const auto& [n, m, d] :
       {std::array{2, 2, 1}, {31, 57, 1}, {200, 150, 2}, {130, 260, 16}, {140, 129, 17}, {128, 90, 70}}) {
    const Matrix x = normal(n, d, 1);
    const Matrix y = normal(m, d, 2, 0.4, 1.3);
    const EnergyDistance expected = naive_energy_distance(x, y);
    const EnergyDistance actual = energy_distance(x, y);
    EXPECT_NEAR(actual.value, expected.value, 1e-12 * d) << n << " " << m << " " << d;
    EXPECT_NEAR(actual.standard_error, expected.standard_error, 1e-11) << n << " " << m << " " << d;
  }
}

TEST(EnergyDistance, AgreesWithTheNaiveLoopsOnTiesInOneDimension) {
  const Matrix x(6, 1, std::vector<double>{1, 0, 1, 2, 2, 1});
  const Matrix y(4, 1, std::vector<double>{2, 1, 1, 5});
  EXPECT_NEAR(energy_distance(x, y).value, naive_energy_distance(x, y).value, 1e-14);
}

// Two tight far clusters: the matrix-product form of the distance would lose all its digits within a cluster.
TEST(EnergyDistance, KeepsItsDigitsWithinTightClusters) {
  Matrix x = normal(60, 40, 1, 0.0, 1e-7);
  Matrix y = normal(60, 40, 2, 0.0, 1e-7);
  for (std::size_t b = 0; b < 60; b += 2)
    for (std::size_t j = 0; j < 40; ++j) {
      x(b, j) += 1;
      y(b, j) += 1;
    }
  const EnergySample sample(x);
  long double expected = 0;
  for (std::size_t j = 0; j < 60; j += 2) expected += distance(x, 0, x, j);
  double far = 0;
  for (std::size_t j = 1; j < 60; j += 2) far += static_cast<double>(distance(x, 0, x, j));
  EXPECT_NEAR(sample.distance_sums()[0] - far, static_cast<double>(expected), 1e-8 * static_cast<double>(expected));
  EXPECT_NEAR(energy_distance(x, y).value, naive_energy_distance(x, y).value, 1e-13);
}

TEST(EnergyDistance, OfPointMassesIsTwiceTheirDistance) {
  const Matrix x(4, 2, 0.0);
  Matrix y(3, 2, 0.0);
  for (std::size_t b = 0; b < 3; ++b) y(b, 0) = 3, y(b, 1) = 4;
  EXPECT_NEAR(energy_distance(x, y).value, 10.0, 1e-14);
  EXPECT_NEAR(energy_distance(x, y).standard_error, 0.0, 1e-14);
}

// 400 samples of 5 against 7 points; the mean must meet the closed form within 4 of its errors: false-alarm rate 6e-5
// each.
TEST(EnergyDistance, IsUnbiasedForGaussians) {
  for (const double shift : {0.0, 1.0}) {
    std::vector<double> values;
    for (std::uint64_t r = 0; r < 400; ++r)
      values.push_back(energy_distance(normal(5, 1, 2 * r), normal(7, 1, 2 * r + 1, shift)).value);
    const double expected =
        2 * folded_normal_mean(shift, std::numbers::sqrt2) - 2 * folded_normal_mean(0, std::numbers::sqrt2);
    const MeanAndError estimate = mean_and_error(values);
    EXPECT_NEAR(estimate.mean, expected, 4 * estimate.error) << shift;
  }
}

// The sd of 400 values is known to 3.5 %; the mean standard error must lie within 25 % of it: beyond 6 sd.
TEST(EnergyDistance, HasTheStandardErrorOfItsRepetitions) {
  std::vector<double> values;
  double standard_error = 0;
  for (std::uint64_t r = 0; r < 400; ++r) {
    const auto result = energy_distance(normal(100, 2, 2 * r), normal(80, 2, 2 * r + 1, 1.0));
    values.push_back(result.value);
    standard_error += result.standard_error / 400;
  }
  EXPECT_NEAR(standard_error / (mean_and_error(values).error * 20), 1.0, 0.25);
}

RC_GTEST_PROP(EnergyDistance, IsSymmetricAndBlindToOrderTranslationAndReflection, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1000000);
  const auto d = *rc::gen::inRange<std::size_t>(1, 24);
  const Matrix x = normal(*rc::gen::inRange<std::size_t>(2, 40), d, seed);
  const Matrix y = normal(*rc::gen::inRange<std::size_t>(2, 40), d, seed + 1, 0.5);
  const double value = energy_distance(x, y).value;
  RC_ASSERT(std::abs(energy_distance(y, x).value - value) < 1e-12);
  RC_ASSERT(std::abs(energy_distance(with_rows_reversed(x), y).value - value) < 1e-12);
  RC_ASSERT(std::abs(energy_distance(translated(x, 3), translated(y, 3)).value - value) < 1e-12);
  RC_ASSERT(std::abs(energy_distance(with_signs_flipped(x), with_signs_flipped(y)).value - value) < 1e-12);
}

TEST(EnergyDistance, OfGroupsIsThatOfEachGroup) {
  for (const std::size_t d : {1, 3, 40})
    for (const std::size_t groups : {1, 4, 50}) {
      const Matrix x = normal(303, d, 1, 0.3);  // 3 rows are in no group, or a group is larger than a tile
      const EnergySample y(normal(150, d, 2));
      const std::vector<double> together = energy_distances_of_groups(x, groups, y);
      ASSERT_EQ(together.size(), groups);
      const std::size_t size = x.rows() / groups;
      for (std::size_t g = 0; g < groups; ++g)
        EXPECT_NEAR(together[g], energy_distance(EnergySample(x.view().rows_from(g * size, size)), y).value, 1e-12) << d << ", " << g;
    }
}

TEST(EnergyDistance, OfANonFiniteGroupAloneIsNan) {
  for (const std::size_t d : {1, 2, 30}) {
    const Matrix x = with_value(normal(40, d, 1), 14, d - 1, kNan);
    const std::vector<double> values = energy_distances_of_groups(x, 4, EnergySample(normal(20, d, 2)));
    for (std::size_t g = 0; g < 4; ++g) EXPECT_EQ(std::isnan(values[g]), g == 1) << d << ", " << g;
  }
}

TEST(EnergyDistance, OfGroupsHasTheSameBitsWithAnyNumberOfThreads) {
  const Matrix x = normal(700, 40, 1);
  const EnergySample y(normal(450, 40, 2));
  expect_same_bits_with_any_threads([&] { return energy_distances_of_groups(x, 35, y); });
}

TEST(EnergyDistance, HasTheSameBitsWithAnyNumberOfThreads) {
  for (const std::size_t d : {1, 3, 40}) {
    const Matrix x = normal(700, d, 1);
    const Matrix y = normal(450, d, 2);
    expect_same_bits_with_any_threads([&] {
      const auto r = energy_distance(x, y);
      return std::vector<double>{r.value, r.standard_error};
    });
  }
}

TEST(EnergyDistance, OfANonFiniteSampleIsNan) {
  for (const std::size_t d : {1, 2, 30})
    for (const double bad : {kNan, kInfinity}) {
      const auto result = energy_distance(with_value(normal(10, d, 1), 4, d - 1, bad), normal(10, d, 2));
      EXPECT_TRUE(std::isnan(result.value));
      EXPECT_TRUE(std::isnan(result.standard_error));
    }
}

TEST(EnergyDistance, RefusesWhatCannotBeCompared) {
  EXPECT_THROW(EnergySample(Matrix(1, 2)), InvalidArgument);
  EXPECT_THROW(EnergySample(Matrix(3, 0)), InvalidArgument);
  EXPECT_THROW(energy_distance(normal(4, 2, 1), normal(4, 3, 1)), InvalidArgument);
  const EnergySample y(normal(4, 2, 1));
  EXPECT_THROW(energy_distances_of_groups(normal(4, 3, 1), 2, y), InvalidArgument);
  EXPECT_THROW(energy_distances_of_groups(normal(4, 2, 1), 0, y), InvalidArgument);
  EXPECT_THROW(energy_distances_of_groups(normal(4, 2, 1), 3, y), InvalidArgument);
}

}  // namespace
}  // namespace fslens
