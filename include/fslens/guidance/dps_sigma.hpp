// DPS with the noise covariance in its place: p(y | x_t) ≈ N(y; A(m), Σ_n).
#pragma once

#include "fslens/guidance/guidance.hpp"

namespace fslens {

/// Diffusion posterior sampling's likelihood, differentiated as it stands.
///
///   score = Jᵀ Hᵀ Σ_n⁻¹ r,   r = y − A(m),  H = ∂A/∂x at m,  J = ∂m/∂x
///
/// Implied density N(y; A(m), Σ_n): it has no term for the uncertainty of x_0 given x_t, so it is too sharp.
/// @source Chung et al. 2023, arXiv:2209.14687, eqs. (10)–(14)
class DpsSigmaGuidance final : public Guidance {
 public:
  std::string name() const override { return "dps-sigma"; }
  void score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
             BatchView score) const override;
  std::optional<ResidualWeight> residual_weight(const Denoiser& denoiser, const Likelihood& likelihood, double t) const override;
  std::optional<std::vector<double>> log_likelihood(const Denoiser& denoiser, const Likelihood& likelihood,
                                                    ConstBatchView x, double t, ConstBatchView mean) const override;
};

}  // namespace fslens
