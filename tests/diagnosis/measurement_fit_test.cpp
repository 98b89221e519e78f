// The check of y: what it sees, how often, and what it does not accuse.
#include "fslens/diagnosis/measurement_fit.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>

#include "problems.hpp"
#include "support/random_batch.hpp"

namespace fslens::test {
namespace {

std::string identity(int m) {
  std::string out;
  for (int i = 0; i < m; ++i) {
    out += i > 0 ? ", [" : "[";
    for (int j = 0; j < m; ++j) out += fmt::format("{}{}", j > 0 ? ", " : "", i == j ? 1.0 : 0.0);
    out += "]";
  }
  return out;
}

/// 40 measurements of 3 unknowns; y is made with σ = 0.5 and a bias of 0.3 whatever the problem then says of them.
Problem measured(double sigma_said, double bias_said, std::uint64_t seed) {
  const auto text = [&](double sigma, double bias) {
    std::string biases;
    for (int j = 0; j < 40; ++j) biases += fmt::format("{}{}", j > 0 ? ", " : "", bias * (j % 2 == 0 ? 1.0 : -1.0));
    return fmt::format(R"(
[prior]
kind = "gaussian"
mean = [0.0, 0.5, -0.5]
cov = [[1.0, 0.2, 0.0], [0.2, 0.6, 0.1], [0.0, 0.1, 0.8]]
[operator]
kind = "compose"
operators = [{{kind = "gaussian-cs", m = 40, seed = 3}}, {{kind = "matrix", matrix = [{}], bias = [{}]}}]
[noise]
sigma = {}
[measurement]
from_prior = true
noise_seed = {}
)", identity(40), biases, sigma, seed);
  };
  const Problem truth = problem_from(text(0.5, 0.3));
  Problem said = problem_from(text(sigma_said, bias_said));
  said.likelihood = std::make_shared<Likelihood>(said.likelihood->forward_ptr(), said.likelihood->noise(), truth.likelihood->y());
  said.lens = said.lens->remeasured(said.likelihood);
  return said;
}

MeasurementFit fit_of(const Problem& problem, std::uint64_t seed) {
  SilentObserver observer;
  return measurement_fit(problem, RandomStream(seed), observer);
}

TEST(MeasurementFit, RightProblemsAreNotAccused) {
  // P-values below 0.01 in at most 4 of 60: more than that happens once in 1,000 times (binomial). κ̂ itself is within 5 sd of 1.
  int low = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const MeasurementFit fit = fit_of(measured(0.5, 0.3, seed), seed);
    low += fit.p_value < 0.01 ? 1 : 0;
    EXPECT_LT(std::abs(fit.log_scale - fit.null_median), 5.0 * fit.null_sd);
    EXPECT_FALSE(fit.held_out);
  }
  EXPECT_LE(low, 4);
}

TEST(MeasurementFit, SeesAWrongNoiseLevelAndAMissingBias) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const MeasurementFit half = fit_of(measured(0.25, 0.3, seed), seed), twice = fit_of(measured(1.0, 0.3, seed), seed);
    const MeasurementFit unbiased = fit_of(measured(0.5, -1.0, seed), seed);
    EXPECT_NEAR(half.log_scale, std::log(2.0), 0.5) << "y asks for the noise that it has";
    EXPECT_NEAR(twice.log_scale, -std::log(2.0), 0.5);
    EXPECT_GT(half.log_scale, half.null_high);
    EXPECT_LT(twice.log_scale, twice.null_low);
    EXPECT_GT(unbiased.log_scale, unbiased.null_high);
    EXPECT_LT(unbiased.p_value, 0.01);
  }
}

/// A measurement of held-out atoms asks for more noise than there is, since no other atom is quite it; that is no fault of the problem.
TEST(MeasurementFit, TheFiniteSampleIsInTheNull) {
  std::string atoms;
  const Matrix values = random_batch(200, 4, 3);
  for (std::size_t i = 0; i < values.rows(); ++i)
    atoms += fmt::format("{}[{}, {}, {}, {}]", i > 0 ? ", " : "", values(i, 0), values(i, 1), values(i, 2), values(i, 3));
  const Problem problem = problem_from(fmt::format(R"(
[prior]
atoms = [{}]
bandwidth = 0
[operator]
kind = "identity"
[noise]
sigma = 0.05
[measurement]
from_atom = 7
)", atoms));
  const MeasurementFit fit = fit_of(problem, 1);
  EXPECT_TRUE(fit.held_out);
  EXPECT_GT(fit.null_median, std::log(4.0));
  EXPECT_GT(fit.p_value, 0.01);
}

}  // namespace
}  // namespace fslens::test
