#include "fslens/measurement/noise.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "fslens/core/error.hpp"
#include "support/expect_invalid.hpp"
#include "support/special_values.hpp"

namespace fslens {
namespace {

using test::expect_invalid;
using test::kInfinity;
using test::kNan;

const double kLog2Pi = std::log(2.0 * std::numbers::pi);

Matrix diagonal(const std::vector<double>& entries) {
  Matrix a(entries.size(), entries.size());
  for (std::size_t j = 0; j < entries.size(); ++j) a(j, j) = entries[j];
  return a;
}

/// B Bᵀ + ½ I with a random B: well conditioned, nothing zero.
Matrix random_covariance(std::size_t m, std::uint64_t seed) {
  Matrix b(m, m);
  RandomStream(seed).fill_normal(0, b);
  Matrix covariance(m, m);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < m; ++j) {
      for (std::size_t k = 0; k < m; ++k) covariance(i, j) += b(i, k) * b(j, k);
      if (i == j) covariance(i, j) += 0.5;
    }
  return covariance;
}

TEST(GaussianNoise, ScalarDensityHasOneFactorAComponent) {
  const GaussianNoise noise = GaussianNoise::scalar(3, 0.3);
  EXPECT_EQ(noise.dim(), 3U);
  EXPECT_EQ(noise.scalar_sigma(), 0.3);
  EXPECT_TRUE(noise.is_diagonal());
  const std::vector<double> r{0.1, -0.7, 0.25};
  double want = 0.0;
  for (const double each : r) want += -0.5 * kLog2Pi - std::log(0.3) - 0.5 * each * each / 0.09;
  EXPECT_NEAR(noise.log_density(r), want, 1e-13);
}

TEST(GaussianNoise, PerComponentDensityIsTheProductOfItsFactors) {
  const std::vector<double> sigma{0.5, 2.0, 1e-3, 40.0};
  const GaussianNoise noise = GaussianNoise::per_component(sigma);
  EXPECT_LT(noise.scalar_sigma(), 0.0);
  EXPECT_EQ(noise.sigma(), sigma);
  const std::vector<double> r{1.0, -3.0, 2e-3, 10.0};
  double want = 0.0;
  for (std::size_t j = 0; j < 4; ++j)
    want += -0.5 * kLog2Pi - std::log(sigma[j]) - 0.5 * (r[j] / sigma[j]) * (r[j] / sigma[j]);
  EXPECT_NEAR(noise.log_density(r), want, 1e-12);
}

// Σ = [[a, c], [c, b]]: det = ab − c², rᵀΣ⁻¹r = (b r₀² − 2c r₀r₁ + a r₁²) / det.
TEST(GaussianNoise, FullDensityMatchesTheTwoByTwoClosedForm) {
  const double a = 2.0;
  const double b = 0.7;
  const double c = -0.9;
  const GaussianNoise noise = GaussianNoise::full(Matrix(2, 2, {a, c, c, b}));
  EXPECT_FALSE(noise.is_diagonal());
  EXPECT_LT(noise.scalar_sigma(), 0.0);
  EXPECT_NEAR(noise.sigma()[1], std::sqrt(b), 1e-15);
  const double det = a * b - c * c;
  for (const auto& [r0, r1] : {std::pair{0.0, 0.0}, {1.0, 2.0}, {-3.0, 0.4}}) {
    const double form = (b * r0 * r0 - 2.0 * c * r0 * r1 + a * r1 * r1) / det;
    const std::vector<double> r{r0, r1};
    EXPECT_NEAR(noise.log_density(r), -kLog2Pi - 0.5 * std::log(det) - 0.5 * form, 1e-12);
    std::vector<double> out(2);
    noise.apply_precision(r, out);
    EXPECT_NEAR(out[0], (b * r0 - c * r1) / det, 1e-12);
    EXPECT_NEAR(out[1], (a * r1 - c * r0) / det, 1e-12);
  }
}

TEST(GaussianNoise, PerComponentAgreesWithItsFullDiagonal) {
  const std::vector<double> sigma{0.5, 2.0, 0.1};
  const GaussianNoise each = GaussianNoise::per_component(sigma);
  const GaussianNoise full = GaussianNoise::full(diagonal({0.25, 4.0, 0.1 * 0.1}));
  const std::vector<double> r{0.3, -1.0, 0.25};
  EXPECT_NEAR(each.log_density(r), full.log_density(r), 1e-12);
  std::vector<double> from_each(3);
  std::vector<double> from_full(3);
  each.apply_precision(r, from_each);
  full.apply_precision(r, from_full);
  for (std::size_t j = 0; j < 3; ++j) EXPECT_NEAR(from_each[j], from_full[j], 1e-12);
  const RandomStream stream(5);
  each.sample(stream, 3, 4, from_each);
  full.sample(stream, 3, 4, from_full);
  for (std::size_t j = 0; j < 3; ++j) EXPECT_NEAR(from_each[j], from_full[j], 1e-14);
}

TEST(GaussianNoise, ReportsTheCovarianceThatItWasGiven) {
  const Matrix scalar = GaussianNoise::scalar(2, 3.0).covariance();
  EXPECT_EQ(std::vector<double>(scalar.values().begin(), scalar.values().end()), (std::vector<double>{9, 0, 0, 9}));
  const Matrix each = GaussianNoise::per_component({1.0, 2.0}).covariance();
  EXPECT_EQ(std::vector<double>(each.values().begin(), each.values().end()), (std::vector<double>{1, 0, 0, 4}));
  const Matrix given = random_covariance(6, 2);
  const Matrix full = GaussianNoise::full(given).covariance();
  for (std::size_t k = 0; k < 36; ++k) EXPECT_NEAR(full.values()[k], given.values()[k], 1e-14);
}

// Larger than one block of the triangular solve, in both directions.
TEST(GaussianNoise, PrecisionInvertsTheCovarianceAndGivesTheQuadraticForm) {
  const std::size_t m = 90;
  const Matrix covariance = random_covariance(m, 3);
  const GaussianNoise noise = GaussianNoise::full(covariance);
  Matrix r(150, m);
  RandomStream(4).fill_normal(0, r);
  std::vector<double> densities(150);
  noise.log_density(r, densities);
  const double at_zero = noise.log_density(std::vector<double>(m, 0.0));
  for (std::size_t b = 0; b < 150; ++b) {
    std::vector<double> solution(r.row(b).begin(), r.row(b).end());
    noise.apply_precision(solution, solution);
    double form = 0.0;
    for (std::size_t i = 0; i < m; ++i) {
      double back = 0.0;
      for (std::size_t j = 0; j < m; ++j) back += covariance(i, j) * solution[j];
      ASSERT_NEAR(back, r(b, i), 1e-10);
      form += r(b, i) * solution[i];
    }
    ASSERT_NEAR(densities[b], at_zero - 0.5 * form, 1e-10 * (1.0 + form));
    ASSERT_NEAR(densities[b], noise.log_density(r.row(b)), 1e-10 * (1.0 + form));
  }
}

TEST(GaussianNoise, CostsNoSquareMatrixWhereNoneIsNeeded) {
  const std::size_t m = 2'000'000;  // Σ_n would take 32 TB
  const GaussianNoise noise = GaussianNoise::scalar(m, 0.5);
  std::vector<double> r(m, 0.25);
  EXPECT_NEAR(noise.log_density(r) / static_cast<double>(m), -0.5 * kLog2Pi - std::log(0.5) - 0.125, 1e-10);
  noise.apply_precision(r, r);
  EXPECT_EQ(r[m - 1], 1.0);
}

TEST(GaussianNoise, TinyAndHugeSigmaNeitherUnderflowNorOverflow) {
  for (const double sigma : {1e-200, 1e200}) {
    const GaussianNoise noise = GaussianNoise::scalar(1, sigma);
    EXPECT_NEAR(noise.log_density(std::vector<double>{2.0 * sigma}), -0.5 * kLog2Pi - std::log(sigma) - 2.0, 1e-10);
  }
}

TEST(GaussianNoise, NonFiniteResidualsKeepToTheirOwnRow) {
  for (const GaussianNoise& noise : {GaussianNoise::scalar(5, 0.3), GaussianNoise::full(random_covariance(5, 8))}) {
    Matrix r(70, 5);
    RandomStream(2).fill_normal(0, r);
    std::vector<double> clean(70);
    noise.log_density(r, clean);
    r(10, 2) = kNan;
    r(11, 4) = -kInfinity;
    std::vector<double> dirty(70);
    noise.log_density(r, dirty);
    EXPECT_TRUE(std::isnan(dirty[10]));
    EXPECT_EQ(dirty[11], -kInfinity);
    for (std::size_t b = 0; b < 70; ++b)
      if (b != 10 && b != 11) {
        EXPECT_EQ(dirty[b], clean[b]);
      }
  }
}

// n = 40000 draws. Each entry of the sample mean is N(0, Σ_jj/n), of the sample second moment within
// √((Σ_ii Σ_jj + Σ_ij²)/n). Five standard errors on 9 numbers for each of three kinds of noise: false-alarm rate of
// the whole test < 2e-5, and the seed is fixed.
TEST(GaussianNoise, DrawsHaveItsMoments) {
  const std::size_t n = 40000;
  const GaussianNoise kinds[] = {GaussianNoise::scalar(3, 0.3), GaussianNoise::per_component({0.1, 2.0, 5.0}),
                                 GaussianNoise::full(Matrix(3, 3, {2, 0.9, -0.3, 0.9, 1, 0.2, -0.3, 0.2, 0.5}))};
  for (const GaussianNoise& noise : kinds) {
    const Matrix covariance = noise.covariance();
    const RandomStream stream(77);
    std::vector<double> mean(3);
    Matrix second(3, 3);
    std::vector<double> draw(3);
    for (std::size_t p = 0; p < n; ++p) {
      noise.sample(stream, 0, p, draw);
      for (std::size_t i = 0; i < 3; ++i) {
        mean[i] += draw[i] / static_cast<double>(n);
        for (std::size_t j = 0; j < 3; ++j) second(i, j) += draw[i] * draw[j] / static_cast<double>(n);
      }
    }
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(mean[i], 0.0, 5.0 * std::sqrt(covariance(i, i) / static_cast<double>(n)));
      for (std::size_t j = 0; j < 3; ++j)
        EXPECT_NEAR(second(i, j), covariance(i, j),
                    5.0 * std::sqrt((covariance(i, i) * covariance(j, j) + covariance(i, j) * covariance(i, j)) /
                                    static_cast<double>(n)));
    }
  }
}

TEST(GaussianNoise, DrawIsLTimesTheStreamsNormals) {
  const GaussianNoise noise = GaussianNoise::full(Matrix(2, 2, {4, 2, 2, 10}));  // L = [[2, 0], [1, 3]]
  const RandomStream stream(9);
  std::vector<double> draw(2);
  noise.sample(stream, 7, 11, draw);
  const double z0 = stream.normal(7, 11, 0);
  const double z1 = stream.normal(7, 11, 1);
  EXPECT_NEAR(draw[0], 2.0 * z0, 1e-14);
  EXPECT_NEAR(draw[1], z0 + 3.0 * z1, 1e-14);
}

TEST(GaussianNoise, RefusesSigmasThatAreNotPositive) {
  expect_invalid([] { GaussianNoise::scalar(0, 1.0); }, "noise.dim = 0: must be at least 1");
  expect_invalid([] { GaussianNoise::scalar(2, 0.0); }, "noise.sigma = 0: must be a finite number > 0");
  expect_invalid([] { GaussianNoise::scalar(2, -1.0); }, "noise.sigma = -1");
  expect_invalid([] { GaussianNoise::scalar(2, kNan); }, "noise.sigma = nan");
  expect_invalid([] { GaussianNoise::scalar(2, 1e-310); }, "large enough for 1/sigma to be finite");
  expect_invalid([] { GaussianNoise::per_component({}); }, "noise.sigma = no entry");
  expect_invalid([] { GaussianNoise::per_component({1.0, 0.0}); }, "noise.sigma[1] = 0");
  expect_invalid([] { GaussianNoise::per_component({kInfinity}); }, "noise.sigma[0] = inf");
}

TEST(GaussianNoise, RefusesCovariancesThatAreNone) {
  expect_invalid([] { GaussianNoise::full(Matrix(2, 3, 1.0)); }, "noise.covariance = 2 x 3: must be square");
  expect_invalid([] { GaussianNoise::full(Matrix()); }, "noise.covariance = 0 x 0");
  expect_invalid([] { GaussianNoise::full(Matrix(2, 2, {1, 0, kNan, 1})); }, "noise.covariance[1, 0] = nan");
  expect_invalid(
      [] {
        GaussianNoise::full(Matrix(2, 2, {1, 0.1, 0.2, 1}));
      },
      "noise.covariance[1, 0] and [0, 1] = 0.2 and 0.1: must be equal");
  expect_invalid(
      [] {
        GaussianNoise::full(Matrix(2, 2, {1, 2, 2, 1}));
      },
      "a 2 x 2 matrix whose Cholesky pivot 1 is -3: must be positive definite");
  expect_invalid([] { GaussianNoise::full(diagonal({1, 1, 0, 1})); }, "whose Cholesky pivot 2 is 0");
  expect_invalid([] { GaussianNoise::full(diagonal({-1, 1})); }, "whose Cholesky pivot 0 is -1");
}

TEST(GaussianNoise, RefusesACovarianceThatIsSingularUpToRounding) {
  Matrix rank_one(5, 5);
  for (std::size_t i = 0; i < 5; ++i)
    for (std::size_t j = 0; j < 5; ++j)
      rank_one(i, j) = (0.1 + static_cast<double>(i)) * (0.1 + static_cast<double>(j));
  expect_invalid([&] { GaussianNoise::full(rank_one); }, "must be positive definite");
}

TEST(GaussianNoise, AcceptsAnAsymmetryOfRoundingSizeAndRemovesIt) {
  const Matrix kept = GaussianNoise::full(Matrix(2, 2, {1, 0.5 + 1e-12, 0.5, 1})).covariance();
  EXPECT_EQ(kept(0, 1), kept(1, 0));
  EXPECT_NEAR(kept(0, 1), 0.5, 1e-12);
}

TEST(GaussianNoise, RefusesVectorsOfTheWrongLength) {
  const GaussianNoise noise = GaussianNoise::scalar(3, 1.0);
  std::vector<double> two(2);
  std::vector<double> three(3);
  expect_invalid([&] { noise.log_density(two); }, "noise.log_density: residual = 2 entries: must have 3");
  expect_invalid([&] { noise.apply_precision(two, three); }, "noise.apply_precision: residual = 2 entries");
  expect_invalid([&] { noise.apply_precision(three, two); }, "noise.apply_precision: out = 2 entries");
  expect_invalid([&] { noise.sample(RandomStream(0), 0, 0, two); }, "noise.sample: out = 2 entries");
  expect_invalid([&] { noise.log_density(Matrix(4, 3), three); }, "noise.log_density: out = 3 entries: must have 4");
}

}  // namespace
}  // namespace fslens
