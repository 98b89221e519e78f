// Kernel Stein discrepancy between a sample and a law known by its score.
#pragma once

#include "fslens/core/matrix.hpp"

namespace fslens {

/// The inverse multiquadric kernel (c² + ‖x − y‖²)^β.
struct SteinKernelOptions {
  double beta = -0.5;  ///< in (−1, 0), where the discrepancy controls convergence (gorham2017measuring, Theorem 8)
  double c = 1.0;      ///< > 0, in the units of x
};

struct KernelSteinDiscrepancy {
  double u_statistic = 0.0;  ///< KSD², mean of u over pairs of distinct particles: unbiased, may be negative
  double v_statistic =
      0.0;  ///< KSD², mean over all pairs with the diagonal: never negative but for rounding, biased upwards
  /// Of u_statistic, 2 √(Var_b mean_{b'≠b} u(x_b, x_b') / B). Where the sample is from the target the U-statistic is
  /// degenerate and this is too large by about √2: judge that case by a null of exact draws.
  double standard_error = 0.0;
};

/// KSD² = E u(X, X'), u(x, y) = s(x)·s(y) k + s(x)·∇_y k + s(y)·∇_x k + tr ∇_x∇_y k, s the target's score. With
/// q = c² + ‖x − y‖²: u = q^β s_x·s_y + 2β q^{β−1} ((s_y − s_x)·(x − y) − d) − 4β(β−1) q^{β−2} ‖x − y‖².
/// Non-finite x or score gives NaN.
/// @shape x, score [B, d], B ≥ 2; score.row(b) = ∇log p(x_b)   @cost O(B² d)
/// @throws InvalidArgument on wrong shapes or options   @source liu2016kernelized, gorham2017measuring
KernelSteinDiscrepancy kernel_stein_discrepancy(ConstBatchView x, ConstBatchView score,
                                                const SteinKernelOptions& options = {});

}  // namespace fslens
