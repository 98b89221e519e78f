// Draws of Gaussian mixtures, and conditioning checked by importance weighting.
//
// Seeds are fixed. Were they drawn afresh, a correct library would fail one of its 23 comparisons with probability
// below 1.4e-5 (5.7e-7 each).
#include <gtest/gtest.h>

#include <cmath>

#include "fslens/prior/gaussian_mixture.hpp"
#include "prior/mixture_problem.hpp"
#include "prior/monte_carlo.hpp"

namespace fslens {
namespace {

constexpr std::size_t kDraws = 200000;

TEST(GaussianMixtureDraws, FrequenciesMeanAndCovarianceAreTheMixtures) {
  const MixtureProblem problem(4, 3, 2, 31);
  std::vector<std::size_t> component;
  const Matrix x = problem.prior->sample(kDraws, RandomStream(8), 0, component);
  std::vector<std::size_t> counts(4);
  std::vector<double> weights;
  for (const std::size_t k : component) ++counts.at(k);
  for (const double log_weight : problem.prior->log_weights()) weights.push_back(std::exp(log_weight));
  const ChiSquare frequencies = chi_square(counts, weights, static_cast<double>(kDraws));
  EXPECT_LT(frequencies.statistic, chi_square_limit(frequencies.dof));

  const std::vector<double> mean = problem.prior->mean();
  const Matrix covariance = problem.prior->covariance();
  for (std::size_t i = 0; i < 3; ++i) {
    const MeanEstimate first = estimate_mean(column_of(x, i));
    EXPECT_NEAR(first.mean, mean[i], kFiveSigma * first.error);
    for (std::size_t j = 0; j <= i; ++j) {
      std::vector<double> products;
      for (std::size_t b = 0; b < kDraws; ++b) products.push_back((x(b, i) - mean[i]) * (x(b, j) - mean[j]));
      const MeanEstimate second = estimate_mean(products);
      EXPECT_NEAR(second.mean, covariance(i, j), kFiveSigma * second.error);
    }
  }
}

// Prior draws weighted by p(y | x) are the posterior: evidence, component weights, mean and second moments of
// condition().
TEST(GaussianMixtureDraws, ConditioningIsImportanceWeightingByTheLikelihood) {
  const MixtureProblem problem(4, 3, 2, 31);
  const ConditionedMixture conditioned =
      condition(*problem.prior, problem.matrix, problem.bias, problem.noise, problem.y);
  std::vector<std::size_t> component;
  const Matrix x = problem.prior->sample(kDraws, RandomStream(9), 1, component);
  std::vector<double> likelihood = problem.likelihood->log_likelihood(x);
  for (double& value : likelihood) value = std::exp(value - conditioned.log_evidence);
  const MeanEstimate evidence = estimate_mean(likelihood);
  EXPECT_NEAR(evidence.mean, 1.0, kFiveSigma * evidence.error);
  EXPECT_LT(evidence.error, 0.01) << "too few draws count for the comparison to mean anything";

  // E[w (f − E f)] = 0 for every f under the posterior: no ratio is needed.
  const auto expect_mean = [&](const auto& f, double mean, const char* what) {
    std::vector<double> terms;
    for (std::size_t b = 0; b < kDraws; ++b) terms.push_back(likelihood[b] * (f(b) - mean));
    const MeanEstimate excess = estimate_mean(terms);
    EXPECT_NEAR(excess.mean, 0.0, kFiveSigma * excess.error) << what;
  };
  const std::vector<double> mean = conditioned.posterior.mean();
  const Matrix covariance = conditioned.posterior.covariance();
  for (std::size_t i = 0; i < 3; ++i) {
    expect_mean([&](std::size_t b) { return x(b, i); }, mean[i], "mean");
    for (std::size_t j = 0; j <= i; ++j)
      expect_mean([&](std::size_t b) { return (x(b, i) - mean[i]) * (x(b, j) - mean[j]); }, covariance(i, j),
                  "covariance");
  }
  for (std::size_t k = 0; k < 3; ++k)
    expect_mean([&](std::size_t b) { return component[b] == k ? 1.0 : 0.0; },
                std::exp(conditioned.posterior.log_weights()[k]), "component weight");
}

}  // namespace
}  // namespace fslens
