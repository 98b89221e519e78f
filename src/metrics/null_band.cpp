#include "fslens/metrics/null_band.hpp"

#include <fmt/format.h>

#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/metrics/intervals.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

std::optional<double> NullBand::standardised_effect(double value) const {
  if (!(sd > 0)) return std::nullopt;
  return effect(value) / sd;
}

NullBand null_band(std::span<const double> repetitions, double low_probability, double high_probability) {
  require(repetitions.size() >= 2, "repetitions", fmt::format("{} entries", repetitions.size()),
          "must have at least 2");
  require_between("low_probability", low_probability, 0.0, 1.0);
  require_between("high_probability", high_probability, 0.0, 1.0);
  require(low_probability < high_probability, "low_probability", fmt::format("{}", low_probability),
          fmt::format("must be less than high_probability, {}", high_probability));
  if (!all_finite(repetitions)) return {repetitions.size(), kNan, kNan, kNan, kNan};
  const SampleMoments moments = sample_moments(repetitions);
  return {repetitions.size(), moments.mean, std::sqrt(moments.variance), sample_quantile(repetitions, low_probability),
          sample_quantile(repetitions, high_probability)};
}

}  // namespace fslens
