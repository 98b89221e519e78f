// Pseudo-inverse guidance (ΠGDM): p(y | x_t) ≈ N(y; A m + b, r_t² A Aᵀ + Σ_n).
#pragma once

#include "fslens/guidance/guidance.hpp"

namespace fslens {

enum class PigdmVariance {
  unit,  ///< r_t² = s²/(a² + s²): Cov[x_0 | x_t] under a prior N(0, I), the paper's choice
  flat   ///< r_t² = s²/a²: under a flat prior
};

struct PigdmOptions {
  PigdmVariance r2 = PigdmVariance::unit;
};

/// Pseudo-inverse-guided diffusion: Cov[x_0 | x_t] is replaced by r_t² I.
///
///   score = Jᵀ Aᵀ (r_t² A Aᵀ + Σ_n)⁻¹ (y − A m − b)
///
/// @throws UsageError on an operator that is not affine
/// @cost one Cholesky factor of an m×m matrix a call, shared by all particles
/// @source Song, Vahdat, Mardani & Kautz 2023, "Pseudoinverse-guided diffusion models for inverse problems", ICLR
class PigdmGuidance final : public Guidance {
 public:
  explicit PigdmGuidance(const PigdmOptions& options = {}) : options_(options) {}
  const PigdmOptions& options() const { return options_; }
  std::string name() const override { return "pigdm"; }
  bool needs_affine() const override { return true; }
  void score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
             BatchView score) const override;
  std::optional<ResidualWeight> residual_weight(const Denoiser& denoiser, const Likelihood& likelihood, double t) const override;
  std::optional<std::vector<double>> log_likelihood(const Denoiser& denoiser, const Likelihood& likelihood,
                                                    ConstBatchView x, double t, ConstBatchView mean) const override;
  /// r_t², what stands for the variance of x_0 given x_t.
  double variance(const NoiseSchedule& schedule, double t) const;

 private:
  PigdmOptions options_;
};

}  // namespace fslens
