#include "fixed_point_pass.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "error_bound.hpp"
#include "fixed_point_product.hpp"
#include "fixed_point_sweep.hpp"
#include "fixed_point_writer.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens::kernels {
namespace {

/// Bytes of a block: its rows, their transpose and the digits of two groups stay within a 2 MiB second-level cache.
constexpr std::size_t kBlockBytes = 448 * 1024;
constexpr std::size_t kKeptBytes = std::size_t{48} << 20;
/// Particles of a batch: their sums take at most this much for each shard.
constexpr std::size_t kTotalsBytes = std::size_t{24} << 20;

std::size_t block_rows_for(const AtomTable& atoms, const FixedPointPlan& plan, std::size_t planes) {
  // What orders that are left out may add up to is bounded block by block: the smaller, the closer.
  const bool drops = plan.weight_orders[0] + 1 < plan.weight_digits[0] + planes || plan.weight_orders[1] + 1 < plan.weight_digits[1] + planes;
  const std::size_t fitting = kBlockBytes / (rounded_up(atoms.dim(), kStepBytes) * planes) / kStepBytes * kStepBytes;
  return std::min(std::clamp<std::size_t>(fitting, kStepBytes, drops ? 512 : 2048), rounded_up(atoms.count(), kStepBytes));
}

/// An atom counts under a measure only if its log-weight is within kTiltCut of the largest, after what the distances of any two atoms to
/// any particle can differ by: (a/s²) ‖q‖ 2R + a² R²/2s². Those that count under no measure are left out.
void set_order(FixedPointJob& job) {
  const SoftAssignmentRequest& request = job.request;
  const std::size_t count = request.atoms->count();
  job.order.resize(count);
  std::iota(job.order.begin(), job.order.end(), std::uint32_t{0});
  job.num_tilted = count;
  if (request.features != nullptr) return;
  const double radius = request.atoms->radius(), norm = *std::ranges::max_element(job.queries.norm);
  const double apart = request.a / request.s2 * radius * (2.0 * norm + 0.5 * request.a * radius);
  const auto lowest = [&](std::span<const double> weights) { return *std::ranges::max_element(weights) - kTiltCut - 1.001 * apart; };
  const auto counts = [](std::span<const double> weights, double least) {
    return [=](std::uint32_t i) { return weights[i] >= least; };
  };
  const std::span<const double> first = request.log_weights.front(), second = request.log_weights.back();
  const auto rest = std::ranges::stable_partition(job.order, counts(second, lowest(second)));
  job.num_tilted = count - rest.size();
  const auto none = std::ranges::stable_partition(rest, counts(first, lowest(first)));
  job.order.resize(count - none.size());
}

/// What logits are relative to, the steps that they are made in, and the floor of the weights.
void set_references(FixedPointJob& job, const Probe& probe) {
  const std::size_t lanes = job.queries.groups * kLanes, particles = job.queries.particles.size();
  for (std::size_t m = 0; m < 2; ++m) {
    job.reference[m].assign(lanes, 0.0);
    for (std::size_t p = 0; p < particles; ++p)
      if (std::isfinite(probe.reference[m][p])) job.reference[m][p] = probe.reference[m][p] - job.queries.constant[p];
  }
  const TopOffsets tops = top_offsets(job.request, job.order);
  for (std::size_t group = 0; group < job.queries.groups; ++group)
    job.steps.push_back(logit_steps(job.request, job.format, job.queries, group, job.plan.orders, tops,
                                    {job.reference[0].data() + group * kLanes, job.reference[1].data() + group * kLanes}));
  for (std::size_t m = 0; m < 2; ++m) {
    // A lane without a particle has no weight worth keeping.
    job.floor[m].assign(lanes, std::numeric_limits<double>::infinity());
    for (std::size_t p = 0; p < particles; ++p)
      job.floor[m][p] = std::log(job.plan.floor) + probe.log_mean[m][p] - job.reference[m][p] - job.queries.constant[p];
  }
}

FixedPointJob make_job(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Probe& probe,
                       const FixedPointPlan& plan, IntegerKernel kernel) {
  const AtomTable& atoms = *request.atoms;
  FixedPointJob job{.request = request, .format = fixed_point_format(atoms, plan.planes), .plan = plan, .kernel = kernel,
                    .queries = {}, .reference = {}, .steps = {}, .floor = {}, .order = {}, .kept = {}, .kept_top = {}};
  job.queries = lane_queries(request, job.format, particles, plan.query_digits, QueryScale::group, wants_moments(request));
  job.block_rows = block_rows_for(atoms, plan, job.format.planes);
  job.columns = rounded_up(atoms.dim(), kStripRows);
  set_order(job);
  if (job.num_tilted == atoms.count()) job.packed = atoms.packed()->of(atoms, job.format);
  set_references(job, probe);
  job.num_blocks = (job.order.size() + job.block_rows - 1) / job.block_rows;
  job.feature_columns = request.features != nullptr ? request.features->size : 0;
  job.want_moments = wants_moments(request);
  const std::size_t kept = job.queries.groups * kLanes * job.num_blocks * job.block_rows;
  if (asks_second_sweep(request) && kept * sizeof(float) <= kKeptBytes) {
    job.kept.resize(kept);
    job.kept_top.assign(job.queries.groups * kLanes * job.num_blocks, 0.0);
  }
  return job;
}

/// Runs the sweeps of a job. @return by band and measure
std::vector<LaneTotals> run_sweeps(FixedPointJob& job) {
  const std::size_t measures = job.request.log_weights.size();
  const JobTasks tasks = tasks_of(job);
  std::vector<std::vector<LaneTotals>> partial(tasks.bands * tasks.shards);
  parallel_for(partial.size(), [&](std::size_t task) {
    const std::size_t group = tasks.first_group(task);
    const std::size_t groups = std::min(kGroupsPerTask, job.queries.groups - group);
    for (std::size_t m = 0; m < measures; ++m) partial[task].push_back(make_totals(job, groups));
    FixedPointSweep sweep(job, group, groups);
    sweep.run(tasks.first_block(task, job.num_blocks), tasks.last_block(task, job.num_blocks), partial[task]);
  });
  std::vector<LaneTotals> merged(tasks.bands * measures);
  parallel_for(merged.size(), [&](std::size_t i) {
    const std::size_t first = i / measures * tasks.shards;
    merged[i] = std::move(partial[first][i % measures]);
    for (std::size_t shard = 1; shard < tasks.shards; ++shard) add_totals(job, merged[i], partial[first + shard][i % measures]);
    if (job.want_moments && merged[i].moments.empty()) merged[i].moments = make_moments(job, merged[i].best.size() / kLanes);
  });
  return merged;
}

/// @return positions of the particles whose proven error exceeds the tolerance
std::vector<std::size_t> run_batch(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Probe& probe,
                                   const FixedPointPlan& plan, IntegerKernel kernel, SoftAssignmentResult& result) {
  FixedPointJob job = make_job(request, particles, probe, plan, kernel);
  const std::vector<LaneTotals> totals = run_sweeps(job);
  std::vector<double> error(particles.size());
  FixedPointWriter writer(job, totals, result);
  if (request.guided != nullptr) {
    error = fixed_point_guided(job, writer, result);
  } else {
    std::vector<WeightSummary> summaries(particles.size());
    parallel_for_ranges(particles.size(), kLanes, [&](std::size_t begin, std::size_t end) {
      for (std::size_t p = begin; p < end; ++p) error[p] = writer.write(p, summaries[p]);
    });
    if (asks_second_sweep(request)) fixed_point_product(job, summaries, result);
  }
  std::vector<std::size_t> imprecise;
  for (std::size_t p = 0; p < particles.size(); ++p)
    if (!(error[p] <= request.tolerance)) imprecise.push_back(p);
  return imprecise;
}

}  // namespace

JobTasks tasks_of(const FixedPointJob& job) {
  constexpr std::size_t kTasks = 16;
  JobTasks tasks;
  tasks.bands = (job.queries.groups + kGroupsPerTask - 1) / kGroupsPerTask;
  tasks.shards = std::clamp<std::size_t>((kTasks + tasks.bands - 1) / tasks.bands, 1, std::max<std::size_t>(1, job.num_blocks / 4));
  return tasks;
}

void Probe::append(const Probe& other) {
  const auto add = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  for (std::size_t m = 0; m < 2; ++m) {
    add(reference[m], other.reference[m]);
    add(atom[m], other.atom[m]);
    add(log_mean[m], other.log_mean[m]);
    add(crowding[m], other.crowding[m]);
  }
  add(live_share, other.live_share);
  add(variance, other.variance);
}

Probe part_of(const Probe& probe, std::span<const std::size_t> positions) {
  Probe part;
  const auto take = [&](auto& to, const auto& from) {
    for (const std::size_t p : positions) to.push_back(from[p]);
  };
  for (std::size_t m = 0; m < 2; ++m) {
    take(part.reference[m], probe.reference[m]);
    take(part.atom[m], probe.atom[m]);
    take(part.log_mean[m], probe.log_mean[m]);
    take(part.crowding[m], probe.crowding[m]);
  }
  take(part.live_share, probe.live_share);
  take(part.variance, probe.variance);
  return part;
}

std::vector<std::size_t> fixed_point_pass(const SoftAssignmentRequest& request, std::span<const std::size_t> particles,
                                          const Probe& probe, const FixedPointPlan& plan, IntegerKernel kernel,
                                          SoftAssignmentResult& result) {
  const std::size_t columns = rounded_up(request.atoms->dim(), kStripRows) * sizeof(double);
  const std::size_t band = kGroupsPerTask * kLanes;
  const std::size_t batch = std::max<std::size_t>(1, kTotalsBytes / (columns * band)) * band;
  std::vector<std::size_t> again;
  for (std::size_t first = 0; first < particles.size(); first += batch) {
    std::vector<std::size_t> positions(std::min(batch, particles.size() - first));
    std::iota(positions.begin(), positions.end(), first);
    const auto some = particles.subspan(first, positions.size());
    for (const std::size_t p : run_batch(request, some, part_of(probe, positions), plan, kernel, result)) again.push_back(first + p);
  }
  std::vector<std::size_t> imprecise;
  for (const std::size_t p : again) imprecise.push_back(particles[p]);
  const FixedPointPlan most = most_digits(request);
  if (imprecise.empty() || !most.digits_beyond(plan)) return imprecise;
  return fixed_point_pass(request, imprecise, part_of(probe, again), most, kernel, result);
}

}  // namespace fslens::kernels
