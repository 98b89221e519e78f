// Energy distance between two samples.
#pragma once

#include <cstddef>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// A sample with the sums of its own distances, formed once, to be compared with many others.
/// @shape x [B, d], B ≥ 2, copied   @cost O(B² d); O(B log B) for d = 1
class EnergySample {
 public:
  /// @throws InvalidArgument if x has fewer than 2 rows or no column
  explicit EnergySample(ConstBatchView x);

  std::size_t size() const { return points_.rows(); }
  std::size_t dim() const { return points_.cols(); }
  bool finite() const { return finite_; }
  /// The sample; for d = 1 in ascending order.
  const Matrix& points() const { return points_; }
  /// Σ_{b' ≠ b} ‖x_b − x_b'‖ in the order of points(); empty if the sample is not finite.
  const std::vector<double>& distance_sums() const { return distance_sums_; }
  /// Mean of ‖x_b − x_b'‖ over all pairs; NaN if the sample is not finite.
  double mean_distance() const;

 private:
  Matrix points_;
  std::vector<double> distance_sums_;
  bool finite_ = false;
};

struct EnergyDistance {
  double value = 0.0;  ///< unbiased, so that it may be negative
  /// √(Var_b ψ(x_b)/B + Var_b ψ(y_b)/B₂) with the first-order (Hoeffding) projections
  /// ψ(x_b) = 2 mean_c‖x_b − y_c‖ − 2 mean_{b'≠b}‖x_b − x_b'‖: the infinitesimal jackknife. Where the two laws are
  /// equal the U-statistic is degenerate and this is too large by about √2: judge that case by a null of exact draws.
  double standard_error = 0.0;
};

/// 2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖, each mean a U-statistic. Non-finite samples give NaN.
/// @cost O(B B₂ d) for prepared samples; O(B + B₂) for d = 1   @throws InvalidArgument if the dims differ
/// @source szekely2013energy
EnergyDistance energy_distance(const EnergySample& x, const EnergySample& y);
EnergyDistance energy_distance(ConstBatchView x, ConstBatchView y);

/// The value of energy_distance between each of `groups` equal groups of consecutive rows of x and y; rows that are left over are in
/// none. @shape x [B, d], result [groups]
/// @cost O(B B₂ d): all groups are held against y at once, which for d > 1 takes a fraction of the time of one after the other
/// @throws InvalidArgument if the dims differ or a group has fewer than 2 rows
std::vector<double> energy_distances_of_groups(ConstBatchView x, std::size_t groups, const EnergySample& y);

}  // namespace fslens
