#include "fslens/metrics/sliced_wasserstein.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/core/sort.hpp"
#include "projection.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

Matrix random_directions(std::size_t dim, std::size_t count, const RandomStream& stream) {
  require(dim > 0, "dim", "0", "must be at least 1");
  require(count > 0, "count", "0", "must be at least 1");
  if (dim == 1) return Matrix(1, 1, 1.0);
  Matrix directions(count, dim);
  stream.fill_normal(0, directions);
  for (std::size_t k = 0; k < count; ++k) {
    const auto row = directions.row(k);
    const double norm = std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0));
    for (double& entry : row) entry /= norm;
  }
  return directions;
}

double equal_sizes(std::span<const double> x, std::span<const double> y) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return sum / static_cast<double>(x.size());
}

// Mass is counted in units of 1/(n m), in which both samples' steps are whole numbers: no rounding decides the
// coupling.
double unequal_sizes(std::span<const double> x, std::span<const double> y) {
  const std::uint64_t n = x.size();
  const std::uint64_t m = y.size();
  double sum = 0.0;
  std::uint64_t moved = 0;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < n && j < m) {
    const std::uint64_t end_of_x = (i + 1) * m;
    const std::uint64_t end_of_y = (j + 1) * n;
    const std::uint64_t end = std::min(end_of_x, end_of_y);
    const double difference = x[i] - y[j];
    sum += static_cast<double>(end - moved) * difference * difference;
    moved = end;
    if (end == end_of_x) ++i;
    if (end == end_of_y) ++j;
  }
  return sum / (static_cast<double>(n) * static_cast<double>(m));
}

SlicedWasserstein over_directions(const std::vector<double>& distances) {
  const auto count = static_cast<double>(distances.size());
  SlicedWasserstein result;
  result.value = std::accumulate(distances.begin(), distances.end(), 0.0) / count;
  result.largest = std::isnan(result.value) ? kNan : *std::max_element(distances.begin(), distances.end());
  if (distances.size() >= 2) result.standard_error = std::sqrt(sample_moments(distances).variance / count);
  return result;
}

}  // namespace

SlicedProjections::SlicedProjections(std::size_t dim, std::size_t count, const RandomStream& stream)
    : directions_(std::make_shared<const Matrix>(random_directions(dim, count, stream))) {}

bool SlicedProjections::operator==(const SlicedProjections& other) const {
  if (directions_ == other.directions_) return true;
  return directions_->rows() == other.directions_->rows() && directions_->cols() == other.directions_->cols() &&
         std::ranges::equal(directions_->values(), other.directions_->values());
}

ProjectedSample project(ConstBatchView x, const SlicedProjections& projections) {
  require_sample("x", x, 1);
  require_size("x columns", x.cols(), projections.dim(), "the dimension of the projections");
  // A NaN has no place in an order: such a sample keeps no projections at all.
  if (!all_finite(x)) return {projections, Matrix(projections.count(), x.rows(), kNan), false};
  Matrix sorted = project_on_directions(x, projections.directions());
  parallel_for(sorted.rows(), [&](std::size_t k) { sort_ascending(sorted.row(k)); });
  return {projections, std::move(sorted), true};
}

double wasserstein2_squared_sorted(std::span<const double> x, std::span<const double> y) {
  require(!x.empty() && !y.empty(), "sample sizes", fmt::format("{} and {}", x.size(), y.size()), "must be at least 1");
  return x.size() == y.size() ? equal_sizes(x, y) : unequal_sizes(x, y);
}

SlicedWasserstein sliced_wasserstein2_squared(const ProjectedSample& x, const ProjectedSample& y) {
  require(x.projections() == y.projections(), "projections", "two different sets", "must be the same for both samples");
  const std::size_t count = x.projections().count();
  const bool finite = x.finite() && y.finite();
  std::vector<double> distances(count, kNan);
  if (finite)
    parallel_for(count, [&](std::size_t k) { distances[k] = wasserstein2_squared_sorted(x.sorted(k), y.sorted(k)); });
  return over_directions(distances);
}

SlicedWasserstein sliced_wasserstein2_squared(ConstBatchView x, ConstBatchView y,
                                              const SlicedProjections& projections) {
  return sliced_wasserstein2_squared(project(x, projections), project(y, projections));
}

WeightedPoints weighted_points(std::span<const double> points, std::span<const double> weights) {
  require_size("weights", weights.size(), points.size(), "one a point");
  require_finite("points", points);
  require_finite("weights", weights);
  const auto negative = std::ranges::find_if(weights, [](double weight) { return weight < 0.0; });
  if (negative != weights.end()) require_nonnegative(fmt::format("weights[{}]", negative - weights.begin()), *negative);
  double sum = 0.0;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < points.size(); ++i) {
    sum += weights[i];
    if (weights[i] > 0.0) order.push_back(i);
  }
  require(sum > 0.0, "weights", "sum 0", "must have a positive sum");
  std::ranges::sort(order, [&](std::size_t i, std::size_t j) { return std::pair(points[i], i) < std::pair(points[j], j); });
  WeightedPoints out;
  for (const std::size_t i : order) {
    out.points.push_back(points[i]);
    out.weights.push_back(weights[i] / sum);
  }
  return out;
}

double wasserstein2_squared(const WeightedPoints& x, const WeightedPoints& y) {
  require(!x.points.empty() && !y.points.empty(), "points", fmt::format("{} and {}", x.points.size(), y.points.size()),
          "must be at least 1");
  double sum = 0.0;
  double left_x = x.weights[0], left_y = y.weights[0];  // mass of point i and of point j that is not matched yet
  for (std::size_t i = 0, j = 0; i < x.points.size() && j < y.points.size();) {
    const double matched = std::min(left_x, left_y);
    const double difference = x.points[i] - y.points[j];
    sum += matched * difference * difference;
    left_x -= matched;
    left_y -= matched;
    if (left_x == 0.0 && ++i < x.points.size()) left_x = x.weights[i];
    if (left_y == 0.0 && ++j < y.points.size()) left_y = y.weights[j];
  }
  return sum;
}

std::vector<WeightedPoints> project(ConstBatchView x, std::span<const double> weights, const SlicedProjections& projections) {
  require_sample("x", x, 1);
  require_size("x columns", x.cols(), projections.dim(), "the dimension of the projections");
  const Matrix projected = project_on_directions(x, projections.directions());
  std::vector<WeightedPoints> lines(projections.count());
  parallel_for(lines.size(), [&](std::size_t k) { lines[k] = weighted_points(projected.row(k), weights); });
  return lines;
}

SlicedWasserstein sliced_wasserstein2_squared(std::span<const WeightedPoints> x, std::span<const WeightedPoints> y) {
  require(!x.empty(), "projections", "0", "must be at least 1");
  require_size("projections", y.size(), x.size(), "the same for both laws");
  std::vector<double> distances(x.size());
  parallel_for(x.size(), [&](std::size_t k) { distances[k] = wasserstein2_squared(x[k], y[k]); });
  return over_directions(distances);
}

}  // namespace fslens
