#include "end_distance.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/measurements.hpp"
#include "fslens/diagnosis/recording.hpp"
#include "fslens/metrics/spread.hpp"

namespace fslens {
namespace {

constexpr double kZ95 = 1.959963984540054;

}  // namespace

EndDistance::EndDistance(const ExactReference& reference, Measure measure, std::size_t particles, const RandomStream& stream)
    : projections_(reference.projections()), particles_(particles), scale_(reference.final().scale) {
  const Lens& lens = reference.lens();
  const double t = reference.times().back();
  exact_.emplace(project(lens.sample(measure, particles, t, stream.child("end reference")).x, projections_));
  std::vector<double> null(kNullRepetitions), variance(kNullRepetitions);
  parallel_for(kNullRepetitions, [&](std::size_t r) {
    const Matrix x = lens.sample(measure, particles, t, stream.child("end null"), r).x;
    variance[r] = total_variance(x).value;
    null[r] = sliced_wasserstein2_squared(project(x, projections_), *exact_).value;
  });
  null_ = null_band(null);
  variance_ = std::reduce(variance.begin(), variance.end()) / static_cast<double>(kNullRepetitions);
}

EndDistance EndDistance::of_posterior(const ExactReference& reference, std::size_t particles, const RandomStream& stream) {
  return {reference, Measure::posterior, particles, stream};
}

EndDistance EndDistance::of_prior(const ExactReference& reference, std::size_t particles, const RandomStream& stream) {
  return {reference, Measure::prior, particles, stream.child("prior")};
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

std::optional<BudgetEntry> EndDistance::entry(ConstBatchView x, const ProjectedSample& other, double width) const {
  const Matrix finite = finite_rows(x);
  if (finite.rows() < kFewestParticles) return std::nullopt;
  const double excess = sliced_wasserstein2_squared(project(finite, projections_), other).value - width * null_.mean;
  const double se = std::max(width * null_.sd, sliced_wasserstein_error(finite, other));
  return BudgetEntry{in_units(excess), in_units(excess - kZ95 * se), in_units(excess + kZ95 * se)};
}

double EndDistance::in_units(double squared) const { return std::sqrt(std::max(0.0, squared)) / scale_; }

}  // namespace fslens
