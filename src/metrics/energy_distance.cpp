#include "fslens/metrics/energy_distance.hpp"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <limits>
#include <numeric>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/core/sort.hpp"
#include "pairwise_tiles.hpp"
#include "sample.hpp"
#include "two_sample_statistic.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

void take_square_roots(std::span<double> values) {
  Eigen::Map<Eigen::ArrayXd> array(values.data(), static_cast<Eigen::Index>(values.size()));
  array = array.sqrt();
}

double sum_of(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }

// Σ_j |x_i − y_j| for ascending x and y, from prefix sums of y about its middle value (sums of large numbers that
// nearly cancel would lose digits where the samples lie far from 0).
std::vector<double> sorted_distance_sums(std::span<const double> x, std::span<const double> y) {
  const double middle = y[y.size() / 2];
  double total = 0.0;
  for (const double value : y) total += value - middle;
  std::vector<double> sums(x.size());
  double below = 0.0;
  std::size_t num_below = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    while (num_below < y.size() && y[num_below] <= x[i]) below += y[num_below++] - middle;
    const double excess = 2.0 * static_cast<double>(num_below) - static_cast<double>(y.size());
    sums[i] = (x[i] - middle) * excess + total - 2.0 * below;
  }
  return sums;
}

}  // namespace

double EnergySample::mean_distance() const {
  if (!finite_) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0.0;
  for (const double value : distance_sums_) sum += value;
  const double n = static_cast<double>(size());
  return sum / (n * (n - 1.0));
}

EnergySample::EnergySample(ConstBatchView x) : points_((require_sample("x", x, 2), x)), finite_(all_finite(x)) {
  if (!finite_) return;
  if (dim() == 1) {
    sort_ascending(points_.values());
    distance_sums_ = sorted_distance_sums(points_.values(), points_.values());
  } else {
    distance_sums_ = symmetric_radial_sums(points_, take_square_roots);
  }
}

EnergyDistance energy_distance(const EnergySample& x, const EnergySample& y) {
  require_size("y columns", y.dim(), x.dim(), "the columns of x");
  if (!x.finite() || !y.finite()) return {kNan, kNan};
  CrossSums cross;
  if (x.dim() == 1)
    cross = {sorted_distance_sums(x.points().values(), y.points().values()),
             sorted_distance_sums(y.points().values(), x.points().values())};
  else
    cross = cross_radial_sums(x.points(), y.points(), take_square_roots);
  const TwoSampleStatistic statistic =
      two_sample_statistic(x.distance_sums(), cross.rows, y.distance_sums(), cross.cols);
  return {-statistic.value, statistic.standard_error};
}

EnergyDistance energy_distance(ConstBatchView x, ConstBatchView y) {
  return energy_distance(EnergySample(x), EnergySample(y));
}

std::vector<double> energy_distances_of_groups(ConstBatchView x, std::size_t groups, const EnergySample& y) {
  require_size("x columns", x.cols(), y.dim(), "the columns of y");
  require(groups > 0 && x.rows() / groups >= 2, "groups", fmt::format("{} of {} rows", groups, x.rows()),
          "must be at least 1, and of at least 2 rows each");
  const std::size_t size = x.rows() / groups;
  std::vector<double> values(groups);
  if (y.dim() == 1 || !y.finite() || !all_finite(x)) {
    parallel_for(groups, [&](std::size_t g) { values[g] = energy_distance(EnergySample(x.rows_from(g * size, size)), y).value; });
    return values;
  }
  const std::vector<double> cross = cross_radial_sums(x.rows_from(0, groups * size), y.points(), take_square_roots).rows;
  const double n = static_cast<double>(size), m = static_cast<double>(y.size());
  const double within_y = sum_of(y.distance_sums()) / (m * (m - 1.0));
  parallel_for(groups, [&](std::size_t g) {
    const double within = sum_of(symmetric_radial_sums(x.rows_from(g * size, size), take_square_roots)) / (n * (n - 1.0));
    values[g] = 2.0 * sum_of(std::span(cross).subspan(g * size, size)) / (n * m) - within - within_y;
  });
  return values;
}

}  // namespace fslens
