// (A C(x) Aᵀ + Σ_n) v = r for a batch of particles, where m is too large to form the matrix.
#pragma once

#include <cstddef>
#include <span>

#include "fslens/core/matrix.hpp"
#include "fslens/diffusion/denoiser.hpp"
#include "fslens/measurement/likelihood.hpp"

namespace fslens {

struct ConjugateGradientOptions {
  double tolerance = 1e-8;
  std::size_t max_iterations = 1000;
};

/// residual ← (A C(x_b, t) Aᵀ + Σ_n)⁻¹ residual, row by row, by conjugate gradients preconditioned with Σ_n: the
/// preconditioned matrix is I plus one of the rank of C, so that a prior of few atoms needs few iterations. A particle
/// stops at ‖residual‖ ≤ tolerance · ‖its right-hand side‖. Rows that are not finite come back as NaN.
/// @shape residual [B, m]; the operator must be affine with A(0) = bias
/// @throws Error if a particle has not converged after max_iterations
void solve_by_conjugate_gradients(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                                  ConstBatchView mean, std::span<const double> bias,
                                  const ConjugateGradientOptions& options, Matrix& residual);

}  // namespace fslens
