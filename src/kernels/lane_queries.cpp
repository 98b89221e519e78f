#include "lane_queries.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "error_bound.hpp"
#include "fslens/core/parallel.hpp"
#include "lane_kernels.hpp"
#include "vector_digits.hpp"
#include "squared_distance.hpp"

namespace fslens::kernels {
namespace {

/// A scale of logits that holds queries up to `largest`: a float32 times log 2, unless it would be out of float32's range.
double logit_scale(double unit, double largest) {
  const double exact = unit * digit_scale(largest);
  const auto bits = static_cast<float>(exact / kLogTwo * (1.0 + 4.0 * kSingleUnit));
  return exact > 1e-30 && exact < 1e30 ? kLogTwo * static_cast<double>(bits) : exact;
}

/// The queries of one group, of those lanes that have a particle.
void write_group(const SoftAssignmentRequest& request, const FixedPointFormat& format, std::size_t first, QueryScale scale, LaneQueries& queries) {
  const auto center = request.atoms->center();
  const std::size_t d = center.size(), lanes = std::min(kLanes, queries.particles.size() - first);
  const double slope = request.a / request.s2, unit = slope * format.unit;
  std::vector<double> q(lanes * d), rounded(d), lows(d, format.low);
  double largest[kLanes] = {};
  for (std::size_t l = 0; l < lanes; ++l) {
    const auto x = request.x.row(queries.particles[first + l]);
    for (std::size_t k = 0; k < d; ++k) q[l * d + k] = x[k] - request.a * center[k];
    largest[l] = vector_largest(q.data() + l * d, d);
  }
  if (scale == QueryScale::group) std::fill_n(largest, lanes, *std::max_element(largest, largest + lanes));
  for (std::size_t l = 0; l < lanes; ++l) {
    const std::size_t p = first + l;
    const std::span<const double> row = std::span(q).subspan(l * d, d);
    queries.scale[p] = logit_scale(unit, largest[l]);
    write_digits(row, queries.scale[p] / unit, p, queries.digits, rounded);
    if (!queries.lost.empty()) std::ranges::transform(row, rounded, queries.lost.row(p).begin(), std::minus<>());
    const double square = squared_distance(center, request.a, request.x.row(queries.particles[p]));
    queries.norm[p] = std::sqrt(square);
    queries.shift[p] = -slope * deviation_along(center, lows, rounded);
    queries.constant[p] = queries.shift[p] - 0.5 * square / request.s2;
  }
}

}  // namespace

LaneQueries lane_queries(const SoftAssignmentRequest& request, const FixedPointFormat& format, std::span<const std::size_t> particles,
                         std::size_t num_digits, QueryScale scale, bool keep_lost) {
  const std::size_t d = request.atoms->dim();
  LaneQueries queries;
  queries.particles = particles;
  queries.groups = rounded_up(particles.size(), 2 * kLanes) / kLanes;
  queries.digits = lane_digits_for(queries.groups, particles.size(), d, num_digits);
  queries.scale.assign(queries.groups * kLanes, 0.0);
  queries.norm.assign(queries.groups * kLanes, 0.0);
  queries.shift.assign(queries.groups * kLanes, 0.0);
  queries.constant.assign(queries.groups * kLanes, 0.0);
  if (keep_lost) queries.lost = Matrix(particles.size(), d);
  parallel_for((particles.size() + kLanes - 1) / kLanes, [&](std::size_t group) { write_group(request, format, group * kLanes, scale, queries); });
  return queries;
}

void fill_offsets(const SoftAssignmentRequest& request, const AtomBlock& block, BlockOffsets& offsets) {
  const auto norms = request.atoms->centered_squared_norms();
  const double half = 0.5 * request.a * request.a / request.s2;
  offsets.squared_norms.assign(block.rows, 0.0);
  for (std::size_t r = 0; r < block.atoms.size(); ++r) offsets.squared_norms[r] = norms[block.atoms[r]];
  offsets.rough_norms.assign(offsets.squared_norms.begin(), offsets.squared_norms.end());
  for (std::size_t m = 0; m < request.log_weights.size(); ++m) {
    offsets.measure[m].assign(block.rows, -std::numeric_limits<double>::infinity());
    for (std::size_t r = 0; r < block.atoms.size(); ++r)
      offsets.measure[m][r] = request.log_weights[m][block.atoms[r]] - half * offsets.squared_norms[r];
  }
}

double dropped_orders(std::size_t num_digits, std::size_t planes, std::size_t orders, double terms) {
  double sum = 0.0;
  for (std::size_t l = 0; l < num_digits; ++l)
    for (std::size_t m = 0; m < planes; ++m)
      if (l + m >= orders) sum += 128.0 * 255.0 / power_of_256(l + m);
  return sum * terms;
}

double order_error(const SoftAssignmentRequest& request, const FixedPointFormat& format, const LaneQueries& queries, std::size_t lane,
                   std::size_t orders) {
  const double d = static_cast<double>(request.atoms->dim());
  const double residual = request.a / request.s2 * (queries.norm[lane] + queries.digits.lost[lane]) * format.residual;
  const double dropped = dropped_orders(queries.digits.num_digits, format.planes, orders, d);
  // Sums of order 0 are below 128 · 255 · d of their unit; a few roundings in float64 of that.
  const double rounding = 8.0 * kUnit * 128.0 * 256.0 * d;
  return residual + queries.scale[lane] * (dropped + rounding);
}

double digit_error(const SoftAssignmentRequest& request, const FixedPointFormat& format, const LaneQueries& queries, std::size_t lane,
                   std::size_t orders) {
  const double tilt = request.a / request.s2 * queries.digits.lost[lane];
  return tilt * request.atoms->radius() + order_error(request, format, queries, lane, orders);
}

}  // namespace fslens::kernels
