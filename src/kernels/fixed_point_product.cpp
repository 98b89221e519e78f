#include <algorithm>
#include <cmath>

#include "error_bound.hpp"
#include "fixed_point_sweep.hpp"
#include "fslens/core/parallel.hpp"
#include "squared_distance.hpp"
#include "vector_digits.hpp"

namespace fslens::kernels {
namespace {

/// v of every particle of a batch as digits, and ⟨v̂, m − low⟩.
struct LaneDirections {
  LaneDigits digits;
  std::size_t orders = kProductDigits;
  std::vector<double> scale, norm;        // [lanes]
  std::vector<std::int32_t> shift;        // ⟨v̂, m − low⟩ in units of `scale` is shift − rest [lanes]
  std::vector<float> rest;
  std::vector<double> rounding;           // error of shift − rest beyond that of a fraction, in these units

  void set_shift(std::size_t lane, double value) {
    const double whole = std::round(value);
    // A mean that was given may be anywhere, even where whole numbers do not reach.
    const bool fits = std::abs(whole) < 0x1p30;
    shift[lane] = fits ? static_cast<std::int32_t>(whole) : 0;
    rest[lane] = static_cast<float>((fits ? whole : 0.0) - value);
    rounding[lane] = fits ? 0.0 : 4.0 * kSingleUnit * std::abs(value);
  }
};

struct ProductTotals {
  std::vector<double> sum, lost;   // Σ ẑ, Σ |ẑ − z|, z_i = w_i ⟨x_i − m, v⟩ in units of e^best [lanes]
  std::vector<double> largest;     // max |z| so far
  std::vector<double> moments;     // Σ ẑ U [groups][columns][kLanes]
};

/// The directions and the means that they are about, row by row of the batch.
struct DirectionRows {
  Matrix directions, means;
};

DirectionRows ask_directions(const FixedPointJob& job, const SoftAssignmentResult& result) {
  const SoftAssignmentRequest& request = job.request;
  const auto particles = job.queries.particles;
  const std::size_t d = request.atoms->dim();
  DirectionRows rows{Matrix(particles.size(), d), Matrix(particles.size(), d)};
  const bool given = !request.direction.empty();
  const SoftAssignmentMoments& moments = result.measures[0];
  Matrix features(particles.size(), moments.feature_mean.cols());
  for (std::size_t p = 0; p < particles.size(); ++p) {
    const ConstBatchView means = given ? request.direction_mean : ConstBatchView(moments.mean);
    std::ranges::copy(means.row(particles[p]), rows.means.row(p).begin());
    if (given) std::ranges::copy(request.direction.row(particles[p]), rows.directions.row(p).begin());
    if (features.cols() > 0) std::ranges::copy(moments.feature_mean.row(particles[p]), features.row(p).begin());
  }
  if (!given) {
    constexpr std::size_t kRows = 64;
    parallel_for_ranges(particles.size(), kRows, [&](std::size_t first, std::size_t last) {
      const ConstBatchView some = features.empty() ? ConstBatchView() : features.view().rows_from(first, last - first);
      request.direction_of(particles.subspan(first, last - first), rows.means.view().rows_from(first, last - first), some,
                           rows.directions.view().rows_from(first, last - first));
    });
  }
  return rows;
}

LaneDirections make_directions(const FixedPointJob& job, const DirectionRows& rows) {
  const std::size_t d = rows.means.cols(), lanes = job.queries.groups * kLanes;
  LaneDirections out;
  out.digits = lane_digits_for(job.queries.groups, rows.means.rows(), d, kProductDigits);
  out.orders = product_orders(job);
  for (std::vector<double>* values : {&out.scale, &out.norm, &out.rounding}) values->assign(lanes, 0.0);
  out.shift.assign(lanes, 0), out.rest.assign(lanes, 0.0f);
  parallel_for_ranges(rows.means.rows(), kLanes, [&](std::size_t first, std::size_t last) {
    std::vector<double> rounded(d), lows(d, job.format.low);
    for (std::size_t p = first; p < last; ++p) {
      const auto v = rows.directions.row(p);
      write_digits(v, digit_scale(vector_largest(v.data(), d)), p, out.digits, rounded);
      const double square = squared_norm(rounded), along = deviation_along(rows.means.row(p), lows, rounded);
      out.scale[p] = out.digits.scale[p] * job.format.unit;
      if (out.scale[p] > 0.0) out.set_shift(p, along / out.scale[p]);
      out.norm[p] = std::sqrt(square) + out.digits.lost[p];
    }
  });
  return out;
}

/// The blocks of one task.
class ProductSweep {
 public:
  ProductSweep(const FixedPointJob& job, const LaneDirections& directions, const std::vector<WeightSummary>& weights, std::size_t group)
      : job_(job), directions_(directions), group_(group), moments_(job, kProductDigits, product_orders(job)) {
    logits_.resize(2 * job.block_rows * kLanes);
    values_.resize(2 * job.block_rows * kLanes);
    best_.assign(job.queries.groups * kLanes, 0.0);
    for (std::size_t p = 0; p < weights.size(); ++p) best_[p] = std::max(weights[p].best, kLeastTop);
  }

  void run(std::size_t first_block, std::size_t last_block, std::size_t num_groups, ProductTotals& totals) {
    const ProductScope scope(job_.kernel);
    for (std::size_t b = first_block; b < last_block; ++b) {
      block_ = blocks_.block(job_, b);
      blocks_.transpose(job_, block_);
      if (job_.kept.empty()) fill_offsets(job_.request, block_, offsets_);
      for (std::size_t pair = 0; pair < num_groups; pair += 2) multiply(pair, b, totals);
    }
  }

 private:
  void multiply(std::size_t pair, std::size_t block_index, ProductTotals& totals) {
    if (job_.kept.empty()) recompute_weights(pair);
    float largest[2 * kLanes] = {};
    for_strips(job_, block_, directions_.digits, group_ + pair, directions_.orders, ints_,
               [&](std::size_t row, const StripSums& first, const StripSums& second) {
                 for (std::size_t g = 0; g < 2; ++g) {
                   const std::size_t lane = (group_ + pair + g) * kLanes;
                   const float* weights = job_.kept.empty() ? values_of(g) : kept_weights(pair + g, block_index);
                   lane_products({.sums = g == 0 ? first : second, .shift = directions_.shift.data() + lane,
                                  .rest = directions_.rest.data() + lane, .weights = weights + row * kLanes,
                                  .values = values_of(g) + row * kLanes, .largest = largest + g * kLanes});
                 }
               });
    double unit[2][kLanes];
    double* moments[2];
    for (std::size_t g = 0; g < 2; ++g) {
      for (std::size_t l = 0; l < kLanes; ++l)  // of the values, first
        unit[g][l] = (job_.kept.empty() ? 1.0 : kept_factor(pair + g, block_index, l)) * directions_.scale[(group_ + pair + g) * kLanes + l];
      take(g, (pair + g) * kLanes, largest + g * kLanes, unit[g], totals);
      moments[g] = totals.moments.data() + (pair + g) * kLanes * job_.columns;
    }
    moments_.multiply(block_, {unit[0], unit[1]}, moments);
  }

  float* values_of(std::size_t g) { return values_.data() + g * job_.block_rows * kLanes; }

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
                    .top = top, .weights = values_of(g), .square = square});
    }
  }

  /// The digits of a group's values, which are in units of `unit`; that becomes the unit of the digits.
  void take(std::size_t g, std::size_t lane, const float* largest, double* unit, ProductTotals& totals) {
    // A hair below the largest number, so that rounding the factor cannot carry a digit over.
    const double most = 0.999999 * 127.0 * power_of_256(kProductDigits - 1);
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
    moments_.take(g, values_of(g), factor, block_.rows, sums);
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
  const LaneDirections& directions_;
  std::size_t group_;
  BlockSource blocks_;
  AtomBlock block_;
  BlockOffsets offsets_;
  AlignedArray<std::int32_t> ints_;
  LogitScratch scratch_;
  AlignedArray<float> logits_, values_;
  std::vector<double> best_;
  DigitMoments moments_;
};

ProductTotals make_product_totals(const FixedPointJob& job, std::size_t groups) {
  ProductTotals totals;
  totals.sum.assign(groups * kLanes, 0.0);
  totals.lost.assign(groups * kLanes, 0.0);
  totals.largest.assign(groups * kLanes, 0.0);
  totals.moments.assign(groups * kLanes * job.columns, 0.0);
  return totals;
}

void add_product(ProductTotals& totals, const ProductTotals& other) {
  for (std::size_t i = 0; i < totals.sum.size(); ++i) {
    totals.sum[i] += other.sum[i], totals.lost[i] += other.lost[i];
    totals.largest[i] = std::max(totals.largest[i], other.largest[i]);
  }
  for (std::size_t i = 0; i < totals.moments.size(); ++i) totals.moments[i] += other.moments[i];
}

std::vector<ProductTotals> run_products(const FixedPointJob& job, const LaneDirections& directions,
                                        const std::vector<WeightSummary>& weights) {
  const JobTasks tasks = tasks_of(job);
  std::vector<ProductTotals> partial(tasks.bands * tasks.shards);
  parallel_for(partial.size(), [&](std::size_t task) {
    const std::size_t group = tasks.first_group(task);
    const std::size_t groups = std::min(kGroupsPerTask, job.queries.groups - group);
    partial[task] = make_product_totals(job, groups);
    ProductSweep(job, directions, weights, group)
        .run(tasks.first_block(task, job.num_blocks), tasks.last_block(task, job.num_blocks), groups, partial[task]);
  });
  std::vector<ProductTotals> merged(tasks.bands);
  parallel_for(tasks.bands, [&](std::size_t band) {
    merged[band] = std::move(partial[band * tasks.shards]);
    for (std::size_t shard = 1; shard < tasks.shards; ++shard) add_product(merged[band], partial[band * tasks.shards + shard]);
  });
  return merged;
}

/// Bound on the error of C v for one particle: of the weights, of ⟨x_i − m, v⟩, and of z_i as digits.
double product_error(const FixedPointJob& job, const LaneDirections& directions, const WeightSummary& weights,
                     const ProductTotals& totals, std::size_t p, std::size_t lane) {
  const double d = static_cast<double>(job.request.atoms->dim());
  const double norm = directions.norm[p], deviation = std::sqrt(weights.variance);
  const double range = job.request.atoms->high() - job.request.atoms->low();
  const double atoms = static_cast<double>(job.num_blocks * job.block_rows);
  // Absolute error of ⟨x_i − m, v⟩: orders left out, those below the first in float32, the atoms' residual, the rounding of the shift.
  const double below = dropped_orders(kProductDigits, job.format.planes, 1, d) + 1.0;
  const double along = directions.scale[p] * (dropped_orders(kProductDigits, job.format.planes, directions.orders, d) +
                                              4.0 * kSingleUnit * below + directions.rounding[p] + 8.0 * kUnit * 128.0 * 256.0 * d) +
                       norm * job.format.residual + kUnit * (d + 8.0) * norm * range * std::sqrt(d);
  const double relative = weights.variance * (2.0 * weights.relative * norm + directions.digits.lost[p] + (kPowerError + 7.0 * kSingleUnit) * norm);
  const double dropped = dropped_orders(kProductDigits, job.format.planes, product_orders(job), atoms) / 127.0 *
                         totals.largest[lane] * job.format.unit * std::sqrt(d);
  const double dead = atoms * kDeadWeight * weights.reach * norm;
  const double lost = (totals.lost[lane] + dead) * weights.reach + dropped;
  const double sums = kUnit * (static_cast<double>(job.num_blocks + job.block_rows) + 16.0) * (range + std::abs(job.request.atoms->high()) + std::abs(job.request.atoms->low())) *
                      std::sqrt(d) * (deviation + along) * norm;
  return weights.product * norm + relative + along * deviation + lost / weights.weight + (deviation * norm) * job.format.residual + sums;
}

}  // namespace

void fixed_point_product(const FixedPointJob& job, const std::vector<WeightSummary>& weights, SoftAssignmentResult& result) {
  const DirectionRows rows = ask_directions(job, result);
  const LaneDirections directions = make_directions(job, rows);
  const std::vector<ProductTotals> totals = run_products(job, directions, weights);
  const std::size_t lanes = kGroupsPerTask * kLanes;
  parallel_for_ranges(weights.size(), kLanes, [&](std::size_t first, std::size_t last) {
    for (std::size_t p = first; p < last; ++p) {
      const ProductTotals& sums = totals[p / lanes];
      const std::size_t lane = p % lanes, b = job.queries.particles[p];
      const double* moments = sums.moments.data() + lane / kLanes * kLanes * job.columns + lane % kLanes;
      const double inverse = 1.0 / weights[p].weight;
      for (std::size_t k = 0; k < rows.means.cols(); ++k)
        result.covariance_product(b, k) =
            (job.format.unit * moments[k * kLanes] - (rows.means(p, k) - job.format.low) * sums.sum[lane]) * inverse;
      result.covariance_product_error[b] = stated(product_error(job, directions, weights[p], sums, p, lane));
    }
  });
}

}  // namespace fslens::kernels
