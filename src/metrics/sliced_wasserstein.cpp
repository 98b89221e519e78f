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
  SlicedWasserstein result;
  result.value = std::accumulate(distances.begin(), distances.end(), 0.0) / static_cast<double>(count);
  result.largest = finite ? *std::max_element(distances.begin(), distances.end()) : kNan;
  if (count >= 2) result.standard_error = std::sqrt(sample_moments(distances).variance / static_cast<double>(count));
  return result;
}

SlicedWasserstein sliced_wasserstein2_squared(ConstBatchView x, ConstBatchView y,
                                              const SlicedProjections& projections) {
  return sliced_wasserstein2_squared(project(x, projections), project(y, projections));
}

}  // namespace fslens
