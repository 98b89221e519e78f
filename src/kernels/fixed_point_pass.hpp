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
  std::size_t weight_digits = kMaxDigits;
  std::size_t weight_orders = kMaxDigits;   ///< of the moments' products
};

/// What a glance at some of the atoms says of each particle: where its logits lie, and how many atoms may count.
struct Probe {
  std::vector<double> reference[2];  ///< the largest logit seen, by measure; −∞ if none is finite [P]
  std::vector<double> live_share;    ///< share of the atoms within e^{−20} of the best seen, the larger of both measures [P]
  std::vector<double> mean_weight;   ///< mean of the weights relative to the largest, the smaller of both measures [P]
};
Probe probe_atoms(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, IntegerKernel kernel);

/// The fewest digits whose errors, estimated from the probe, stay within the request's tolerance.
FixedPointPlan plan_fixed_point(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Probe& probe);

/// Writes the rows of `result` that `particles` name; returns those whose proven error exceeds the tolerance (their rows are
/// written all the same). `probe` holds the references of these particles.
std::vector<std::size_t> fixed_point_pass(const SoftAssignmentRequest& request, std::span<const std::size_t> particles,
                                          const Probe& probe, const FixedPointPlan& plan, IntegerKernel kernel,
                                          SoftAssignmentResult& result);

}  // namespace fslens::kernels
