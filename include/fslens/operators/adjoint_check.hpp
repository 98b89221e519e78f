// Is an operator's vjp the transposed derivative of its apply?
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "fslens/operators/forward_operator.hpp"

namespace fslens {

struct AdjointCheckOptions {
  std::size_t trials = 8;    ///< random (x, u, v) triples, at least 1
  double tolerance = 1e-10;  ///< largest relative error that passes, > 0
  std::uint64_t seed = 0;
  double point_scale = 1.0;  ///< points are x ~ N(0, point_scale² I), > 0: choose it so that A is not flat there
  /// Largest step of the difference quotients, in units of point_scale along a direction of length 1, > 0.
  double finite_difference_step = 0.02;
};

struct AdjointReport {
  double max_relative_error = 0.0;  ///< over the trials and both checks; +Inf if a result was not finite
  std::size_t trials = 0;
  std::size_t redrawn = 0;  ///< points given up because a kink was too near (nonlinear operators only)
  bool passed = false;
  std::string message;  ///< what was compared, and if it failed where
};

/// Checks `forward.vjp` against `forward.apply` along random directions u and v.
///
/// Affine: |⟨A u, v⟩ − ⟨u, Aᵀ v⟩| / max(‖A u‖‖v‖, ‖u‖‖Aᵀ v‖), with A u = A(u) − A(0) and the vjp taken at another
/// random point, which must not matter. Nonlinear: the same with the derivative of ⟨A(x), v⟩ along u in place of
/// ⟨A u, v⟩, from central differences of four halved steps, Richardson-extrapolated to the eighth order.
///
/// Kinks (abs, clip): where the difference quotients disagree among themselves (judged without the vjp, so that a wrong
/// one cannot escape) a kink lies within reach; the trial is redrawn at a new point with half the step, at most 16
/// times. An operator for which that never succeeds fails: it is not differentiable, or not in double precision.
///
/// Batches: row b of one call on all trials, in views whose rows lie apart, must equal a call on that row alone, to the
/// tolerance relative to the row's norm. An operator whose derivative vanished in every trial fails: nothing was
/// checked.
/// @throws InvalidArgument for options out of range; whatever the operator throws is passed on.
/// @source the dot-product test, claerbout2014gie; extrapolation, ridders1982accurate
AdjointReport check_adjoint(const ForwardOperator& forward, const AdjointCheckOptions& options = {});

}  // namespace fslens
