// Hand-off and entry sweeps: where along t the final error enters.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "error_budget.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

constexpr std::size_t kSweepTimes = 9;

/// Indices into the grid, about equally spaced in log-SNR, the first and the last among them.
std::vector<std::size_t> sweep_indices(const NoiseSchedule& schedule, const std::vector<double>& grid) {
  const double first = schedule.log_snr(grid.front()), last = schedule.log_snr(grid.back());
  std::set<std::size_t> indices = {0, grid.size() - 1};
  for (std::size_t j = 1; j + 1 < kSweepTimes; ++j) {
    const double target = first + (last - first) * static_cast<double>(j) / static_cast<double>(kSweepTimes - 1);
    const auto closest = std::ranges::min_element(grid, {}, [&](double t) { return std::abs(schedule.log_snr(t) - target); });
    indices.insert(static_cast<std::size_t>(closest - grid.begin()));
  }
  return {indices.begin(), indices.end()};
}

/// The time at which a curve over the points, made to ascend, reaches `level`; between points by its course in log-SNR.
std::optional<double> time_of_level(const NoiseSchedule& schedule, const ErrorLocation& location, const std::vector<double>& curve, double level) {
  double before = 0.0;
  for (std::size_t j = 0; j < curve.size(); ++j) {
    const double here = std::max(before, curve[j]);
    if (here >= level) {
      if (j == 0) return location.points[0].t;
      const double share = here > before ? (level - before) / (here - before) : 0.0;
      const double from = schedule.log_snr(location.points[j - 1].t), to = schedule.log_snr(location.points[j].t);
      return schedule.time_of_log_snr(from + share * (to - from), location.points[j].t, location.points[j - 1].t);
    }
    before = here;
  }
  return std::nullopt;
}

}  // namespace

void interpret_sweeps(const NoiseSchedule& schedule, ErrorLocation& location) {
  const auto& points = location.points;
  const BudgetEntry& whole = points.back().hand_off;  // handed off at the end: the sampler's own error
  if (whole.low <= 0.0) {
    location.finding = fmt::format("{} particles do not show a final error whose origin could be told", location.num_particles);
    return;
  }
  const BudgetEntry steps = location.exact_score.value_or(BudgetEntry{});
  if (whole.low <= steps.high) {
    location.finding = "it cannot be told from what the exact score errs on this grid: discretisation, at no time more than another";
    return;
  }
  // What has entered by t, beyond what the steps cost. An entry sweep tells it too, from the other side, as the whole less what enters later.
  std::vector<double> entered;
  const double cost = steps.value * steps.value, square = whole.value * whole.value - cost;
  const bool both = points.front().entry.has_value();
  const double entry_whole = both ? std::max(points.front().entry->value, 1e-300) : 1.0;
  for (const SweepPoint& point : points) {
    double share = (point.hand_off.value * point.hand_off.value - cost) / square;
    if (both) share = 0.5 * (std::clamp(share, 0.0, 1.0) + 1.0 - std::pow(point.entry->value / entry_whole, 2.0));
    entered.push_back(std::clamp(share, 0.0, 1.0));
  }
  location.begin = time_of_level(schedule, location, entered, 0.1);
  location.half = time_of_level(schedule, location, entered, 0.5);
  location.end = time_of_level(schedule, location, entered, 0.9);
  if (!location.begin || !location.half || !location.end) return;
  location.finding = fmt::format("half of the squared final error has entered by t = {:.3g}, 10 % by {:.3g} and 90 % by {:.3g}", *location.half,
                                 *location.begin, *location.end);
  if (entered.front() > 0.5) location.finding += ": it is there from the start";
}

const EndDistance& BudgetMaker::sweep_distance() {
  if (sweep_distance_ == nullptr)
    sweep_distance_ = std::make_unique<EndDistance>(reference_, sweep_particles(reference_.num_particles(), reference_.lens().dim()),
                                                    stream_.child("sweeps"));
  return *sweep_distance_;
}

ErrorLocation BudgetMaker::locate(const Contestant& contestant) {
  const std::vector<double>& grid = problem_.grid;
  const std::vector<std::size_t> indices = sweep_indices(problem_.lens->schedule(), grid);
  const EndDistance& distance = sweep_distance();
  ErrorLocation out;
  out.num_particles = distance.particles();
  const RandomStream stream = stream_.child("sweep of " + contestant.name);
  const PosteriorSampler& exact = exact_score(contestant.integrator, contestant.eta);
  const std::string stage = "where " + contestant.name + " errs";
  report_progress(observer_, stage, 0, 2);
  out.exact_score = distance_.to_exact(exact_score_from_exact(contestant.integrator, contestant.eta));
  std::vector<Matrix> states;
  run_sampler(*contestant.sampler, grid, start_of(contestant, out.num_particles, stream.child("start")), stream, quiet_,
              [&](std::size_t, double, ConstBatchView x) { states.emplace_back(x); }, 0, indices);
  report_progress(observer_, stage, 1, 2);
  // Few particles make one block, which runs on one thread: the continuations run side by side.
  std::vector<std::optional<BudgetEntry>> hand_off(indices.size()), entry(indices.size());
  parallel_for(2 * indices.size(), [&](std::size_t item) {
    const std::size_t j = item / 2;
    const double t = grid[indices[j]];
    if (item % 2 == 0) hand_off[j] = distance.to_exact(run(exact, std::move(states[j]), t, stream.child("hand-off", j)));
    else entry[j] = distance.to_exact(run(*contestant.sampler, exact_draws(out.num_particles, t, stream.child("exact", j)), t, stream.child("entry", j)));
  });
  report_progress(observer_, stage, 2, 2);
  for (std::size_t j = 0; j < indices.size(); ++j) {
    if (!hand_off[j] || !entry[j]) {
      out.points.clear();
      out.finding = "too few finite states to tell where the error enters";
      return out;
    }
    out.points.push_back({grid[indices[j]], *hand_off[j], entry[j]});
  }
  interpret_sweeps(problem_.lens->schedule(), out);
  return out;
}

std::optional<ErrorLocation> BudgetMaker::locate(const Recording& recording) {
  if (recording.times().size() < 3 || recording.times().back() == 0.0) return std::nullopt;
  const EndDistance& distance = sweep_distance();
  ErrorLocation out;
  out.num_particles = distance.particles();
  out.exact_score = distance_.to_exact(exact_score_from_exact(problem_.integrator, problem_.eta));
  const RandomStream stream = stream_.child("sweep of " + recording.name());
  for (const std::size_t j : sweep_indices(problem_.lens->schedule(), recording.times())) {
    const double t = recording.times()[j];
    const auto hand_off = distance.to_exact(
        run(exact_score(problem_.integrator, problem_.eta), first_rows(recording.states(j), out.num_particles), t, stream.child("hand-off", j)));
    if (!hand_off) return std::nullopt;
    out.points.push_back({t, *hand_off, std::nullopt});
  }
  interpret_sweeps(problem_.lens->schedule(), out);
  return out;
}

}  // namespace fslens
