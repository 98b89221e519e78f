// A mean divided by another mean of the same cases.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "fslens/rng/stream.hpp"

namespace fslens {

/// Absent numbers are not finite: the mean below the line is 0 (in the quantile's resamples, where an end of the interval is absent).
struct RatioOfMeans {
  std::optional<double> value;
  std::optional<double> low, high;  ///< bootstrap percentile interval
};

/// (Σ u_i)/(Σ v_i), with an interval from resampling the pairs (u_i, v_i): what is common to both, such as a case that is hard for either,
/// cancels. The percentile interval of few cases is a little too narrow (about n / (n − 1) in variance).
/// @shape numerator, denominator [n], n ≥ 2, finite and ≥ 0   @throws InvalidArgument on anything else, or a confidence outside (0, 1)
/// @cost O(n resamples)
/// @source efron1993introduction, chapter 13
RatioOfMeans ratio_of_means(std::span<const double> numerator, std::span<const double> denominator, std::size_t resamples, double confidence,
                            const RandomStream& stream);

}  // namespace fslens
