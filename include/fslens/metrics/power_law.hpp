// How fast an error falls with the size of a sample: error ≈ C n^−r.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "fslens/metrics/intervals.hpp"

namespace fslens {

/// The errors of independent repetitions at one size.
struct ErrorLevel {
  double size = 0.0;           ///< n > 0
  std::vector<double> errors;  ///< [R], R ≥ 2, finite and > 0 where they are fitted
};

/// A number with its error and the degrees of freedom that the error is known with.
struct Estimate {
  double value = 0.0;
  double standard_error = 0.0;
  double degrees_of_freedom = 0.0;
  ConfidenceInterval interval(double confidence = 0.95) const {
    return student_interval(value, standard_error, degrees_of_freedom, confidence);
  }
};

struct PowerLawFit {
  Estimate rate;              ///< r
  double log_constant = 0.0;  ///< log C
  /// Coefficient of (log n)² of a parabola through the same levels, positive where the line flattens; absent with two levels.
  std::optional<Estimate> bend;
  /// The levels do not lie on a line: `bend` differs from 0 at the 1 % level.
  bool bends() const { return bend && !bend->interval(0.99).contains(0.0); }
  std::size_t first = 0;  ///< levels that were fitted: first, …, last
  std::size_t last = 0;
};

/// The straight line through (log n_j, mean log error_j) by least squares in which every level counts alike. Repetitions and
/// levels are independent, and the error of the line comes from the spread of repetitions within each level (Welch–Satterthwaite
/// degrees of freedom), not from the distance of the means to the line: it holds whether or not the line is straight.
/// @throws InvalidArgument if there are fewer than 2 levels, sizes do not increase, a level has fewer than 2 errors or one that
///         is not finite and > 0
PowerLawFit fit_power_law(std::span<const ErrorLevel> levels);

/// The same without the smallest sizes while the line bends: a level is left out as long as the fit `bends()` and
/// more than `fewest_levels` are left. The interval of the rate does not know of this choice.
/// @throws InvalidArgument as fit_power_law, or if fewest_levels < 2
PowerLawFit fit_power_law_tail(std::span<const ErrorLevel> levels, std::size_t fewest_levels = 4);

/// mean_r log(slower_r / faster_r), the logarithm of the factor between two errors in the same repetitions.
/// @shape [R], R ≥ 2   @throws InvalidArgument if the sizes differ or an error is not finite and > 0
Estimate log_error_ratio(std::span<const double> slower, std::span<const double> faster);

}  // namespace fslens
