#include "fslens/metrics/spread.hpp"

#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "projection.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

// From the squared deviations of the particles from their mean.
Variance variance_of(std::span<const double> squared_deviations) {
  const double n = static_cast<double>(squared_deviations.size());
  const SampleMoments moments = sample_moments(squared_deviations);
  return {moments.mean * n / (n - 1), std::sqrt(moments.variance * n) / (n - 1)};
}

}  // namespace

Variance total_variance(ConstBatchView x) {
  require_sample("x", x, 2);
  const std::vector<double> mean = column_means(x);
  std::vector<double> squares(x.rows(), 0.0);
  parallel_for_ranges(x.rows(), kParticlesPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b)
      for (std::size_t j = 0; j < x.cols(); ++j) squares[b] += (x(b, j) - mean[j]) * (x(b, j) - mean[j]);
  });
  return all_finite(squares) ? variance_of(squares) : Variance{kNan, kNan};
}

std::vector<Variance> variance_along(ConstBatchView x, MatrixView<const double> directions) {
  require_sample("x", x, 2);
  require_sample("directions", directions, 1);
  require_size("directions columns", directions.cols(), x.cols(), "the columns of x");
  Matrix projected = project_on_directions(x, directions);
  std::vector<Variance> variances(directions.rows(), {kNan, kNan});
  if (!all_finite(x)) return variances;
  parallel_for(variances.size(), [&](std::size_t k) {
    const auto values = projected.row(k);
    const double mean = sample_moments(values).mean;
    for (double& value : values) value = (value - mean) * (value - mean);
    variances[k] = variance_of(values);
  });
  return variances;
}

std::optional<SpreadRatio> spread_ratio(const Variance& sampled, const Variance& exact, double floor) {
  require_nonnegative("floor", floor);
  const double numerator = sampled.value - floor;
  const double denominator = exact.value - floor;
  if (!(denominator > 0)) return std::nullopt;
  const double ratio = numerator / denominator;
  return SpreadRatio{ratio, std::hypot(sampled.standard_error, ratio * exact.standard_error) / denominator};
}

}  // namespace fslens
