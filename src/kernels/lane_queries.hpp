// The queries q = x − a x̄ of some particles, in lane groups, ready for integer products with blocks of atoms.
#pragma once

#include <span>
#include <vector>

#include "fixed_point.hpp"

namespace fslens::kernels {

/// logit_i = scale · Σ_o 256^{−o} ints_o + offset_i + constant, offset_i = log w_i − a²‖x_i − x̄‖²/2s².
struct LaneQueries {
  std::span<const std::size_t> particles;
  std::size_t groups = 0;         ///< even: the products take two at a time
  LaneDigits digits;
  std::vector<double> scale;      ///< (a/s²) · unit of the digits · unit of the atoms, where it can be a float32 times log 2; 0 for an empty lane [groups · kLanes]
  std::vector<double> norm;       ///< ‖q‖
  std::vector<double> shift;      ///< −(a/s²)⟨q̂, x̄ − low⟩
  std::vector<double> constant;   ///< −‖q‖²/2s² + shift
  Matrix lost;                    ///< δq [particles, d], if it was asked for
};

enum class QueryScale {
  lane,   ///< each as fine as its own vector allows
  group,  ///< the same for all lanes of a group
};
LaneQueries lane_queries(const SoftAssignmentRequest& request, const FixedPointFormat& format, std::span<const std::size_t> particles,
                         std::size_t num_digits, QueryScale scale = QueryScale::lane, bool keep_lost = false);

/// Offsets of the atoms of a block under each measure; −∞ past the last.
struct BlockOffsets {
  std::vector<double> measure[2];
  std::vector<double> squared_norms;  ///< ‖x_i − x̄‖², 0 past the last
  std::vector<float> rough_norms;     ///< the same
};
void fill_offsets(const SoftAssignmentRequest& request, const AtomBlock& block, BlockOffsets& offsets);

/// Error of a logit from the digits of the atoms, and from orders that are left out, for the particle of a lane.
double order_error(const SoftAssignmentRequest& request, const FixedPointFormat& format, const LaneQueries& queries, std::size_t lane,
                   std::size_t orders);
/// The same with what the digits of q lose, (a/s²) ⟨δq, x_i − x̄⟩. Common to all atoms of a particle up to what it says of their differences.
double digit_error(const SoftAssignmentRequest& request, const FixedPointFormat& format, const LaneQueries& queries, std::size_t lane,
                   std::size_t orders);

/// ≥ |Σ| of the products of order `orders` and above that a sum of `terms` products leaves out, in units of order 0.
double dropped_orders(std::size_t num_digits, std::size_t planes, std::size_t orders, double terms);

}  // namespace fslens::kernels
