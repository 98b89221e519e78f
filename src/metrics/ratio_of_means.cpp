#include "fslens/metrics/ratio_of_means.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "fslens/core/error.hpp"

namespace fslens {
namespace {

/// ∞ where the lower sum is 0, also for 0/0: that both vanished is no evidence that the ratio is bounded.
double ratio(double upper, double lower) { return lower > 0.0 ? upper / lower : std::numeric_limits<double>::infinity(); }

std::optional<double> finite(double value) { return std::isfinite(value) ? std::optional(value) : std::nullopt; }

}  // namespace

RatioOfMeans ratio_of_means(std::span<const double> numerator, std::span<const double> denominator, std::size_t resamples, double confidence,
                            const RandomStream& stream) {
  const std::size_t n = numerator.size();
  require(n >= 2, "numerator", fmt::format("{} values", n), "must hold at least 2");
  require_size("denominator", denominator.size(), n, "the numerator");
  require_finite("numerator", numerator);
  require_finite("denominator", denominator);
  for (std::size_t i = 0; i < n; ++i) require(numerator[i] >= 0.0 && denominator[i] >= 0.0, "values", "a negative one", "must be >= 0");
  require(resamples >= 2, "resamples", fmt::format("{}", resamples), "must be >= 2");
  require(confidence > 0.0 && confidence < 1.0, "confidence", fmt::format("{}", confidence), "must lie in (0, 1)");
  const auto ratio_of = [&](const auto& index) {
    double upper = 0.0, lower = 0.0;
    for (std::size_t i = 0; i < n; ++i) upper += numerator[index(i)], lower += denominator[index(i)];
    return ratio(upper, lower);
  };
  std::vector<double> repetitions(resamples);
  for (std::size_t r = 0; r < resamples; ++r)
    repetitions[r] = ratio_of([&](std::size_t i) { return static_cast<std::size_t>(stream.uniform(r, i) * static_cast<double>(n)); });
  std::ranges::sort(repetitions);
  // Of two order statistics the upper one: interpolation between a number and infinity has no value.
  const auto quantile = [&](double probability) {
    return repetitions[static_cast<std::size_t>(std::ceil(probability * static_cast<double>(resamples - 1)))];
  };
  const double tail = 0.5 * (1.0 - confidence);
  return {finite(ratio_of([](std::size_t i) { return i; })), finite(quantile(tail)), finite(quantile(1.0 - tail))};
}

}  // namespace fslens
