// The soft assignment by exact integer products: logits, weights and moments as digits of base 256.
//
// Three error sources are left, and each is bounded as it arises: what the digits of a query or a weight cannot hold, float32
// arithmetic between the products, and orders of magnitude that are left out. Nothing depends on the order of summation.
#pragma once

#include <span>
#include <vector>

#include "fixed_point.hpp"

namespace fslens::kernels {

/// How many digits are kept where.
struct FixedPointPlan {
  std::size_t query_digits = kMaxDigits;
  std::size_t planes = kMaxPlanes;
  std::size_t orders = kMaxDigits;          ///< of the logits' products
  std::size_t weight_digits[2] = {kMaxDigits, kMaxDigits};  ///< by measure
  std::size_t weight_orders[2] = {kMaxDigits, kMaxDigits};  ///< of the moments' products
  double expected = 0.0;                    ///< estimate of the largest error that this leaves, in units of the tolerance
  double floor = 0.0;                       ///< weights are kept to this share of their mean, if the digits hold more
  /// Does this plan keep more of anything?
  bool digits_beyond(const FixedPointPlan& other) const {
    bool more = query_digits > other.query_digits || planes > other.planes || orders > other.orders;
    for (std::size_t m = 0; m < 2; ++m) more = more || weight_digits[m] > other.weight_digits[m] || weight_orders[m] > other.weight_orders[m];
    return more;
  }
};

/// What a glance at some of the atoms says of each particle: where its logits lie, and how many atoms may count.
struct Probe {
  /// log w_i − ‖x − a x_i‖²/2s² of the best atom seen, by measure; −∞ if none is finite. Never above what some atom reaches: weights are
  /// relative to it, and would vanish [P]
  std::vector<double> reference[2];
  std::vector<std::uint32_t> atom[2];  ///< that atom, by measure [P]
  std::vector<double> live_share;    ///< share of the atoms within e^{−20} of the best seen, the larger of both measures [P]
  std::vector<double> log_mean[2];   ///< log of the mean of the weights, by measure [P]
  std::vector<double> crowding[2];   ///< atoms within e^{−20} of the best over the sum of the weights relative to it, by measure [P]
  std::vector<double> variance;      ///< Tr C, the larger of both measures [P]

  void append(const Probe& other);   ///< puts the particles of another behind
};
Probe probe_atoms(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, IntegerKernel kernel);

/// What the probe says of the particles at these positions.
Probe part_of(const Probe& probe, std::span<const std::size_t> positions);

/// The digits that need the fewest products while their errors, estimated from the probe, stay within the request's tolerance.
FixedPointPlan plan_fixed_point(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Probe& probe);
/// All digits, planes and orders that there are, and no floor.
FixedPointPlan most_digits(const SoftAssignmentRequest& request);

/// Writes the rows of `result` that `particles` name: as `plan` says, and again with all digits where the proven error exceeds the
/// tolerance. Returns those where it still does (their rows are written all the same). `probe` is about these particles.
std::vector<std::size_t> fixed_point_pass(const SoftAssignmentRequest& request, std::span<const std::size_t> particles,
                                          const Probe& probe, const FixedPointPlan& plan, IntegerKernel kernel,
                                          SoftAssignmentResult& result);

}  // namespace fslens::kernels
