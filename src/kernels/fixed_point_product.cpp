#include "fixed_point_product.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "error_bound.hpp"
#include "fixed_point_values.hpp"
#include "fslens/core/parallel.hpp"
#include "squared_distance.hpp"
#include "vector_digits.hpp"

namespace fslens::kernels {
namespace {

/// Digits of w ⟨x − m, v⟩, and the orders of their products that are kept: nothing is subtracted from them afterwards, so three do.
constexpr std::size_t kProductDigits = 3;
std::size_t product_orders(const FixedPointJob& job) { return std::max(kProductDigits, job.format.planes); }

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

/// w_i ⟨x_i − m, v⟩ in units of the directions' scale.
class AlongDirections : public ValueMaker {
 public:
  AlongDirections(const FixedPointJob& job, const LaneDirections& directions) : job_(job), directions_(directions) {}

  void make(const AtomBlock& block, std::size_t group, const float* const (&weights)[2], float* const (&values)[2], float* largest) override {
    for_strips(job_, block, directions_.digits, group, directions_.orders, ints_,
               [&](std::size_t row, const StripSums& first, const StripSums& second) {
                 for (std::size_t g = 0; g < 2; ++g) {
                   const std::size_t lane = (group + g) * kLanes;
                   lane_products({.sums = g == 0 ? first : second, .shift = directions_.shift.data() + lane,
                                  .rest = directions_.rest.data() + lane, .weights = weights[g] + row * kLanes,
                                  .values = values[g] + row * kLanes, .largest = largest + g * kLanes});
                 }
               });
  }

 private:
  const FixedPointJob& job_;
  const LaneDirections& directions_;
  AlignedArray<std::int32_t> ints_;
};

/// Bound on the error of C v for one particle: of the weights, of ⟨x_i − m, v⟩, and of z_i as digits.
double product_error(const FixedPointJob& job, const LaneDirections& directions, const WeightSummary& weights,
                     const ValueFormat& format, const ValueTotals& totals, std::size_t p, std::size_t lane) {
  const double d = static_cast<double>(job.request.atoms->dim());
  const double norm = directions.norm[p], deviation = std::sqrt(weights.variance);
  const double range = job.request.atoms->high() - job.request.atoms->low();
  // Absolute error of ⟨x_i − m, v⟩: orders left out, those below the first in float32, the atoms' residual, the rounding of the shift.
  const double below = dropped_orders(kProductDigits, job.format.planes, 1, d) + 1.0;
  const double along = directions.scale[p] * (dropped_orders(kProductDigits, job.format.planes, directions.orders, d) +
                                              4.0 * kSingleUnit * below + directions.rounding[p] + 8.0 * kUnit * 128.0 * 256.0 * d) +
                       norm * job.format.residual + kUnit * (d + 8.0) * norm * range * std::sqrt(d);
  const double relative = weights.variance * (2.0 * weights.relative * norm + directions.digits.lost[p] + (kPowerError + 7.0 * kSingleUnit) * norm);
  // The values are in units of e^best, as the weights are.
  const double lost = lost_values(job, totals, lane, weights.reach * norm) * weights.reach + dropped_values(job, format, totals, lane);
  const double sums = kUnit * (static_cast<double>(job.num_blocks + job.block_rows) + 16.0) * (range + std::abs(job.request.atoms->high()) + std::abs(job.request.atoms->low())) *
                      std::sqrt(d) * (deviation + along) * norm;
  return weights.product * norm + relative + along * deviation + lost / weights.weight + (deviation * norm) * job.format.residual + sums;
}

}  // namespace

void fixed_point_product(const FixedPointJob& job, const std::vector<WeightSummary>& weights, SoftAssignmentResult& result) {
  const DirectionRows rows = ask_directions(job, result);
  const LaneDirections directions = make_directions(job, rows);
  const ValueFormat format{.digits = kProductDigits, .orders = product_orders(job), .unit = &directions.scale};
  const std::vector<ValueTotals> totals =
      sum_values(job, weights, format, [&] { return std::make_unique<AlongDirections>(job, directions); });
  const std::size_t lanes = kGroupsPerTask * kLanes;
  parallel_for_ranges(weights.size(), kLanes, [&](std::size_t first, std::size_t last) {
    for (std::size_t p = first; p < last; ++p) {
      const ValueTotals& sums = totals[p / lanes];
      const std::size_t lane = p % lanes, b = job.queries.particles[p];
      const double* moments = sums.moments.data() + lane / kLanes * kLanes * job.columns + lane % kLanes;
      const double inverse = 1.0 / weights[p].weight;
      for (std::size_t k = 0; k < rows.means.cols(); ++k)
        result.covariance_product(b, k) =
            (job.format.unit * moments[k * kLanes] - (rows.means(p, k) - job.format.low) * sums.sum[lane]) * inverse;
      result.covariance_product_error[b] = stated(product_error(job, directions, weights[p], format, sums, p, lane));
    }
  });
}

}  // namespace fslens::kernels
