#include "fslens/metrics/effective_sample_size.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "fslens/core/error.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

std::optional<EffectiveSampleSize> effective_sample_size(std::span<const double> log_weights) {
  require(!log_weights.empty(), "log_weights", "0 entries", "must have at least 1");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (std::ranges::any_of(log_weights, [](double value) { return std::isnan(value) || value == kInfinity; }))
    return EffectiveSampleSize{kNan, kNan, kNan};
  const double largest = *std::ranges::max_element(log_weights);
  if (largest == -kInfinity) return std::nullopt;

  double sum = 0.0;          // Σ v, v = ω / max ω: the largest is 1, so that the sum neither under- nor overflows
  double sum_squares = 0.0;  // Σ v²
  double sum_logs = 0.0;     // Σ v log v
  for (const double log_weight : log_weights) {
    const double log_ratio = log_weight - largest;
    const double ratio = std::exp(log_ratio);
    sum += ratio;
    sum_squares += ratio * ratio;
    if (ratio > 0) sum_logs += ratio * log_ratio;
  }
  return EffectiveSampleSize{sum * sum / sum_squares, sum * std::exp(-sum_logs / sum), 1.0 / sum};
}

}  // namespace fslens
