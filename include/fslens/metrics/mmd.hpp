// Maximum mean discrepancy between two samples with Gaussian kernels of several bandwidths.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// The median distance between distinct rows of at most `max_points` evenly spaced rows of x; NaN if x is not finite.
/// @throws InvalidArgument if x has fewer than 2 rows or max_points < 2
double median_pairwise_distance(ConstBatchView x, std::size_t max_points = 1000);

/// {¼, ½, 1, 2, 4} × the median pairwise distance of the reference sample; absent if that is 0 or not finite.
/// Take them from one reference sample and use them for the sampler and for the null alike.
/// @source gretton2012kernel §8 (median heuristic)
std::optional<std::vector<double>> median_heuristic_bandwidths(ConstBatchView reference, std::size_t max_points = 1000);

/// A sample with the sums of its own kernel values, formed once, to be compared with many others.
/// @shape x [B, d], B ≥ 2, copied   @cost O(B² d)
class MmdSample {
 public:
  /// @throws InvalidArgument if x has fewer than 2 rows or no column, or if `bandwidths` is empty or has an entry ≤ 0
  MmdSample(ConstBatchView x, std::span<const double> bandwidths);

  std::size_t size() const { return points_.rows(); }
  std::size_t dim() const { return points_.cols(); }
  bool finite() const { return finite_; }
  const Matrix& points() const { return points_; }
  /// Largest first.
  const std::vector<double>& bandwidths() const { return bandwidths_; }
  /// Σ_{b' ≠ b} k(x_b, x_b'); empty if the sample is not finite.
  const std::vector<double>& kernel_sums() const { return kernel_sums_; }

 private:
  Matrix points_;
  std::vector<double> bandwidths_;
  std::vector<double> kernel_sums_;
  bool finite_ = false;
};

struct MaximumMeanDiscrepancy {
  double value = 0.0;  ///< MMD², unbiased, so that it may be negative
  /// From the first-order (Hoeffding) projections ψ(x_b) = 2 mean_{b'≠b} k(x_b, x_b') − 2 mean_c k(x_b, y_c), and the
  /// like for y. Where the two laws are equal it is too large by about √2: judge that case by a null of exact draws.
  double standard_error = 0.0;
};

/// MMD² = E k(X, X') + E k(Y, Y') − 2 E k(X, Y), each mean a U-statistic, k(x, y) = mean_h exp(−‖x − y‖²/2h²).
/// Non-finite samples give NaN.
/// @cost O(B B₂ d) for prepared samples   @throws InvalidArgument if the dims or the bandwidths differ
/// @source gretton2012kernel eq. 3
MaximumMeanDiscrepancy mmd_squared(const MmdSample& x, const MmdSample& y);
MaximumMeanDiscrepancy mmd_squared(ConstBatchView x, ConstBatchView y, std::span<const double> bandwidths);

}  // namespace fslens
