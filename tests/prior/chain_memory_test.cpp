// Chains of the exact denoiser, long enough and over enough atoms for each block of particles to remember.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "fslens/core/parallel.hpp"
#include "fslens/diffusion/time_grid.hpp"
#include "fslens/guidance/lens_guidance.hpp"
#include "fslens/measurement/likelihood.hpp"
#include "fslens/operators/identity.hpp"
#include "fslens/prior/empirical_prior.hpp"
#include "fslens/samplers/score_sampler.hpp"

namespace fslens {
namespace {

constexpr std::size_t kAtoms = 5000, kDim = 64, kParticles = 300;

std::shared_ptr<const EmpiricalPrior> grouped_prior() {
  const RandomStream centers(1), spread(2);
  std::vector<float> values(kAtoms * kDim);
  for (std::size_t i = 0; i < kAtoms; ++i)
    for (std::size_t k = 0; k < kDim; ++k)
      values[i * kDim + k] = static_cast<float>(centers.normal(k, i % 25) + 0.4 * spread.normal(k, i));
  return std::make_shared<EmpiricalPrior>(AtomTable(std::move(values), kAtoms, kDim));
}

ScoreSampler make_sampler(const std::shared_ptr<const EmpiricalPrior>& prior, bool exact_scan) {
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  AssignmentOptions options;
  options.tolerance = kSingleTolerance;
  options.exact_scan = exact_scan;
  const auto denoiser = std::make_shared<EmpiricalDenoiser>(prior, schedule, options);
  const auto likelihood = std::make_shared<Likelihood>(std::make_shared<IdentityOperator>(kDim), GaussianNoise::scalar(kDim, 1.0),
                                                       std::vector<double>(kDim, 0.0));
  return {"lens-sde", denoiser, std::make_shared<ConditionalDenoiserGuidance>(denoiser), likelihood};
}

Matrix run(const ScoreSampler& sampler) {
  std::vector<double> grid;
  for (int k = 0; k <= 60; ++k) grid.push_back(0.25 - 0.004 * k);
  const RandomStream stream(17);
  SilentObserver observer;
  return run_sampler(sampler, grid, initial_states(NoiseSchedule::vp_linear(), grid.front(), kParticles, kDim, stream), stream, observer).x;
}

Matrix run_chain(const std::shared_ptr<const EmpiricalPrior>& prior, std::size_t threads, bool exact_scan) {
  const ThreadLimit limit(threads);
  return run(make_sampler(prior, exact_scan));
}

TEST(ChainMemory, GivesTheSameBitsForAnyNumberOfThreads) {
  const auto prior = grouped_prior();
  const Matrix one = run_chain(prior, 1, false);
  for (const std::size_t threads : {2u, 3u}) {
    const Matrix many = run_chain(prior, threads, false);
    for (std::size_t b = 0; b < kParticles; ++b)
      for (std::size_t k = 0; k < kDim; ++k) ASSERT_EQ(many(b, k), one(b, k)) << threads << " threads, particle " << b;
  }
}

TEST(ChainMemory, KnowsNothingOfTheRunBefore) {
  const ScoreSampler sampler = make_sampler(grouped_prior(), false);
  const Matrix first = run(sampler), again = run(sampler);
  for (std::size_t b = 0; b < kParticles; ++b)
    for (std::size_t k = 0; k < kDim; ++k) ASSERT_EQ(again(b, k), first(b, k)) << "particle " << b;
}

TEST(ChainMemory, EndsWhereAnExactScanEnds) {
  const auto prior = grouped_prior();
  const Matrix with = run_chain(prior, 2, false), without = run_chain(prior, 2, true);
  // Sixty steps with means of relative error 1e-6 each: a chain contracts, so its states do not drift apart.
  for (std::size_t b = 0; b < kParticles; ++b)
    for (std::size_t k = 0; k < kDim; ++k) ASSERT_NEAR(with(b, k), without(b, k), 1e-3) << "particle " << b;
}

}  // namespace
}  // namespace fslens
