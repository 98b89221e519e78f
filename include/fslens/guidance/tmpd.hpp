// Tweedie moment projection (TMPD): p(y | x_t) ≈ N(y; A m + b, A C Aᵀ + Σ_n).
#pragma once

#include <cstddef>

#include "fslens/guidance/guidance.hpp"

namespace fslens {

struct TmpdOptions {
  std::size_t max_dense = 128;       ///< A C Aᵀ is formed and factored per particle for m up to this
  double cg_tolerance = 1e-8;        ///< above it: conjugate gradients until ‖residual‖ ≤ tolerance ‖r‖
  std::size_t cg_iterations = 1000;  ///< and at most this many iterations
};

/// Tweedie moment projection: x_0 given x_t is replaced by the Gaussian with its mean and covariance. The derivative of
/// the covariance is dropped, so the score is the gradient of the implied density only where C does not depend on x.
///
///   score = Jᵀ Aᵀ (A C Aᵀ + Σ_n)⁻¹ (y − A m − b)
///
/// The implied density is absent for m > max_dense, where the determinant is not computed.
/// @throws UsageError on an operator that is not affine; Error where conjugate gradients do not converge
/// @cost dense: m covariance products (or the prior's own projection) and an m×m Cholesky factor per particle;
///       otherwise one covariance product per particle and iteration
/// @source Boys, Girolami, Pidstrigach, Reich, Mosca & Akyildiz 2023, arXiv:2310.06721
class TmpdGuidance final : public Guidance {
 public:
  /// @throws InvalidArgument unless cg_tolerance lies in (0, 1) and cg_iterations >= 1
  explicit TmpdGuidance(const TmpdOptions& options = {});
  const TmpdOptions& options() const { return options_; }
  std::string name() const override { return "tmpd"; }
  bool needs_affine() const override { return true; }
  double evaluations(const Likelihood& likelihood) const override;
  void score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
             BatchView score) const override;
  std::optional<ResidualWeight> residual_weight(const Denoiser& denoiser, const Likelihood& likelihood, double t) const override;
  std::optional<std::vector<double>> log_likelihood(const Denoiser& denoiser, const Likelihood& likelihood,
                                                    ConstBatchView x, double t, ConstBatchView mean) const override;

 private:
  TmpdOptions options_;
};

}  // namespace fslens
