#include "fslens/samplers/sampler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <utility>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

std::size_t count_non_finite(ConstBatchView x) {
  std::size_t count = 0;
  for (std::size_t b = 0; b < x.rows(); ++b)
    if (!std::ranges::all_of(x.row(b), [](double value) { return std::isfinite(value); })) ++count;
  return count;
}

/// Particles that run together. What a step keeps of 256 of them stays in a second-level cache, and a pass over the atoms is as fast a
/// particle as one of 2000; where states are small there are more, so that a step is worth its overhead.
std::size_t particles_per_block(std::size_t particles, std::size_t dim) {
  constexpr std::size_t kFewest = 256, kMost = 2048, kNumbers = 16384, kMultiple = 32;
  const std::size_t most = std::clamp(kNumbers / std::max<std::size_t>(1, dim), kFewest, kMost);
  const std::size_t blocks = std::max<std::size_t>(1, (particles + most - 1) / most);
  return std::max<std::size_t>(1, ((particles + blocks - 1) / blocks + kMultiple - 1) / kMultiple * kMultiple);
}

/// The blocks of particles of one run. Particles know nothing of each other, so each block goes its way: nothing that one step does
/// on one thread alone keeps the others waiting.
class BlockRun {
 public:
  BlockRun(const PosteriorSampler& sampler, const std::vector<double>& grid, Matrix& x, const RandomStream& stream,
           std::uint64_t first_step, Observer& observer)
      : sampler_(sampler), grid_(grid), x_(x), stream_(stream), first_step_(first_step), observer_(observer),
        stage_("sample " + sampler.name()), rows_(particles_per_block(x.rows(), x.cols())),
        first_bad_(std::max<std::size_t>(1, (x.rows() + rows_ - 1) / rows_), 0) {
    for (std::size_t block = 0; block < first_bad_.size(); ++block) samplers_.push_back(sampler.for_other_particles());
    report_progress(observer_, stage_, 0, grid_.size() - 1);
  }

  /// All blocks from one index of the grid to a later one.
  void advance(std::size_t from, std::size_t to) {
    parallel_for(first_bad_.size(), [&](std::size_t block) {
      try {
        for (std::size_t k = from; k < to && !stopped_; ++k) step(block, k);
      } catch (...) {
        stopped_ = true;
        throw;
      }
    });
  }

  std::size_t first_bad_step() const {
    std::size_t first = 0;
    for (const std::size_t step : first_bad_)
      if (step > 0 && (first == 0 || step < first)) first = step;
    return first;
  }

 private:
  void step(std::size_t block, std::size_t k) {
    const std::size_t first = block * rows_;
    const BatchView rows = x_.view().rows_from(first, std::min(rows_, x_.rows() - first));
    const PosteriorSampler& sampler = samplers_[block] ? *samplers_[block] : sampler_;
    sampler.step(rows, grid_[k], grid_[k + 1], first_step_ + k, stream_.from_particle(first));
    if (first_bad_[block] == 0 && count_non_finite(rows) > 0) first_bad_[block] = k + 1;
    const std::lock_guard lock(mutex_);
    // A step is done when the blocks have made as many together.
    if (++block_steps_ % first_bad_.size() == 0)
      report_progress(observer_, stage_, block_steps_ / first_bad_.size(), grid_.size() - 1);
    else if (observer_.interrupted())
      throw Interrupted();
  }

  const PosteriorSampler& sampler_;
  const std::vector<double>& grid_;
  Matrix& x_;
  const RandomStream& stream_;
  std::uint64_t first_step_;
  Observer& observer_;
  std::string stage_;
  std::size_t rows_;
  std::vector<std::size_t> first_bad_;  // by block
  std::vector<std::unique_ptr<PosteriorSampler>> samplers_;  // of the blocks, so that no run knows of another; null: the sampler itself
  std::size_t block_steps_ = 0;
  std::mutex mutex_;
  std::atomic<bool> stopped_ = false;
};

}  // namespace

Matrix initial_states(const NoiseSchedule& schedule, double t, std::size_t num_particles, std::size_t dim,
                      const RandomStream& stream) {
  schedule.require_time("t", t);
  const double shift = schedule.shift(t);
  const double s = schedule.s(t);
  Matrix x(num_particles, dim);
  stream.child("initial states").fill_normal(0, x);
  for (double& value : x.values()) value = shift + s * value;
  return x;
}

SamplerRun run_sampler(const PosteriorSampler& sampler, const std::vector<double>& grid, Matrix x,
                       const RandomStream& stream, Observer& observer, const StateVisitor& visit,
                       std::uint64_t first_step, const std::vector<std::size_t>& visited) {
  require(!grid.empty(), "grid", "no times", "must hold at least the time of the start");
  for (std::size_t k = 1; k < grid.size(); ++k)
    require(grid[k] < grid[k - 1], fmt::format("grid[{}]", k), fmt::format("{}", grid[k]),
            fmt::format("must be < grid[{}] = {}", k - 1, grid[k - 1]));
  for (std::size_t i = 0; i < visited.size(); ++i)
    require(visited[i] < grid.size() && (i == 0 || visited[i] > visited[i - 1]), fmt::format("visited[{}]", i),
            fmt::format("{}", visited[i]), fmt::format("must be an index of the {} times, after the one before", grid.size()));
  const auto start = std::chrono::steady_clock::now();
  const std::size_t last = grid.size() - 1;
  std::vector<std::size_t> stops(visited);
  for (std::size_t k = 0; visit && visited.empty() && k <= last; ++k) stops.push_back(k);
  SamplerRun run;
  run.x = std::move(x);
  BlockRun blocks(sampler, grid, run.x, stream, first_step, observer);
  std::size_t reached = 0;
  for (const std::size_t stop : stops) {
    blocks.advance(reached, stop);
    reached = stop;
    if (visit) visit(stop, grid[stop], run.x);
  }
  blocks.advance(reached, last);
  run.num_non_finite = count_non_finite(run.x);
  run.first_bad_step = blocks.first_bad_step();
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return run;
}

}  // namespace fslens
