// Proven bounds on the fields of a finite-sample lens: what the soft assignment proves of its sums, and every rounding after it.
#pragma once

#include <cstddef>
#include <span>

#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/lens/lens.hpp"

namespace fslens {

inline constexpr double kUnitRoundoff = 0x1p-53;

/// log Σ exp(values_i), and a bound on its error if each value came rounded once.
struct LogSum {
  double value = 0.0;
  double error = 0.0;
};
/// The sum is compensated: its bound does not grow with N. @pre the largest value is finite
LogSum log_sum(std::span<const double> values);

/// log N(x; mean, s² I) has this constant beside −‖x − mean‖²/2s².
double gaussian_log_constant(double s2, std::size_t dim);

/// The bounds of LensFields from those of the soft assignment that the fields were made from.
///
/// They are relative to the exact fields of the float64 numbers a(t), s²(t), b(t), log π_i and log p(y | x_i). Measure 1 is the
/// posterior: its log-weights were rounded twice on the way from log π_i and log p(y | x_i).
class FieldErrors {
 public:
  FieldErrors(const SoftAssignmentRequest& request, double shift, const LogSum& evidence)
      : request_(request), shift_(shift), evidence_(evidence) {}
  /// Appends the bounds of every row to `fields`, whose values are there. The moments may be moved from: not their numbers [B].
  void fill(const SoftAssignmentResult& result, LensFields& fields) const;

 private:
  /// Of one measure at one state.
  struct Bounds {
    double log_normaliser, mean, variance, score;
  };
  /// @param weight_rounding bound on √Σ w_i δ_i², δ_i the rounding of log-weight i
  Bounds bounds(const SoftAssignmentMoments& moments, std::size_t b, std::span<const double> mean, double variance,
                std::span<const double> score, double weight_rounding) const;
  double weight_rounding(const SoftAssignmentMoments& moments, std::size_t b) const;

  const SoftAssignmentRequest& request_;
  double shift_;
  LogSum evidence_;
};

}  // namespace fslens
