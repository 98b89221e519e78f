#include "lane_queries.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "error_bound.hpp"
#include "fslens/core/parallel.hpp"
#include "squared_distance.hpp"

namespace fslens::kernels {

LaneQueries lane_queries(const SoftAssignmentRequest& request, const FixedPointFormat& format,
                         std::span<const std::size_t> particles, std::size_t num_digits, bool keep_lost) {
  const std::size_t d = request.atoms->dim();
  const auto center = request.atoms->center();
  const double slope = request.a / request.s2;
  LaneQueries queries;
  queries.particles = particles;
  queries.groups = rounded_up(particles.size(), 2 * kLanes) / kLanes;
  queries.digits = lane_digits_for(queries.groups, d, num_digits);
  queries.scale.assign(queries.groups * kLanes, 0.0);
  queries.norm.assign(queries.groups * kLanes, 0.0);
  queries.shift.assign(queries.groups * kLanes, 0.0);
  queries.constant.assign(queries.groups * kLanes, 0.0);
  if (keep_lost) queries.lost = Matrix(particles.size(), d);
  parallel_for_ranges(particles.size(), kLanes, [&](std::size_t first, std::size_t last) {
    std::vector<double> q(d), rounded(d);
    for (std::size_t p = first; p < last; ++p) {
      const auto x = request.x.row(particles[p]);
      double alongs[8] = {};
      for (std::size_t k = 0; k < d; ++k) q[k] = x[k] - request.a * center[k];
      write_digits(q, p, queries.digits, rounded);
      for (std::size_t k = 0; k < d; ++k) alongs[k % 8] += rounded[k] * (center[k] - format.low);
      for (std::size_t k = 0; keep_lost && k < d; ++k) queries.lost(p, k) = q[k] - rounded[k];
      const double square = squared_distance(center, request.a, x);
      double along = 0.0;
      for (const double sum : alongs) along += sum;
      queries.scale[p] = slope * queries.digits.scale[p] * format.unit;
      queries.norm[p] = std::sqrt(square);
      queries.shift[p] = -slope * along;
      queries.constant[p] = queries.shift[p] - 0.5 * square / request.s2;
    }
  });
  return queries;
}

void fill_offsets(const SoftAssignmentRequest& request, const AtomBlock& block, BlockOffsets& offsets) {
  const auto norms = request.atoms->centered_squared_norms();
  const double half = 0.5 * request.a * request.a / request.s2;
  offsets.squared_norms.assign(block.rows, 0.0);
  for (std::size_t r = 0; r < block.atoms.size(); ++r) offsets.squared_norms[r] = norms[block.atoms[r]];
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
      if (l + m >= orders) sum += std::ldexp(128.0 * 255.0, -8 * static_cast<int>(l + m));
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
