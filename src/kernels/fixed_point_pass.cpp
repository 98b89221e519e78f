#include "fixed_point_pass.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "error_bound.hpp"
#include "fixed_point_sweep.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens::kernels {
namespace {

/// Bytes of a block: its rows, their transpose and the digits of two groups stay within a 2 MiB second-level cache.
constexpr std::size_t kBlockBytes = 448 * 1024;
/// How far below the best of a particle an atom may be and still have a weight.
constexpr double kFarthest = kDeadBlock - kLogTwo * static_cast<double>(kLowestArgument);
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
  job.feature_columns = request.features != nullptr ? rounded_up(request.features->size, 4) : 0;
  job.want_moments = wants_moments(request);
  const std::size_t kept = job.queries.groups * kLanes * job.num_blocks * job.block_rows;
  if ((request.direction_of || !request.direction.empty()) && kept * sizeof(float) <= kKeptBytes) {
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

/// Turns the sums of one batch of particles into moments and their bounds.
class FixedPointWriter {
 public:
  FixedPointWriter(const FixedPointJob& job, const std::vector<LaneTotals>& totals, SoftAssignmentResult& result)
      : job_(job), totals_(totals), result_(result), size_(request_size(job.request)) {}

  /// What is held against the tolerance, under the worse measure. `summary`: for a product that is to follow.
  double write(std::size_t p, WeightSummary& summary) {
    double worst = 0.0;
    for (std::size_t m = 0; m < job_.request.log_weights.size(); ++m) worst = std::max(worst, write_measure(m, p, summary));
    return worst;
  }

 private:
  double write_measure(std::size_t m, std::size_t p, WeightSummary& summary) {
    const SoftAssignmentRequest& request = job_.request;
    const std::size_t measures = request.log_weights.size();
    const LaneTotals& totals = totals_[p / (kGroupsPerTask * kLanes) * measures + m];
    const std::size_t lane = p % (kGroupsPerTask * kLanes), b = job_.queries.particles[p];
    SoftAssignmentMoments& out = result_.measures[m];
    const double weight = totals.weight[lane];
    const double log_weight = std::log(weight) + job_.reference[m][p] + job_.queries.constant[p];
    double tilt = 0.0;
    const double centered = job_.want_moments ? write_mean(totals, lane, p, weight, out, tilt) : size_.radius * size_.radius;
    out.log_normaliser[b] = log_weight + request.a / request.s2 * tilt;
    const double second = totals.second[lane] / weight;
    const double variance = job_.want_moments ? std::max(0.0, second - centered) : second;
    if (request.want_variance) out.variance[b] = variance;
    const std::size_t group = lane / kLanes;
    for (std::size_t j = 0; j < out.feature_mean.cols(); ++j)
      out.feature_mean(b, j) = totals.features[(group * job_.feature_columns + j) * kLanes + lane % kLanes] / weight;
    MomentSize moments = moment_size(m, totals, lane, variance, second, std::sqrt(centered));
    moments.normaliser_rounding = normaliser_rounding(m, p, out.log_normaliser[b]);
    const WeightError weights = weight_error(m, p, totals, lane);
    const MomentError error = moment_error(weights, moments);
    write_errors(error, b, out);
    if (m == 0) {
      const double relative = weights.root_mean_square + weights.lost + weights.tilt * std::sqrt(error.true_variance);
      summary = {weight * std::exp(-totals.best[lane]), totals.best[lane], relative, error.true_variance,
                 moments.reach, error.product};
    }
    return judged_error(request, weights, error);
  }

  /// mean ← low + unit Σ ŵ U / Σ ŵ, tilt ← ⟨δq, m − x̄⟩. @return ‖m − x̄‖²
  double write_mean(const LaneTotals& totals, std::size_t lane, std::size_t p, double weight, SoftAssignmentMoments& out,
                    double& tilt) const {
    const double* moments = totals.moments.data() + lane / kLanes * kLanes * job_.columns + lane % kLanes;
    const auto center = job_.request.atoms->center();
    const double unit = job_.format.unit / weight;
    double centered = 0.0;
    for (std::size_t k = 0; k < center.size(); ++k) {
      const double value = job_.format.low + unit * moments[k * kLanes];
      centered += (value - center[k]) * (value - center[k]);
      tilt += job_.queries.lost(p, k) * (value - center[k]);
      if (job_.request.want_mean) out.mean(job_.queries.particles[p], k) = value;
    }
    return centered;
  }

  WeightError weight_error(std::size_t m, std::size_t p, const LaneTotals& totals, std::size_t lane) const {
    const double weight = totals.weight[lane], best = std::abs(totals.best[lane]);
    const double logit = std::abs(best) + std::abs(job_.reference[m][p]);
    const LogitSteps& steps = job_.steps[p / kLanes];
    const double shared = order_error(job_.request, job_.format, job_.queries, p, job_.plan.orders) + steps.error +
                          offset_rounding(job_.request, size_, job_.queries.norm[p], logit, kFarthest) + 6.0 * kUnit * logit;
    // float32: the logit relative to the reference, the same relative to the best, the exponential, and the scaling to integers.
    const double roundings = steps.roundings(kFarthest + best) * kSingleUnit;
    const double single = kPowerError + 2.0 * kSingleUnit + roundings * best;
    WeightError error;
    error.root_mean_square = shared + single + (roundings + kSingleUnit) * std::sqrt(1.001 * totals.square[lane] / weight);
    error.largest = shared + single + (roundings + kSingleUnit) * kFarthest;
    error.lost = totals.lost[lane] / weight;
    const double tilt = job_.request.a / job_.request.s2 * job_.queries.digits.lost[p];
    if (job_.want_moments) {
      error.tilt = tilt;
    } else {  // no mean that it could be taken away at
      error.root_mean_square += tilt * size_.radius;
      error.largest += tilt * size_.radius;
    }
    // Atoms that count under no measure, or not under this one.
    error.lost += static_cast<double>(job_.request.atoms->count()) * std::exp(totals.best[lane] - kTiltCut) / weight;
    return error;
  }

  MomentSize moment_size(std::size_t m, const LaneTotals& totals, std::size_t lane, double variance, double second, double centered) const {
    const AtomTable& atoms = *job_.request.atoms;
    const double root = std::sqrt(static_cast<double>(atoms.dim())), range = atoms.high() - atoms.low();
    const auto blocks = static_cast<double>(job_.num_blocks);
    MomentSize size;
    size.variance = variance;
    size.reach = size_.radius + centered;
    size.mean_rounding = mean_digit_error(m, totals, lane) + job_.format.residual + kUnit * ((blocks + 8.0) * range + 4.0 * size_.largest_value) * root;
    // Tr C = Σ w ‖x − x̄‖² − ‖m − x̄‖²: the mean's own error counts twice.
    size.variance_rounding = kUnit * (blocks + static_cast<double>(job_.block_rows) + interleaved_roundings(atoms.dim()) + 16.0) *
                                 (second + 2.0 * centered * centered) +
                             (2.0 * centered + size.mean_rounding) * size.mean_rounding;
    if (job_.request.features != nullptr) {
      size.feature_size = totals.feature_size;
      size.feature_rounding = kUnit * (blocks + static_cast<double>(job_.block_rows) + 8.0) * size.feature_size;
    }
    return size;
  }

  /// What the orders that the moments leave out may add up to.
  double mean_digit_error(std::size_t m, const LaneTotals& totals, std::size_t lane) const {
    const double dropped = dropped_orders(job_.plan.weight_digits[m], job_.format.planes, job_.plan.weight_orders[m], 1.0) / 127.0;
    if (dropped == 0.0) return 0.0;
    return job_.format.unit * dropped * totals.ceiling[lane] / totals.weight[lane] * std::sqrt(static_cast<double>(job_.request.atoms->dim()));
  }

  double normaliser_rounding(std::size_t m, std::size_t p, double log_normaliser) const {
    const std::size_t d = job_.request.atoms->dim();
    const double norm = 0.5 * job_.queries.norm[p] * job_.queries.norm[p] / job_.request.s2;
    const double slope = job_.request.a / job_.request.s2;
    const double spread = (job_.request.atoms->high() - job_.request.atoms->low()) * std::sqrt(static_cast<double>(d));
    const double q = kUnit * (job_.queries.norm[p] + 2.0 * job_.request.a * size_.center_norm);
    return kUnit * ((interleaved_roundings(d) + 8.0) * (norm + slope * job_.queries.norm[p] * spread) +
                    4.0 * (std::abs(log_normaliser) + std::abs(job_.reference[m][p]))) +
           job_.queries.norm[p] / job_.request.s2 * q;
  }

  const FixedPointJob& job_;
  const std::vector<LaneTotals>& totals_;
  SoftAssignmentResult& result_;
  RequestSize size_;
};

/// @return positions of the particles whose proven error exceeds the tolerance
std::vector<std::size_t> run_batch(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Probe& probe,
                                   const FixedPointPlan& plan, IntegerKernel kernel, SoftAssignmentResult& result) {
  FixedPointJob job = make_job(request, particles, probe, plan, kernel);
  const std::vector<LaneTotals> totals = run_sweeps(job);
  std::vector<double> error(particles.size());
  std::vector<WeightSummary> summaries(particles.size());
  parallel_for_ranges(particles.size(), kLanes, [&](std::size_t begin, std::size_t end) {
    FixedPointWriter writer(job, totals, result);
    for (std::size_t p = begin; p < end; ++p) error[p] = writer.write(p, summaries[p]);
  });
  if (request.direction_of || !request.direction.empty()) fixed_point_product(job, summaries, result);
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
