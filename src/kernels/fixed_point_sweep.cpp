#include "fixed_point_sweep.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "error_bound.hpp"

namespace fslens::kernels {
namespace {

double quantum(std::size_t num_digits) { return 127.0 * power_of_256(num_digits - 1); }

}  // namespace

double moved_square(const LaneTotals& totals, std::size_t lane, double best) {
  if (!std::isfinite(totals.best[lane]) || totals.best[lane] == best) return totals.square[lane];
  const double root = std::sqrt(totals.square[lane]) + (best - totals.best[lane]) * std::sqrt(totals.weight[lane]);
  return root * root;
}

AtomBlock BlockSource::block(const FixedPointJob& job, std::size_t b) {
  const std::span<const std::uint32_t> indices = block_atoms(job, b);
  if (job.packed != nullptr) return part_of_block(*job.packed, b * job.block_rows, indices.size());
  return packer_.pack(*job.request.atoms, job.format, indices, rounded_up(indices.size(), kStepBytes));
}

void BlockSource::transpose(const FixedPointJob& job, AtomBlock& block) {
  if (block.transposed[0] == nullptr) packer_.transpose(job.format, job.request.atoms->dim(), block);
}

const double* BlockFeatures::of(const FixedPointJob& job, const AtomBlock& block) {
  const AtomFeatures& features = *job.request.features;
  const std::size_t first = block.atoms[0];
  if (features.values != nullptr) {
    largest_ = features.largest;
    return features.values + first * features.size;
  }
  values_.resize(block.atoms.size() * features.size);
  features.fill(first, block.atoms.size(), values_.data());
  for (const double value : values_) largest_ = std::max(largest_, std::abs(value));
  return values_.data();
}

LaneTotals make_totals(const FixedPointJob& job, std::size_t groups) {
  const std::size_t lanes = groups * kLanes;
  LaneTotals totals;
  for (std::vector<double>* sums : {&totals.weight, &totals.second, &totals.square, &totals.lost, &totals.ceiling}) sums->assign(lanes, 0.0);
  totals.best.assign(lanes, -std::numeric_limits<double>::infinity());
  totals.features.assign(lanes * job.feature_columns, 0.0);
  return totals;
}

AlignedArray<double> make_moments(const FixedPointJob& job, std::size_t groups) {
  const std::size_t size = groups * kLanes * job.columns;
  AlignedArray<double> moments(size);
  std::fill_n(moments.data(), size, 0.0);
  return moments;
}

void add_totals(const FixedPointJob& job, LaneTotals& totals, LaneTotals& other) {
  const auto add = [](std::vector<double>& to, const std::vector<double>& from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  };
  for (std::size_t lane = 0; lane < totals.best.size(); ++lane) {
    const double best = std::max(totals.best[lane], other.best[lane]);
    totals.square[lane] = moved_square(totals, lane, best) + moved_square(other, lane, best);
    totals.best[lane] = best;
  }
  add(totals.weight, other.weight);
  add(totals.second, other.second);
  add(totals.lost, other.lost);
  add(totals.ceiling, other.ceiling);
  add(totals.features, other.features);
  if (totals.moments.empty()) {
    totals.moments = std::move(other.moments);
  } else if (!other.moments.empty()) {
    double* to = totals.moments.data();
    const double* from = other.moments.data();
    for (std::size_t i = 0; i < totals.best.size() * job.columns; ++i) to[i] += from[i];
  }
  totals.feature_size = std::max(totals.feature_size, other.feature_size);
}

namespace {

/// The logits of a strip of one lane group, in its steps.
void strip_logits(const FixedPointJob& job, const BlockOffsets& offsets, std::size_t row, std::size_t group, std::size_t g,
                  const StripSums& sums, const LogitScratch& scratch, const BlockLogits& out) {
  const LogitSteps& steps = job.steps[group];
  const std::size_t lane = group * kLanes;
  const auto fill = [&](auto& task) {
    task.sums = sums;
    for (std::size_t m = 0; m < out.measures; ++m) {
      task.logits[m] = out.logits[m] + (g * job.block_rows + row) * kLanes;
      task.largest[m] = out.largest[m] + g * kLanes;
    }
  };
  if (steps.whole) {
    StepLogitTask task;
    fill(task);
    task.fine = steps.fine;
    for (std::size_t m = 0; m < out.measures; ++m) {
      const std::size_t place = (2 * g + m) * job.block_rows + row;
      task.reference[m] = steps.reference[m];
      task.whole[m] = scratch.whole.data() + place;
      task.rest[m] = scratch.rest.data() + place;
    }
    lane_step_logits(task);
  } else {
    LogitTask task;
    fill(task);
    task.scale = job.queries.scale.data() + lane;
    for (std::size_t m = 0; m < out.measures; ++m) {
      task.reference[m] = job.reference[m].data() + lane;
      task.offsets[m] = offsets.measure[m].data() + row;
    }
    lane_logits(task);
  }
}

/// The smallest float32 that is not below.
float rounded_above(double value) {
  const auto near = static_cast<float>(value);
  return static_cast<double>(near) < value ? std::nextafter(near, std::numeric_limits<float>::infinity()) : near;
}

/// Σ w (logit − best)² of a block, which is about its own largest, joins that of the lane.
void add_square(std::size_t lane, double square, double weight, double relative, double log, LaneTotals& totals) {
  const double below = totals.best[lane] - log;
  const double root = std::sqrt(relative * square) + below * std::sqrt(std::max(0.0, weight));
  totals.square[lane] += root * root;
}

}  // namespace

void block_logits(const FixedPointJob& job, const AtomBlock& block, const BlockOffsets& offsets, std::size_t group, LogitScratch& scratch,
                  const BlockLogits& out) {
  scratch.whole.resize(4 * job.block_rows);
  scratch.rest.resize(4 * job.block_rows);
  for (std::size_t m = 0; m < out.measures; ++m) {
    std::fill_n(out.largest[m], 2 * kLanes, -std::numeric_limits<float>::infinity());
    for (std::size_t g = 0; g < 2; ++g) {
      const LogitSteps& steps = job.steps[group + g];
      const std::size_t place = (2 * g + m) * job.block_rows;
      if (steps.whole)
        step_offsets(offsets.measure[m].data(), block.rows, steps.top[m], steps.lowest[m], 1.0 / steps.step,
                     scratch.whole.data() + place, scratch.rest.data() + place);
    }
  }
  for_strips(job, block, job.queries.digits, group, job.plan.orders, scratch.ints,
             [&](std::size_t row, const StripSums& first, const StripSums& second) {
               strip_logits(job, offsets, row, group, 0, first, scratch, out);
               strip_logits(job, offsets, row, group + 1, 1, second, scratch, out);
             });
  for (std::size_t m = 0; m < out.measures; ++m)
    for (std::size_t lane = 0; lane < 2 * kLanes; ++lane) {
      float& largest = out.largest[m][lane];
      largest = rounded_above(static_cast<double>(job.steps[group + lane / kLanes].bits) * static_cast<double>(largest));
    }
}

DigitMoments::DigitMoments(const FixedPointJob& job, std::size_t num_digits, std::size_t orders)
    : job_(job), num_digits_(num_digits), orders_(orders), digit_stride_(job.block_rows * kLanes) {
  for (AlignedArray<std::int8_t>& digits : digits_) digits.resize(num_digits * digit_stride_);
  live_.resize(job.block_rows / kStepBytes);
  ints_.resize(strips_per_call(orders, job.columns / kStripRows) * 2 * kStripRows * kLanes * orders);
}

DigitTask DigitMoments::task_for(std::size_t g, const float* factor, std::size_t rows, Sums& sums) {
  if (g == 0) std::ranges::fill(live_, std::uint8_t{0});
  DigitTask task;
  task.rows = rows;
  task.factor = factor;
  task.num_digits = num_digits_;
  task.digits = digits_[g].data();
  task.digit_stride = digit_stride_;
  task.live = live_.data();
  task.sum = sums.sum;
  task.moment = sums.moment;
  task.lost = sums.lost;
  return task;
}

void DigitMoments::take(std::size_t g, const float* values, const float* factor, std::size_t rows, Sums& sums) {
  DigitTask task = task_for(g, factor, rows, sums);
  task.values = values;
  lane_digits(task);
}

void DigitMoments::weigh(std::size_t g, const WeightTask& weights, const float* factor, const BlockOffsets& offsets, Sums& sums) {
  lane_weights(weights);
  DigitTask task = task_for(g, factor, weights.rows, sums);
  task.values = weights.weights;
  // A bound on the variance does where nobody asked for it.
  if (job_.request.want_variance) task.aux = offsets.squared_norms.data();
  else task.rough_aux = offsets.rough_norms.data();
  lane_digits(task);
}

void DigitMoments::clear(std::size_t g, std::size_t rows) {
  if (g == 0) std::ranges::fill(live_, std::uint8_t{0});
  for (std::size_t l = 0; l < num_digits_; ++l) std::fill_n(digits_[g].data() + l * digit_stride_, rows * kLanes, std::int8_t{0});
}

void DigitMoments::multiply(const AtomBlock& block, const double* const (&unit)[2], double* const (&moments)[2]) {
  const std::size_t strips = job_.columns / kStripRows, some = strips_per_call(orders_, strips);
  // Products are in units of the first digit, sums in units of the last.
  double scaled[2][kLanes];
  for (std::size_t g = 0; g < 2; ++g)
    for (std::size_t l = 0; l < kLanes; ++l) scaled[g][l] = unit[g][l] * power_of_256(num_digits_ - 1);
  IntegerProduct product;
  product.num_planes = job_.format.planes;
  product.row_stride = block.column_bytes;
  product.num_digits = num_digits_;
  product.digit_stride = digit_stride_;
  product.orders = orders_;
  product.out = ints_.data();
  // From the first step that holds anything to the last: adding up the sums again costs more than a few steps of zeros.
  std::size_t first = 0, last = block.rows / kStepBytes;
  while (first < last && live_[first] == 0) ++first;
  while (first < last && live_[last - 1] == 0) --last;
  if (first == last) return;
  product.steps = last - first;
  for (std::size_t g = 0; g < 2; ++g) product.digits[g] = digits_[g].data() + first * kStepBytes * kLanes;
  for (std::size_t strip = 0; strip < strips; strip += some) {
    for (std::size_t m = 0; m < job_.format.planes; ++m)
      product.planes[m] = block.transposed[m] + strip * kStripRows * block.column_bytes + first * kStepBytes;
    product.strips = std::min(some, strips - strip);
    for (std::size_t g = 0; g < 2; ++g) product.sums[g] = moments[g] != nullptr ? moments[g] + strip * kStripRows * kLanes : nullptr;
    job_.kernel(product);
    for (std::size_t j = 0; j < product.strips; ++j)
      for (std::size_t g = 0; g < 2; ++g)
        if (moments[g] != nullptr)
          lane_add({ints_.data() + (j * 2 * orders_ + g) * kStripRows * kLanes, orders_, 2 * kStripRows * kLanes}, scaled[g],
                   moments[g] + (strip + j) * kStripRows * kLanes);
  }
}

FixedPointSweep::FixedPointSweep(FixedPointJob& job, std::size_t group, std::size_t num_groups)
    : job_(job), group_(group), num_groups_(num_groups) {
  for (std::size_t m = 0; m < job.request.log_weights.size(); ++m) {
    logits_[m].resize(2 * job.block_rows * kLanes);
    moments_.emplace_back(job, job.plan.weight_digits[m], job.plan.weight_orders[m]);
  }
  weights_.resize(job.block_rows * kLanes);
  live_.resize(job.block_rows), live_fours_.resize(job.block_rows / 4);
}

void FixedPointSweep::run(std::size_t first_block, std::size_t last_block, std::span<LaneTotals> totals) {
  for (std::size_t b = first_block; b < last_block; ++b) {
    block_ = blocks_.block(job_, b);
    fill_offsets(job_.request, block_, offsets_);
    measures_ = block_measures(job_, b);
    block_index_ = b;
    if (job_.request.features != nullptr) {
      block_features_ = features_.of(job_, block_);
      for (LaneTotals& sums : totals) sums.feature_size = features_.largest();
    }
    const ProductScope scope(job_.kernel);
    for (std::size_t pair = 0; pair < num_groups_; pair += 2) {
      logits_of(pair);
      for (std::size_t m = 0; m < measures_; ++m) weigh(m, pair, totals[m]);
    }
  }
}

void FixedPointSweep::logits_of(std::size_t pair) {
  block_logits(job_, block_, offsets_, group_ + pair, scratch_,
               {measures_, {logits_[0].data(), logits_[1].data()}, {largest_[0], largest_[1]}});
}

float* FixedPointSweep::weights_of(std::size_t measure, std::size_t pair, std::size_t g) {
  if (measure > 0 || job_.kept.empty()) return weights_.data();
  return job_.kept.data() + ((group_ + pair + g) * job_.num_blocks + block_index_) * job_.block_rows * kLanes;
}

void FixedPointSweep::weigh(std::size_t measure, std::size_t pair, LaneTotals& totals) {
  double unit[2][kLanes];
  bool any[2];
  for (std::size_t g = 0; g < 2; ++g) any[g] = weigh_group(measure, pair, g, totals, unit[g]);
  if (!job_.want_moments || !(any[0] || any[1])) return;
  blocks_.transpose(job_, block_);
  if (totals.moments.empty()) totals.moments = make_moments(job_, num_groups_);
  double* moments[2];
  for (std::size_t g = 0; g < 2; ++g)
    moments[g] = any[g] ? totals.moments.data() + (pair + g) * kLanes * job_.columns : nullptr;
  moments_[measure].multiply(block_, {unit[0], unit[1]}, moments);
}

/// The weights of a block are relative to its own largest, so that digits lose a share of what is there, and no finer than the floor (but
/// where orders are left out: what these lose grows with the place of the first digit). False if nothing of the group is above it.
bool FixedPointSweep::scale_group(std::size_t measure, std::size_t lane, const float* largest, BlockScale& scale, LaneTotals& totals) const {
  const auto rows = static_cast<double>(block_.atoms.size());
  const double most = quantum(job_.plan.weight_digits[measure]);
  const double* floor = job_.floor[measure].data() + group_ * kLanes + lane;
  const bool coarsen = job_.plan.weight_orders[measure] + 1 >= job_.plan.weight_digits[measure] + job_.format.planes;
  bool alive = false;
  for (std::size_t l = 0; l < kLanes; ++l) {
    double& best = totals.best[lane + l];
    const double log = kLogTwo * static_cast<double>(largest[l]);
    if (log > best) {
      totals.square[lane + l] = moved_square(totals, lane + l, log);
      best = log;
    }
    scale.log[l] = std::max(log, kLeastTop);
    scale.top[l] = std::max(largest[l], static_cast<float>(kLeastTop));
    scale.relative[l] = std::exp(scale.log[l]);
    const double steps = std::exp(scale.log[l] - floor[l]);
    alive = alive || (steps > 0.5 && log > best - kDeadBlock);
    scale.factor[l] = static_cast<float>(coarsen ? std::clamp(steps, 1e-30, most) : most);
  }
  // What is below kDeadWeight of the block's best is left out, sixteen lanes at a time, and what is below the floor with its whole block.
  const double skipped = rows * (alive ? kDeadWeight : 1.0);
  for (std::size_t l = 0; l < kLanes; ++l) totals.lost[lane + l] += skipped * scale.relative[l];
  return alive;
}

/// Weights and digits of group g of the pair; false if it has none worth keeping.
bool FixedPointSweep::weigh_group(std::size_t measure, std::size_t pair, std::size_t g, LaneTotals& totals, double* unit) {
  const std::size_t lane = (pair + g) * kLanes;
  float* weights = weights_of(measure, pair, g);
  BlockScale scale;
  const bool alive = scale_group(measure, lane, largest_[measure] + g * kLanes, scale, totals);
  if (measure == 0 && !job_.kept.empty())
    std::copy_n(scale.log, kLanes, job_.kept_top.data() + ((group_ + pair + g) * job_.num_blocks + block_index_) * kLanes);
  if (!alive) {
    if (measure == 0 && !job_.kept.empty()) std::fill_n(weights, block_.rows * kLanes, 0.0f);
    moments_[measure].clear(g, block_.rows);
    return false;
  }
  double square[kLanes] = {};
  std::ranges::fill(live_fours_, std::uint8_t{0});
  const WeightTask task{.logits = logits_[measure].data() + g * job_.block_rows * kLanes, .rows = block_.rows,
                        .bits = job_.steps[group_ + pair + g].bits, .top = scale.top, .weights = weights, .square = square,
                        .live = live_fours_.data()};
  if (job_.request.guided != nullptr) {
    sum_group(lane, task, scale, totals);
  } else {
    count_group(measure, lane, task, scale, g, totals, unit);
    if (job_.request.features != nullptr) features_of(weights, lane, scale.relative, totals);
  }
  return true;
}

/// Weights, and their digits with all that these sum up.
void FixedPointSweep::count_group(std::size_t measure, std::size_t lane, const WeightTask& weights, const BlockScale& scale, std::size_t g,
                                  LaneTotals& totals, double* unit) {
  DigitMoments::Sums sums;
  moments_[measure].weigh(g, weights, scale.factor, offsets_, sums);
  for (std::size_t l = 0; l < kLanes; ++l) {
    unit[l] = scale.relative[l] / static_cast<double>(scale.factor[l]);
    const double weight = unit[l] * sums.sum[l], lost = 1.001 * unit[l] * sums.lost[l];
    totals.weight[lane + l] += weight;
    totals.second[lane + l] += unit[l] * sums.moment[l] * (job_.request.want_variance ? 1.0 : 1.0 + kRoughMoment);
    totals.lost[lane + l] += lost;
    if (!(weight + lost > 0.0)) continue;
    const double most = unit[l] * quantum(job_.plan.weight_digits[measure]);
    if (scale.factor[l] > 0.5f) totals.ceiling[lane + l] += static_cast<double>(block_.rows) * most;
    add_square(lane + l, weights.square[l], weight + lost, scale.relative[l], scale.log[l], totals);
  }
}

/// Weights that are not counted yet: their moments follow with other factors.
void FixedPointSweep::sum_group(std::size_t lane, const WeightTask& weights, const BlockScale& scale, LaneTotals& totals) {
  double second[kLanes] = {};
  WeightTask task = weights;
  task.norms = offsets_.rough_norms.data(), task.second = second;
  lane_weights(task);
  features_of(weights.weights, lane, scale.relative, totals);
  const double* sums = totals.features.data() + lane * job_.feature_columns;  // of the first feature, which is 1
  const double rough = 1.0 + static_cast<double>(block_.rows + 4) * kSingleUnit;
  for (std::size_t l = 0; l < kLanes; ++l) {
    totals.second[lane + l] += scale.relative[l] * second[l] * rough;
    add_square(lane + l, weights.square[l], sums[l] - totals.weight[lane + l], scale.relative[l], scale.log[l], totals);
    totals.weight[lane + l] = sums[l];
  }
}

void FixedPointSweep::features_of(const float* weights, std::size_t lane, const double* unit, LaneTotals& totals) {
  const std::size_t rows = block_.atoms.size();
  std::size_t num_live = rows;
  const bool all = std::ranges::all_of(std::span(live_fours_).first(rows / 4), [](std::uint8_t live) { return live != 0; });
  if (!all) {
    num_live = 0;
    for (std::size_t r = 0; r < rows; ++r)
      if (live_fours_[r / 4] != 0) live_[num_live++] = static_cast<std::uint32_t>(r);
  }
  std::vector<double> sums(job_.feature_columns * kLanes, 0.0);
  lane_features({.weights = weights, .live = all ? nullptr : live_.data(), .num_live = num_live, .features = block_features_,
                 .stride = job_.feature_columns, .columns = job_.feature_columns, .totals = sums.data()});
  double* totals_of = totals.features.data() + lane * job_.feature_columns;
  for (std::size_t j = 0; j < job_.feature_columns; ++j)
    for (std::size_t l = 0; l < kLanes; ++l) totals_of[j * kLanes + l] += unit[l] * sums[j * kLanes + l];
}

}  // namespace fslens::kernels
