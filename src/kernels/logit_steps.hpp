// Logits as whole numbers of a step that a lane group shares, so that float32 does for what is left when the large parts have cancelled.
//
//   logit_i − reference = step · ((n_i + h_i − k) + rest),   n_i from the integer products, h_i from the offset of the atom, k from the reference,
//
// whole numbers all three; the rest, of smaller orders and fractions, is float32. A step is an order 0 of the products, or a 256th of
// one where the rounding of so large a rest would show.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lane_kernels.hpp"
#include "lane_queries.hpp"

namespace fslens::kernels {

/// An atom that is this far below the best logit of a measure, whatever the particle, is left out of that measure.
inline constexpr double kTiltCut = 60.0;

struct LogitSteps {
  bool whole = false;            ///< else logits are made in float64
  bool fine = false;
  float bits = 1.0f;             ///< a step in powers of two: what weights are made of
  double step = kLogTwo;
  double top[2] = {};            ///< largest offset, by measure
  double lowest[2] = {};         ///< an offset below this is kTiltCut below the best logit at least, and left out
  std::int32_t reference[2][kLanes] = {};  ///< (reference − top) in steps
  double error = 0.0;            ///< of a logit, beside float32 roundings of what it is relative to the reference
  double rest = 0.0;             ///< ≥ the largest, in steps
  /// These: of the whole number, unless float32 holds all that count, and of the sum. `farthest`: what counts, from the reference.
  double roundings(double farthest) const { return whole && farthest / step + rest > 0x1p24 ? 2.0 : 1.0; }
};

/// Largest offset of these atoms under each measure; −∞ for one that is not there.
struct TopOffsets {
  double measure[2];
};
TopOffsets top_offsets(const SoftAssignmentRequest& request, std::span<const std::uint32_t> atoms);

/// The steps of a group whose lanes have one scale. `references` [2][kLanes] are moved to whole steps, by half a step at most, and into the
/// range where the best logit can be.
LogitSteps logit_steps(const SoftAssignmentRequest& request, const FixedPointFormat& format, const LaneQueries& queries, std::size_t group,
                       std::size_t orders, const TopOffsets& tops, double* const (&references)[2]);

}  // namespace fslens::kernels
