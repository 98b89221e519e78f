// From measurement space back to x_t: the chain rule that the guidance methods share.
#pragma once

#include "fslens/core/matrix.hpp"
#include "fslens/diffusion/denoiser.hpp"
#include "fslens/guidance/guidance.hpp"
#include "fslens/measurement/likelihood.hpp"

namespace fslens {

/// @throws InvalidArgument unless x and mean are [B, d] for the d of denoiser and likelihood, and t is in its range
void require_guidance_input(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                            ConstBatchView mean);

/// score ← Jᵀ Hᵀ v, J = ∂m/∂x = (a/s²) C at x_t = x and H = ∂A/∂x at m. @shape v [B, m], score [B, d]
void pull_back(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
               ConstBatchView v, BatchView score);

/// score ← Jᵀ Hᵀ w(y − A(mean)): what a method with a residual weight returns as its score.
void weigh_and_pull_back(const Guidance::ResidualWeight& weight, const Denoiser& denoiser, const Likelihood& likelihood,
                         ConstBatchView x, double t, ConstBatchView mean, BatchView score);

}  // namespace fslens
