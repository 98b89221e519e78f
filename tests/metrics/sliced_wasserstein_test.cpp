#include "fslens/metrics/sliced_wasserstein.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <numeric>

#include "fslens/core/error.hpp"
#include "metrics/samples.hpp"

namespace fslens {
namespace {

using namespace samples;

// Copies every point of x (and of y) so often that both have lcm(n, m) points: then the optimal coupling is by rank.
double naive_wasserstein2_squared(std::vector<double> x, std::vector<double> y) {
  const std::size_t common = std::lcm(x.size(), y.size());
  std::ranges::sort(x);
  std::ranges::sort(y);
  long double sum = 0;
  for (std::size_t i = 0; i < common; ++i) {
    const long double difference = static_cast<long double>(x[i * x.size() / common]) - y[i * y.size() / common];
    sum += difference * difference;
  }
  return static_cast<double>(sum / static_cast<long double>(common));
}

double naive_sliced(const Matrix& x, const Matrix& y, const SlicedProjections& projections) {
  double sum = 0;
  for (std::size_t k = 0; k < projections.count(); ++k) {
    const auto along = [&](const Matrix& sample) {
      std::vector<double> values;
      for (std::size_t b = 0; b < sample.rows(); ++b)
        values.push_back(std::inner_product(sample.row(b).begin(), sample.row(b).end(),
                                            projections.directions().row(k).begin(), 0.0));
      return values;
    };
    sum += naive_wasserstein2_squared(along(x), along(y));
  }
  return sum / static_cast<double>(projections.count());
}

TEST(SlicedProjections, AreUnitVectorsAndAPureFunctionOfTheStream) {
  const SlicedProjections projections(7, 20, RandomStream(3));
  for (std::size_t k = 0; k < 20; ++k) {
    const auto row = projections.directions().row(k);
    EXPECT_NEAR(std::inner_product(row.begin(), row.end(), row.begin(), 0.0), 1.0, 1e-14);
  }
  EXPECT_TRUE(projections == SlicedProjections(7, 20, RandomStream(3)));
  EXPECT_FALSE(projections == SlicedProjections(7, 20, RandomStream(4)));
}

TEST(SlicedProjections, HaveOneDirectionInOneDimension) {
  const SlicedProjections projections(1, 64, RandomStream(0));
  ASSERT_EQ(projections.count(), 1u);
  EXPECT_EQ(projections.directions()(0, 0), 1.0);
}

TEST(SlicedProjections, RefuseNoDimensionAndNoDirection) {
  EXPECT_THROW(SlicedProjections(0, 4, RandomStream(0)), InvalidArgument);
  EXPECT_THROW(SlicedProjections(4, 0, RandomStream(0)), InvalidArgument);
}

// Σ_k θ_k θ_kᵀ / K → I/d. At d = 5, Var θ_0² = 3/35 − 1/25 and Var θ_0 θ_j = 1/35: with K = 20,000 the sd of an entry
// is at most 1.5e-3, and 9e-3 is 6 sd: false-alarm rate < 1e-8 for all 5 entries.
TEST(SlicedProjections, AreUniformOnTheSphere) {
  const SlicedProjections projections(5, 20000, RandomStream(1));
  for (std::size_t j = 0; j < 5; ++j) {
    double moment = 0;
    for (std::size_t k = 0; k < projections.count(); ++k)
      moment += projections.directions()(k, 0) * projections.directions()(k, j) / 20000.0;
    EXPECT_NEAR(moment, j == 0 ? 0.2 : 0.0, 9e-3);
  }
}

TEST(SlicedWasserstein, AgreesWithTheNaiveCouplingForEqualAndUnequalSizes) {
  for (const auto& [n, m, d] : {std::array{40, 40, 3}, {40, 25, 3}, {7, 300, 20}, {1, 5, 2}, {30, 20, 1}}) {
    const Matrix x = normal(n, d, 1);
    const Matrix y = normal(m, d, 2, 0.3, 1.5);
    const SlicedProjections projections(d, 16, RandomStream(5));
    const double expected = naive_sliced(x, y, projections);
    EXPECT_NEAR(sliced_wasserstein2_squared(x, y, projections).value, expected, 1e-12 * expected) << n << " " << m;
  }
}

TEST(SlicedWasserstein, OfPointMassesIsTheSquaredDistanceAlongTheDirections) {
  const Matrix x(3, 1, std::vector<double>{2, 2, 2});
  const Matrix y(5, 1, std::vector<double>{-1, -1, -1, -1, -1});
  const auto result = sliced_wasserstein2_squared(x, y, SlicedProjections(1, 64, RandomStream(0)));
  EXPECT_DOUBLE_EQ(result.value, 9.0);
  EXPECT_DOUBLE_EQ(result.largest, 9.0);
  EXPECT_FALSE(result.standard_error.has_value());
}

TEST(SlicedWasserstein, IsZeroBetweenASampleAndItsDoubledCopy) {
  const Matrix x = normal(50, 4, 9);
  Matrix doubled(100, 4);
  for (std::size_t b = 0; b < 100; ++b) std::ranges::copy(x.row(b / 2), doubled.row(b).begin());
  EXPECT_NEAR(sliced_wasserstein2_squared(x, doubled, SlicedProjections(4, 8, RandomStream(0))).value, 0.0, 1e-25);
}

// A pure translation by δ (same sample moved) has W2² = ⟨θ, δ⟩² in every direction, of mean ‖δ‖²/d over directions.
TEST(SlicedWasserstein, OfATranslationIsTheMeanSquaredProjectionOfTheShift) {
  const Matrix x = normal(30, 6, 4);
  const SlicedProjections projections(6, 50, RandomStream(2));
  double expected = 0;
  for (std::size_t k = 0; k < projections.count(); ++k) {
    const auto row = projections.directions().row(k);
    const double along = 0.7 * std::accumulate(row.begin(), row.end(), 0.0);
    expected += along * along / static_cast<double>(projections.count());
  }
  EXPECT_NEAR(sliced_wasserstein2_squared(x, translated(x, 0.7), projections).value, expected, 1e-12);
}

// E SW2² = ‖δ‖²/d = 1 for N(0, I) against N(δ, I), plus a sampling bias that a pair of exact samples measures. Here ⟨θ,
// δ⟩² has sd 1 over directions (4 × Beta(½, 3/2)), so 0.044 with 512 of them, and the samples add √(2/4000) = 0.022:
// 0.3 is 6 sd, false-alarm rate < 1e-8.
TEST(SlicedWasserstein, LessItsNullEstimatesTheGaussianShift) {
  const SlicedProjections projections(4, 512, RandomStream(7));
  const auto x = project(normal(4000, 4, 1), projections);
  const auto y = project(normal(4000, 4, 2, 1.0), projections);
  const auto z = project(normal(4000, 4, 3), projections);
  const auto shifted = sliced_wasserstein2_squared(x, y);
  EXPECT_NEAR(shifted.value - sliced_wasserstein2_squared(x, z).value, 1.0, 0.3);
  EXPECT_NEAR(*shifted.standard_error, 1 / std::sqrt(512.0), 0.01);
  EXPECT_GT(shifted.largest, 3.0);
  EXPECT_LT(shifted.largest, 4.3);
}

RC_GTEST_PROP(SlicedWasserstein, IsSymmetricAndBlindToOrderAndTranslation, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1000000);
  const auto n = *rc::gen::inRange<std::size_t>(1, 40);
  const auto m = *rc::gen::inRange<std::size_t>(1, 40);
  const auto d = *rc::gen::inRange<std::size_t>(1, 6);
  const Matrix x = normal(n, d, seed);
  const Matrix y = normal(m, d, seed + 1, 0.5);
  const SlicedProjections projections(d, 5, RandomStream(seed));
  const double value = sliced_wasserstein2_squared(x, y, projections).value;
  RC_ASSERT(std::abs(sliced_wasserstein2_squared(y, x, projections).value - value) < 1e-12);
  RC_ASSERT(std::abs(sliced_wasserstein2_squared(with_rows_reversed(x), y, projections).value - value) < 1e-12);
  RC_ASSERT(std::abs(sliced_wasserstein2_squared(translated(x, 3), translated(y, 3), projections).value - value) <
            1e-12);
}

TEST(SlicedWasserstein, HasTheSameBitsWithAnyNumberOfThreads) {
  const Matrix x = normal(1500, 30, 1);
  const Matrix y = normal(1100, 30, 2);
  expect_same_bits_with_any_threads([&] {
    const auto r = sliced_wasserstein2_squared(x, y, SlicedProjections(30, 33, RandomStream(1)));
    return std::vector<double>{r.value, r.largest, *r.standard_error};
  });
}

TEST(SlicedWasserstein, OfANonFiniteSampleIsNan) {
  const SlicedProjections projections(3, 4, RandomStream(1));
  const Matrix x = normal(10, 3, 1);
  for (const double bad : {kNan, kInfinity}) {
    const auto result = sliced_wasserstein2_squared(x, with_value(x, 4, 1, bad), projections);
    EXPECT_TRUE(std::isnan(result.value));
    EXPECT_TRUE(std::isnan(result.largest));
    EXPECT_TRUE(std::isnan(*result.standard_error));
  }
}

TEST(SlicedWasserstein, RefusesWhatCannotBeCompared) {
  const SlicedProjections projections(3, 4, RandomStream(1));
  const SlicedProjections others(3, 4, RandomStream(2));
  const Matrix x = normal(10, 3, 1);
  EXPECT_THROW(project(normal(10, 2, 1), projections), InvalidArgument);
  EXPECT_THROW(project(Matrix(0, 3), projections), InvalidArgument);
  EXPECT_THROW(sliced_wasserstein2_squared(project(x, projections), project(x, others)), InvalidArgument);
}

// Weights that are multiples of 1/24: copy every point that often, and weigh the copies alike.
std::vector<double> copied(const std::vector<double>& points, const std::vector<int>& parts) {
  std::vector<double> out;
  for (std::size_t i = 0; i < points.size(); ++i) out.insert(out.end(), static_cast<std::size_t>(parts[i]), points[i]);
  return out;
}

TEST(WeightedWasserstein, AgreesWithTheNaiveCouplingOfCopies) {
  const std::vector<double> x = {0.3, -1.2, 4.0, 0.31, -1.2}, y = {2.0, -0.7, 0.1};
  const std::vector<int> parts_x = {5, 1, 7, 0, 11}, parts_y = {9, 14, 1};
  const std::vector<double> weights_x(parts_x.begin(), parts_x.end()), weights_y(parts_y.begin(), parts_y.end());
  const double weighted = wasserstein2_squared(weighted_points(x, weights_x), weighted_points(y, weights_y));
  EXPECT_NEAR(weighted, naive_wasserstein2_squared(copied(x, parts_x), copied(y, parts_y)), 1e-14);
}

TEST(WeightedWasserstein, EqualWeightsAreTheUnweightedDistance) {
  const Matrix x = normal(150, 3, 1), y = normal(70, 3, 2);
  const SlicedProjections projections(3, 9, RandomStream(3));
  const auto weighted = sliced_wasserstein2_squared(project(x, std::vector<double>(150, 1.0), projections),
                                                    project(y, std::vector<double>(70, 0.2), projections));
  const auto plain = sliced_wasserstein2_squared(x, y, projections);
  EXPECT_NEAR(weighted.value, plain.value, 1e-13);
  EXPECT_NEAR(weighted.largest, plain.largest, 1e-13);
  EXPECT_NEAR(*weighted.standard_error, *plain.standard_error, 1e-13);
}

TEST(WeightedWasserstein, PointsAscendAndTheirWeightsSumToOne) {
  const WeightedPoints law = weighted_points(std::vector{3.0, -1.0, 2.0}, std::vector{2.0, 6.0, 0.0});
  EXPECT_EQ(law.points, (std::vector{-1.0, 3.0}));
  EXPECT_EQ(law.weights, (std::vector{0.75, 0.25}));
}

TEST(WeightedWasserstein, RefusesWhatIsNoLaw) {
  const std::vector two = {0.0, 1.0};
  EXPECT_THROW(weighted_points(two, std::vector{1.0}), InvalidArgument);
  EXPECT_THROW(weighted_points(two, std::vector{1.0, -0.1}), InvalidArgument);
  EXPECT_THROW(weighted_points(two, std::vector{0.0, 0.0}), InvalidArgument);
  EXPECT_THROW(weighted_points(std::vector{0.0, std::nan("")}, std::vector{1.0, 1.0}), InvalidArgument);
  EXPECT_THROW(wasserstein2_squared(WeightedPoints{}, weighted_points(two, two)), InvalidArgument);
}

}  // namespace
}  // namespace fslens
