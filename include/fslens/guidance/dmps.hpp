// Diffusion model posterior sampling (DMPS): the prior on x_0 given x_t is taken to be flat.
#pragma once

#include "fslens/guidance/guidance.hpp"

namespace fslens {

/// DMPS: with an uninformative prior x_0 = (x_t − b_t)/a − (s/a) ε, so that y is Gaussian given x_t.
///
///   score = (1/a) Aᵀ (Σ_n + (s²/a²) A Aᵀ)⁻¹ (y − A (x − b_t)/a − b)
///
/// Implied density N(y; A (x − b_t)/a + b, Σ_n + (s²/a²) A Aᵀ). The denoiser is not used.
/// @throws UsageError on an operator that is not affine
/// @source Meng & Kabashima 2022, arXiv:2211.12343
class DmpsGuidance final : public Guidance {
 public:
  std::string name() const override { return "dmps"; }
  bool needs_affine() const override { return true; }
  double evaluations(const Likelihood& likelihood) const override;
  void score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
             BatchView score) const override;
  std::optional<std::vector<double>> log_likelihood(const Denoiser& denoiser, const Likelihood& likelihood,
                                                    ConstBatchView x, double t, ConstBatchView mean) const override;
};

}  // namespace fslens
