#include "fslens/samplers/sampler.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/diffusion/time_grid.hpp"
#include "fslens/guidance/lens_guidance.hpp"
#include "fslens/guidance/tmpd.hpp"
#include "fslens/samplers/score_sampler.hpp"
#include "guidance/gaussian_problem.hpp"

namespace fslens::test {
namespace {

class RecordingObserver final : public Observer {
 public:
  void progress(std::string_view stage, std::size_t done, std::size_t total) override {
    calls.push_back(std::string(stage) + " " + std::to_string(done) + "/" + std::to_string(total));
  }
  bool interrupted() override { return calls.size() >= stop_after; }
  std::vector<std::string> calls;
  std::size_t stop_after = 1000000;
};

/// Adds 1 to every state, and breaks particle 1 in one of the steps.
class CountingSampler final : public PosteriorSampler {
 public:
  explicit CountingSampler(std::uint64_t bad_step) : bad_step_(bad_step) {}
  std::string name() const override { return "counting"; }
  double evaluations_per_step() const override { return 0.0; }
  void step(BatchView x, double, double, std::uint64_t step, const RandomStream&) const override {
    for (std::size_t b = 0; b < x.rows(); ++b) x(b, 0) += 1.0;
    if (step == bad_step_) x(1, 0) = INFINITY;
  }

 private:
  std::uint64_t bad_step_;
};

ScoreSampler tmpd_sampler(const GaussianProblem& problem, Integrator integrator) {
  return {"tmpd",
          problem.denoiser(),
          std::make_shared<TmpdGuidance>(),
          problem.likelihood(),
          {.integrator = integrator, .eta = integrator == Integrator::ddim ? 0.4 : 0.0}};
}

TEST(RunSampler, VisitsEveryGridTimeAndReportsProgress) {
  RecordingObserver observer;
  std::vector<std::string> visits;
  const SamplerRun run =
      run_sampler(CountingSampler(1000), {0.9, 0.5, 0.2}, Matrix(2, 1), RandomStream(1), observer,
                  [&](std::size_t k, double t, ConstBatchView x) {
                    visits.push_back(std::to_string(k) + " " + std::to_string(t) + " " + std::to_string(x(0, 0)));
                  });
  EXPECT_EQ(visits, (std::vector<std::string>{"0 0.900000 0.000000", "1 0.500000 1.000000", "2 0.200000 2.000000"}));
  EXPECT_EQ(observer.calls, (std::vector<std::string>{"sample counting 0/2", "sample counting 1/2", "sample counting 2/2"}));
  EXPECT_EQ(run.x(1, 0), 2.0);
  EXPECT_EQ(run.num_non_finite, 0u);
  EXPECT_EQ(run.first_bad_step, 0u);
  EXPECT_GT(run.seconds, 0.0);
}

/// Adds the noise of its row and step.
class NoiseSampler final : public PosteriorSampler {
 public:
  std::string name() const override { return "noise"; }
  double evaluations_per_step() const override { return 0.0; }
  void step(BatchView x, double, double, std::uint64_t step, const RandomStream& stream) const override {
    for (std::size_t b = 0; b < x.rows(); ++b) {
      if (stream.uniform(step, b) > 1.0 - kBadShare) x(b, 0) = INFINITY;
      x(b, 1) += stream.normal(step, b);
    }
  }
  static constexpr double kBadShare = 2e-4;
};

TEST(RunSampler, BlocksHaveTheDrawsOfTheirParticlesAndMeetAtVisits) {
  constexpr std::size_t kParticles = 1100, kDim = 64;  // five blocks, the last shorter
  const std::vector<double> grid{0.9, 0.7, 0.5, 0.3, 0.2, 0.1};
  const RandomStream stream(3);
  Matrix expected(kParticles, kDim);
  std::vector<std::size_t> visited;
  std::size_t first_bad = 0, num_bad = 0;
  const auto expect_states = [&](std::size_t k, double t, ConstBatchView x) {
    EXPECT_EQ(t, grid[k]);
    for (std::size_t from = visited.empty() ? 0 : visited.back(); from < k; ++from)
      for (std::size_t b = 0; b < kParticles; ++b) {
        expected(b, 1) += stream.normal(from, b);
        if (stream.uniform(from, b) <= 1.0 - NoiseSampler::kBadShare) continue;
        if (first_bad == 0) first_bad = from + 1;
        num_bad += expected(b, 0) == 0.0 ? 1 : 0;
        expected(b, 0) = INFINITY;
      }
    visited.push_back(k);
    for (std::size_t b = 0; b < kParticles; ++b)
      for (std::size_t j = 0; j < kDim; ++j) ASSERT_EQ(x(b, j), expected(b, j)) << k << ", " << b << ", " << j;
  };
  RecordingObserver observer;
  const SamplerRun run = run_sampler(NoiseSampler(), grid, Matrix(kParticles, kDim), stream, observer, expect_states, 0, {0, 2, 5});
  EXPECT_EQ(visited, (std::vector<std::size_t>{0, 2, 5}));
  EXPECT_GT(num_bad, 0u);
  EXPECT_EQ(run.num_non_finite, num_bad);
  EXPECT_EQ(run.first_bad_step, first_bad);
  EXPECT_EQ(observer.calls, (std::vector<std::string>{"sample noise 0/5", "sample noise 1/5", "sample noise 2/5", "sample noise 3/5",
                                                      "sample noise 4/5", "sample noise 5/5"}));
}

TEST(RunSampler, AnErrorInOneBlockEndsTheRun) {
  class FailingSampler final : public PosteriorSampler {
   public:
    std::string name() const override { return "failing"; }
    double evaluations_per_step() const override { return 0.0; }
    void step(BatchView, double, double, std::uint64_t step, const RandomStream& stream) const override {
      if (step == 3 && stream.uniform(0, 0) == RandomStream(1).uniform(0, 512)) throw InvalidArgument("the third block");
    }
  };
  SilentObserver observer;
  std::vector<double> grid;
  for (int k = 0; k < 100; ++k) grid.push_back(1.0 - 0.001 * k);
  EXPECT_THROW(run_sampler(FailingSampler(), grid, Matrix(1024, 64), RandomStream(1), observer), InvalidArgument);
}

TEST(RunSampler, StopsWhenTheObserverAsks) {
  RecordingObserver observer;
  observer.stop_after = 1;
  EXPECT_THROW(run_sampler(CountingSampler(1000), {0.9, 0.5, 0.2}, Matrix(2, 1), RandomStream(1), observer),
               Interrupted);
  EXPECT_EQ(observer.calls.size(), 1u);
}

TEST(RunSampler, DivergenceIsAResult) {
  SilentObserver observer;
  const SamplerRun run = run_sampler(CountingSampler(1), {0.9, 0.5, 0.2, 0.1}, Matrix(3, 1), RandomStream(1), observer);
  EXPECT_EQ(run.num_non_finite, 1u);
  EXPECT_EQ(run.first_bad_step, 2u);
  EXPECT_EQ(run.x(0, 0), 3.0);
  EXPECT_TRUE(std::isinf(run.x(1, 0)));
}

TEST(RunSampler, RefusesGridsThatDoNotDecrease) {
  SilentObserver observer;
  const CountingSampler sampler(1000);
  EXPECT_THROW(run_sampler(sampler, {}, Matrix(2, 1), RandomStream(1), observer), InvalidArgument);
  EXPECT_THROW(run_sampler(sampler, {0.5, 0.5}, Matrix(2, 1), RandomStream(1), observer), InvalidArgument);
  EXPECT_EQ(run_sampler(sampler, {0.5}, Matrix(2, 1, 4.0), RandomStream(1), observer).x(0, 0), 4.0);
  const auto visit_at = [&](const std::vector<std::size_t>& visited) {
    run_sampler(sampler, {0.5, 0.4, 0.3}, Matrix(2, 1), RandomStream(1), observer, [](std::size_t, double, ConstBatchView) {}, 0, visited);
  };
  EXPECT_THROW(visit_at({1, 3}), InvalidArgument);
  EXPECT_THROW(visit_at({1, 1}), InvalidArgument);
}

TEST(RunSampler, AChainLeftAndEnteredHalfWayIsTheSameChain) {
  const GaussianProblem problem = random_problem(3, 2, NoiseShape::full, 8);
  SilentObserver observer;
  const RandomStream stream(6);
  const auto grid = make_time_grid(problem.schedule, {.steps = 20});
  const Matrix start = initial_states(problem.schedule, 1.0, 50, 3, stream);
  for (const Integrator integrator : {Integrator::euler_maruyama, Integrator::ancestral, Integrator::ddim,
                                      Integrator::heun, Integrator::exponential}) {
    const ScoreSampler sampler = tmpd_sampler(problem, integrator);
    const SamplerRun whole = run_sampler(sampler, grid, start, stream, observer);
    const std::vector<double> early(grid.begin(), grid.begin() + 8);
    const std::vector<double> late(grid.begin() + 7, grid.end());
    SamplerRun half = run_sampler(sampler, early, start, stream, observer);
    half = run_sampler(sampler, late, half.x, stream, observer, {}, 7);
    for (std::size_t i = 0; i < whole.x.size(); ++i)
      ASSERT_EQ(whole.x.values()[i], half.x.values()[i]) << to_string(integrator);
  }
}

TEST(RunSampler, HasTheSameBitsForEveryNumberOfThreads) {
  const GaussianProblem problem = random_problem(5, 3, NoiseShape::full, 8);
  const auto grid = make_time_grid(problem.schedule, {.steps = 12});
  const ScoreSampler sampler = tmpd_sampler(problem, Integrator::exponential);
  const auto run = [&](std::size_t threads, std::size_t particles) {
    const ThreadLimit limit(threads);
    SilentObserver observer;
    const RandomStream stream(6);
    return run_sampler(sampler, grid, initial_states(problem.schedule, 1.0, particles, 5, stream), stream, observer).x;
  };
  for (const std::size_t particles : {300, 4500}) {  // in one block and in three
    const Matrix one = run(1, particles);
    for (const std::size_t threads : {2, 4}) {
      const Matrix many = run(threads, particles);
      for (std::size_t i = 0; i < one.size(); ++i) ASSERT_EQ(one.values()[i], many.values()[i]);
    }
  }
}

TEST(InitialStates, HaveTheLawOfPureNoiseAndAStreamOfTheirOwn) {
  // z-tests at |z| < 5: false-alarm rate 6e-7 each, three tests a schedule, seed fixed.
  constexpr std::size_t kDraws = 100000;
  for (const NoiseSchedule& schedule :
       {NoiseSchedule::vp_linear(), NoiseSchedule::ve(), NoiseSchedule::ou({.sigma = 1.0, .mean = 3.0})}) {
    const RandomStream stream(2);
    const Matrix x = initial_states(schedule, 0.9, kDraws, 1, stream);
    double sum = 0.0;
    double square = 0.0;
    double with_first_step = 0.0;
    for (std::size_t b = 0; b < kDraws; ++b) {
      const double z = (x(b, 0) - schedule.shift(0.9)) / schedule.s(0.9);
      sum += z;
      square += z * z;
      with_first_step += z * stream.normal(0, b, 0);
    }
    EXPECT_LT(std::abs(sum) / std::sqrt(kDraws), 5.0) << schedule.name();
    EXPECT_LT(std::abs(square - kDraws) / std::sqrt(2.0 * kDraws), 5.0) << schedule.name();
    EXPECT_LT(std::abs(with_first_step) / std::sqrt(kDraws), 5.0) << schedule.name() << ": shares noise with step 0";
  }
}

TEST(ScoreSampler, SamplesThePosteriorOfAGaussianProblem) {
  // 20000 particles; |z| < 5 for a mean and a variance (false-alarm rate 6e-7 each), seed fixed. The integrator's own
  // error on this grid is below 1e-3 of the variance, a tenth of the variance's standard error.
  const GaussianProblem problem = random_problem(2, 1, NoiseShape::scalar, 33);
  const ScoreSampler sampler("lens-sde", problem.denoiser(),
                             std::make_shared<ConditionalDenoiserGuidance>(problem.posterior_denoiser()),
                             problem.likelihood(), {.integrator = Integrator::exponential});
  EXPECT_EQ(sampler.evaluations_per_step(), 2.0);
  SilentObserver observer;
  const RandomStream stream(12);
  const auto grid = make_time_grid(problem.schedule, {.steps = 100, .spacing = GridSpacing::log_snr});
  constexpr double kParticles = 20000;
  const SamplerRun run =
      run_sampler(sampler, grid, initial_states(problem.schedule, 1.0, static_cast<std::size_t>(kParticles), 2, stream),
                  stream, observer);
  for (std::size_t j = 0; j < 2; ++j) {
    const auto index = static_cast<Eigen::Index>(j);
    const double mean = problem.marginal_mean(0.01)(index);
    const double variance = problem.marginal_covariance(0.01)(index, index);
    double sum = 0.0;
    double square = 0.0;
    for (std::size_t b = 0; b < run.x.rows(); ++b) {
      sum += run.x(b, j) - mean;
      square += std::pow(run.x(b, j) - mean, 2.0);
    }
    EXPECT_LT(std::abs(sum) / std::sqrt(kParticles * variance), 5.0);
    EXPECT_LT(std::abs(square / variance - kParticles) / std::sqrt(2.0 * kParticles), 5.0);
  }
}

TEST(ScoreSampler, ChecksItsPartsAndOptions) {
  const GaussianProblem problem = random_problem(3, 2, NoiseShape::scalar, 1);
  const GaussianProblem other = random_problem(4, 2, NoiseShape::scalar, 1);
  const auto guidance = std::make_shared<TmpdGuidance>();
  EXPECT_THROW(ScoreSampler("tmpd", nullptr, guidance, problem.likelihood()), InvalidArgument);
  EXPECT_THROW(ScoreSampler("tmpd", problem.denoiser(), nullptr, problem.likelihood()), InvalidArgument);
  EXPECT_THROW(ScoreSampler("tmpd", problem.denoiser(), guidance, nullptr), InvalidArgument);
  EXPECT_THROW(ScoreSampler("tmpd", problem.denoiser(), guidance, other.likelihood()), InvalidArgument);
  EXPECT_THROW(ScoreSampler("tmpd", problem.denoiser(), guidance, problem.likelihood(),
                            {.integrator = Integrator::ddim, .eta = 1.5}),
               InvalidArgument);
  Matrix wide(2, 4);
  EXPECT_THROW(
      ScoreSampler("tmpd", problem.denoiser(), guidance, problem.likelihood()).step(wide, 0.5, 0.4, 0, RandomStream(1)),
      InvalidArgument);
}

}  // namespace
}  // namespace fslens::test
