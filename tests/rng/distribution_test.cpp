// Are the draws what they are called? Seed 2, n = 400,000. Each bound is 5 standard errors of an exactly normal (uniform) sample:
// with another seed one of the eleven would fail with probability below 1e-5.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {
namespace {

constexpr double kStandardErrors = 5.0;

TEST(RandomStreamDistribution, NormalsHaveTheMomentsOfTheNormal) {
  Matrix x(100000, 4);
  RandomStream(2).fill_normal(0, x);
  const double n = static_cast<double>(x.size());
  const auto mean_of = [&](const auto& value) {
    double sum = 0.0;
    for (const double z : x.values()) sum += value(z);
    return sum / n;
  };
  const double error = kStandardErrors / std::sqrt(n);
  EXPECT_NEAR(mean_of([](double z) { return z; }), 0.0, error);
  EXPECT_NEAR(mean_of([](double z) { return z * z; }), 1.0, error * std::sqrt(2.0));
  EXPECT_NEAR(mean_of([](double z) { return z * z * z; }), 0.0, error * std::sqrt(15.0));
  EXPECT_NEAR(mean_of([](double z) { return z * z * z * z; }), 3.0, error * std::sqrt(96.0));
  EXPECT_NEAR(mean_of([](double z) { return std::abs(z) > 3.0 ? 1.0 : 0.0; }), 0.0026997960632601866, error * 0.052);
}

TEST(RandomStreamDistribution, TheTwoOfAPairAndNeighboursAreUncorrelated) {
  Matrix x(100000, 4);
  RandomStream(2).fill_normal(1, x);
  const auto correlation = [&](std::size_t i, std::size_t j, std::size_t lag) {
    double sum = 0.0;
    for (std::size_t b = 0; b + lag < x.rows(); ++b) sum += x(b, i) * x(b + lag, j);
    return sum / static_cast<double>(x.rows() - lag);
  };
  const double error = kStandardErrors / std::sqrt(static_cast<double>(x.rows() - 1));
  EXPECT_NEAR(correlation(0, 1, 0), 0.0, error);
  EXPECT_NEAR(correlation(1, 2, 0), 0.0, error);
  EXPECT_NEAR(correlation(0, 0, 1), 0.0, error);
  EXPECT_NEAR(correlation(3, 0, 1), 0.0, error);
}

// Kolmogorov–Smirnov: √n D exceeds 2.6 with probability 2 e^{−2·2.6²} = 2.7e-6.
TEST(RandomStreamDistribution, UniformsAndNormalsPassKolmogorovSmirnov) {
  const std::size_t n = 400000;
  const RandomStream stream(2);
  std::vector<double> uniforms(n), normals(n);
  for (std::size_t i = 0; i < n; ++i) {
    uniforms[i] = stream.uniform(2, i);
    normals[i] = 0.5 * std::erfc(-stream.normal(3, i / 2, i % 2) / std::sqrt(2.0));
  }
  for (std::vector<double>* sample : {&uniforms, &normals}) {
    std::ranges::sort(*sample);
    double distance = 0.0;
    for (std::size_t i = 0; i < n; ++i)
      distance = std::max({distance, std::abs((*sample)[i] - static_cast<double>(i) / static_cast<double>(n)),
                           std::abs((*sample)[i] - static_cast<double>(i + 1) / static_cast<double>(n))});
    EXPECT_LT(std::sqrt(static_cast<double>(n)) * distance, 2.6);
  }
}

}  // namespace
}  // namespace fslens
