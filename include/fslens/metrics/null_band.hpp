// What a statistic is between two exact samples: its null distribution in four numbers.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace fslens {

struct NullBand {
  std::size_t repetitions = 0;
  double mean = 0.0;
  double sd = 0.0;   ///< with repetitions − 1
  double low = 0.0;  ///< quantiles (type 7) at the two probabilities asked for
  double high = 0.0;

  bool contains(double value) const { return value >= low && value <= high; }
  /// The value less the null's mean: the effect, free of the statistic's sampling bias.
  double effect(double value) const { return value - mean; }
  /// effect / sd; absent where sd is 0 or NaN.
  std::optional<double> standardised_effect(double value) const;
};

/// From R repetitions of a statistic. All numbers are NaN if a repetition is not finite.
/// @throws InvalidArgument if R < 2 or not 0 ≤ low_probability < high_probability ≤ 1
NullBand null_band(std::span<const double> repetitions, double low_probability = 0.025,
                   double high_probability = 0.975);

}  // namespace fslens
