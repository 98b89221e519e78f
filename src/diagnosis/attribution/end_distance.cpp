#include "end_distance.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/measurements.hpp"
#include "fslens/diagnosis/recording.hpp"
#include "fslens/metrics/spread.hpp"

namespace fslens {
namespace {

constexpr double kZ95 = 1.959963984540054;

bool all_finite(std::span<const double> values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

}  // namespace

EndDistance::EndDistance(const ExactReference& reference, std::size_t particles, const RandomStream& stream)
    : projections_(reference.projections()), particles_(particles),
      variance_(reference.at(reference.times().size() - 1).total_variance), scale_(reference.final().scale) {
  const Lens& lens = reference.lens();
  const double t = reference.times().back();
  exact_.emplace(project(lens.sample(Measure::posterior, particles, t, stream.child("end reference")).x, projections_));
  std::vector<double> null(kNullRepetitions);
  parallel_for(kNullRepetitions, [&](std::size_t r) {
    const Matrix x = lens.sample(Measure::posterior, particles, t, stream.child("end null"), r).x;
    null[r] = sliced_wasserstein2_squared(project(x, projections_), *exact_).value;
  });
  null_ = null_band(null);
}

BudgetEntry EndDistance::floor() const {
  return {in_units(null_.mean), in_units(null_.low), in_units(null_.high)};
}

std::optional<BudgetEntry> EndDistance::to_exact(ConstBatchView x) const { return entry(x, *exact_, 1.0); }

std::optional<BudgetEntry> EndDistance::between(ConstBatchView x, ConstBatchView y) const {
  const Matrix finite = finite_rows(y);
  if (finite.rows() < kFewestParticles) return std::nullopt;
  // Two samples of a law that is wider than the exact one are further apart by chance, in proportion to its variance.
  const double width = variance_ > 0.0 ? std::max(1.0, total_variance(finite).value / variance_) : 1.0;
  return entry(x, project(finite, projections_), width);
}

std::optional<BudgetEntry> EndDistance::between_coupled(ConstBatchView x, ConstBatchView y) const {
  constexpr std::size_t kGroups = 10;
  std::vector<std::size_t> pairs;
  for (std::size_t b = 0; b < x.rows(); ++b)
    if (all_finite(x.row(b)) && all_finite(y.row(b))) pairs.push_back(b);
  if (pairs.size() < 2 * kGroups) return std::nullopt;
  const auto rows_without = [&](ConstBatchView from, std::size_t group) {
    std::vector<double> values;
    std::size_t rows = 0;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      if (i % kGroups == group) continue;
      values.insert(values.end(), from.row(pairs[i]).begin(), from.row(pairs[i]).end());
      ++rows;
    }
    return Matrix(rows, from.cols(), std::move(values));
  };
  const auto distance_without = [&](std::size_t group) {
    return sliced_wasserstein2_squared(project(rows_without(x, group), projections_), project(rows_without(y, group), projections_)).value;
  };
  std::vector<double> left_out(kGroups + 1);
  parallel_for(kGroups + 1, [&](std::size_t group) { left_out[group] = distance_without(group); });  // the last leaves nothing out
  constexpr double n = static_cast<double>(kGroups);
  const double all = left_out.back(), mean = std::reduce(left_out.begin(), left_out.end() - 1) / n;
  double sum = 0.0;
  for (std::size_t g = 0; g < kGroups; ++g) sum += (left_out[g] - mean) * (left_out[g] - mean);
  const double corrected = n * all - (n - 1.0) * mean, se = std::sqrt(sum * (n - 1.0) / n);
  return BudgetEntry{in_units(corrected), in_units(corrected - kZ95 * se), in_units(corrected + kZ95 * se)};
}

std::optional<BudgetEntry> EndDistance::entry(ConstBatchView x, const ProjectedSample& other, double width) const {
  const Matrix finite = finite_rows(x);
  if (finite.rows() < kFewestParticles) return std::nullopt;
  const double excess = sliced_wasserstein2_squared(project(finite, projections_), other).value - width * null_.mean;
  const double se = std::max(width * null_.sd, sliced_wasserstein_error(finite, other));
  return BudgetEntry{in_units(excess), in_units(excess - kZ95 * se), in_units(excess + kZ95 * se)};
}

double EndDistance::in_units(double squared) const { return std::sqrt(std::max(0.0, squared)) / scale_; }

}  // namespace fslens
