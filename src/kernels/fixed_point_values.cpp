#include "fixed_point_values.hpp"

#include <algorithm>
#include <cmath>

#include "error_bound.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens::kernels {
namespace {

/// The blocks of one task.
class ValueSweep {
 public:
  ValueSweep(const FixedPointJob& job, const std::vector<WeightSummary>& weights, const ValueFormat& format, std::size_t group,
             std::unique_ptr<ValueMaker> maker)
      : job_(job), format_(format), group_(group), maker_(std::move(maker)), moments_(job, format.digits, format.orders) {
    if (job.kept.empty()) logits_.resize(2 * job.block_rows * kLanes);
    values_.resize(2 * job.block_rows * kLanes);
    best_.assign(job.queries.groups * kLanes, 0.0);
    for (std::size_t p = 0; p < weights.size(); ++p) best_[p] = std::max(weights[p].best, kLeastTop);
  }

  void run(std::size_t first_block, std::size_t last_block, std::size_t num_groups, ValueTotals& totals) {
    const ProductScope scope(job_.kernel);
    for (std::size_t b = first_block; b < last_block; ++b) {
      block_ = blocks_.block(job_, b);
      blocks_.transpose(job_, block_);
      if (job_.kept.empty()) fill_offsets(job_.request, block_, offsets_);
      maker_->start(block_);
      for (std::size_t pair = 0; pair < num_groups; pair += 2) sum_pair(pair, b, totals);
    }
  }

 private:
  void sum_pair(std::size_t pair, std::size_t block_index, ValueTotals& totals) {
    const bool kept = !job_.kept.empty();
    if (!kept) recompute_weights(pair);
    float* const values[2] = {values_.data(), values_.data() + job_.block_rows * kLanes};
    const float* const weights[2] = {kept ? kept_weights(pair, block_index) : values[0], kept ? kept_weights(pair + 1, block_index) : values[1]};
    float largest[2 * kLanes] = {};
    maker_->make(block_, group_ + pair, weights, values, largest);
    double unit[2][kLanes];
    double* moments[2];
    for (std::size_t g = 0; g < 2; ++g) {
      const std::size_t lane = (group_ + pair + g) * kLanes;
      for (std::size_t l = 0; l < kLanes; ++l)  // of the values, first
        unit[g][l] = (kept ? kept_factor(pair + g, block_index, l) : 1.0) * (format_.unit != nullptr ? (*format_.unit)[lane + l] : 1.0);
      take(g, values[g], (pair + g) * kLanes, largest + g * kLanes, unit[g], totals);
      moments[g] = totals.moments.data() + (pair + g) * kLanes * job_.columns;
    }
    moments_.multiply(block_, {unit[0], unit[1]}, moments);
  }

  const float* kept_weights(std::size_t group, std::size_t block_index) const {
    return job_.kept.data() + ((group_ + group) * job_.num_blocks + block_index) * job_.block_rows * kLanes;
  }
  /// The best logit rose after the weights were kept.
  double kept_factor(std::size_t group, std::size_t block_index, std::size_t l) const {
    const double then = job_.kept_top[((group_ + group) * job_.num_blocks + block_index) * kLanes + l];
    return std::exp(then - best_[(group_ + group) * kLanes + l]);
  }

  void recompute_weights(std::size_t pair) {
    float largest[2 * kLanes];
    block_logits(job_, block_, offsets_, group_ + pair, scratch_, {1, {logits_.data(), nullptr}, {largest, nullptr}});
    for (std::size_t g = 0; g < 2; ++g) {
      const std::size_t group = group_ + pair + g;
      double square[kLanes] = {};
      float top[kLanes];  // the best are such numbers times log 2
      for (std::size_t l = 0; l < kLanes; ++l) top[l] = static_cast<float>(best_[group * kLanes + l] / kLogTwo);
      lane_weights({.logits = logits_.data() + g * job_.block_rows * kLanes, .rows = block_.rows, .bits = job_.steps[group].bits,
                    .top = top, .weights = values_.data() + g * job_.block_rows * kLanes, .square = square});
    }
  }

  /// The digits of a group's values, which are in units of `unit`; that becomes the unit of the digits.
  void take(std::size_t g, const float* values, std::size_t lane, const float* largest, double* unit, ValueTotals& totals) {
    // A hair below the largest number, so that rounding the factor cannot carry a digit over.
    const double most = 0.999999 * 127.0 * power_of_256(format_.digits - 1);
    float factor[kLanes];
    double above[kLanes];
    for (std::size_t l = 0; l < kLanes; ++l) {
      double& scale = totals.largest[lane + l];
      above[l] = unit[l] * static_cast<double>(largest[l]);
      scale = std::max(scale, above[l]);
      const double steps = scale > 0.0 ? most / scale * unit[l] : 0.0;
      factor[l] = steps > 1e-30 && steps < 1e30 ? static_cast<float>(steps) : 0.0f;
    }
    DigitMoments::Sums sums;
    moments_.take(g, values, factor, block_.rows, sums);
    for (std::size_t l = 0; l < kLanes; ++l) {
      if (factor[l] > 0.0f) {
        unit[l] /= static_cast<double>(factor[l]);
        totals.sum[lane + l] += unit[l] * sums.sum[l];
        totals.lost[lane + l] += 1.001 * unit[l] * sums.lost[l];
      } else {
        unit[l] = 0.0;
        totals.lost[lane + l] += above[l] * static_cast<double>(block_.rows);
      }
    }
  }

  const FixedPointJob& job_;
  const ValueFormat& format_;
  std::size_t group_;
  std::unique_ptr<ValueMaker> maker_;
  BlockSource blocks_;
  AtomBlock block_;
  BlockOffsets offsets_;
  LogitScratch scratch_;
  AlignedArray<float> logits_, values_;
  std::vector<double> best_;
  DigitMoments moments_;
};

ValueTotals make_value_totals(const FixedPointJob& job, std::size_t groups) {
  ValueTotals totals;
  for (std::vector<double>* sums : {&totals.sum, &totals.lost, &totals.largest}) sums->assign(groups * kLanes, 0.0);
  totals.moments = make_moments(job, groups);
  return totals;
}

void add_values(const FixedPointJob& job, ValueTotals& totals, const ValueTotals& other) {
  for (std::size_t i = 0; i < totals.sum.size(); ++i) {
    totals.sum[i] += other.sum[i], totals.lost[i] += other.lost[i];
    totals.largest[i] = std::max(totals.largest[i], other.largest[i]);
  }
  double* to = totals.moments.data();
  const double* from = other.moments.data();
  for (std::size_t i = 0; i < totals.sum.size() * job.columns; ++i) to[i] += from[i];
}

}  // namespace

std::vector<ValueTotals> sum_values(const FixedPointJob& job, const std::vector<WeightSummary>& weights, const ValueFormat& format,
                                    const std::function<std::unique_ptr<ValueMaker>()>& make) {
  const JobTasks tasks = tasks_of(job);
  std::vector<ValueTotals> partial(tasks.bands * tasks.shards);
  parallel_for(partial.size(), [&](std::size_t task) {
    const std::size_t group = tasks.first_group(task);
    const std::size_t groups = std::min(kGroupsPerTask, job.queries.groups - group);
    partial[task] = make_value_totals(job, groups);
    ValueSweep(job, weights, format, group, make())
        .run(tasks.first_block(task, job.num_blocks), tasks.last_block(task, job.num_blocks), groups, partial[task]);
  });
  std::vector<ValueTotals> merged(tasks.bands);
  parallel_for(tasks.bands, [&](std::size_t band) {
    merged[band] = std::move(partial[band * tasks.shards]);
    for (std::size_t shard = 1; shard < tasks.shards; ++shard) add_values(job, merged[band], partial[band * tasks.shards + shard]);
  });
  return merged;
}

double lost_values(const FixedPointJob& job, const ValueTotals& totals, std::size_t lane, double largest) {
  const double dead = static_cast<double>(job.num_blocks * job.block_rows) * kDeadWeight;
  return totals.lost[lane] + dead * largest;
}

double dropped_values(const FixedPointJob& job, const ValueFormat& format, const ValueTotals& totals, std::size_t lane) {
  const double atoms = static_cast<double>(job.num_blocks * job.block_rows);
  return dropped_orders(format.digits, job.format.planes, format.orders, atoms) / 127.0 * totals.largest[lane] * job.format.unit *
         std::sqrt(static_cast<double>(job.request.atoms->dim()));
}

}  // namespace fslens::kernels
