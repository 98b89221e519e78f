// DPS with the step size ζ/‖r‖ that its authors use, as a score.
#pragma once

#include "fslens/guidance/guidance.hpp"

namespace fslens {

enum class DpsWeight {
  precision,  ///< (2ζ/‖r‖) Jᵀ Hᵀ Σ_n⁻¹ r
  none        ///< (ζ/‖r‖) Jᵀ Hᵀ r: the gradient of −ζ‖r‖, without the noise level
};

struct DpsZetaOptions {
  double zeta = 1.0;                        ///< step size ζ > 0
  DpsWeight weight = DpsWeight::precision;  ///< at σ = 0.3 the two differ 22-fold
};

/// DPS as it is run, with a step size that is divided by the residual's norm, moved from the sampler's update into the
/// score of the SDE.
///
///   score = (2ζ/‖r‖) Jᵀ Hᵀ Σ_n⁻¹ r  or  (ζ/‖r‖) Jᵀ Hᵀ r;  0 where ‖r‖ <= 1e-10 ‖y‖, which is rounding
///
/// Where the score is the gradient of −c‖r‖ (Σ_n = σ² I: c = 2ζ/σ²; weight none: c = ζ) the implied density is
/// c^m Γ(m/2) / (2 π^{m/2} Γ(m)) e^{−c‖r‖}; otherwise the method implies none.
/// @source Chung et al. 2023, arXiv:2209.14687, section 4 and algorithm 1
class DpsZetaGuidance final : public Guidance {
 public:
  /// @throws InvalidArgument unless zeta > 0
  explicit DpsZetaGuidance(const DpsZetaOptions& options = {});
  const DpsZetaOptions& options() const { return options_; }
  std::string name() const override { return "dps-zeta"; }
  void score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
             BatchView score) const override;
  std::optional<ResidualWeight> residual_weight(const Denoiser& denoiser, const Likelihood& likelihood, double t) const override;
  std::optional<std::vector<double>> log_likelihood(const Denoiser& denoiser, const Likelihood& likelihood,
                                                    ConstBatchView x, double t, ConstBatchView mean) const override;

 private:
  DpsZetaOptions options_;
};

}  // namespace fslens
