#include "fslens/samplers/sampler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "fslens/core/error.hpp"

namespace fslens {
namespace {

std::size_t count_non_finite(const Matrix& x) {
  std::size_t count = 0;
  for (std::size_t b = 0; b < x.rows(); ++b)
    if (!std::ranges::all_of(x.row(b), [](double value) { return std::isfinite(value); })) ++count;
  return count;
}

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
                       std::uint64_t first_step) {
  require(!grid.empty(), "grid", "no times", "must hold at least the time of the start");
  for (std::size_t k = 1; k < grid.size(); ++k)
    require(grid[k] < grid[k - 1], fmt::format("grid[{}]", k), fmt::format("{}", grid[k]),
            fmt::format("must be < grid[{}] = {}", k - 1, grid[k - 1]));
  const auto start = std::chrono::steady_clock::now();
  const std::string stage = "sample " + sampler.name();
  const std::size_t steps = grid.size() - 1;
  SamplerRun run;
  run.x = std::move(x);
  run.num_non_finite = count_non_finite(run.x);
  if (visit) visit(0, grid[0], run.x);
  for (std::size_t k = 0; k < steps; ++k) {
    report_progress(observer, stage, k, steps);
    sampler.step(run.x, grid[k], grid[k + 1], first_step + k, stream);
    run.num_non_finite = count_non_finite(run.x);
    if (run.num_non_finite > 0 && run.first_bad_step == 0) run.first_bad_step = k + 1;
    if (visit) visit(k + 1, grid[k + 1], run.x);
  }
  report_progress(observer, stage, steps, steps);
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return run;
}

}  // namespace fslens
