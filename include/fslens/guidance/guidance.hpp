// Likelihood-score approximations: what a posterior sampler adds to the prior score.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/diffusion/denoiser.hpp"
#include "fslens/measurement/likelihood.hpp"

namespace fslens {

class AffineModelCache;

/// An approximation of ∇_x log p_t(y | x) at x_t = x, and where it has one the density that it implies for y.
///
/// A guidance sees the prior through a Denoiser and the measurement through a Likelihood, never the lens.
/// In every call `mean` is what denoiser.denoise(x, t) gave, so that it is computed once.
class Guidance {
 public:
  Guidance();
  virtual ~Guidance() = default;
  virtual std::string name() const = 0;  ///< "dps-sigma", "pigdm", …
  /// As Denoiser::for_other_particles, of a guidance that has a denoiser of its own.
  virtual std::shared_ptr<const Guidance> for_other_particles() const { return nullptr; }
  /// score ← the approximate likelihood score. @shape x, mean, score [B, d]
  virtual void score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                     ConstBatchView mean, BatchView score) const = 0;
  /// log p̃(y | x_t = x_b) of the implied density, normalised in y; absent where the method implies none. @shape [B]
  virtual std::optional<std::vector<double>> log_likelihood(const Denoiser& denoiser, const Likelihood& likelihood,
                                                            ConstBatchView x, double t, ConstBatchView mean) const = 0;

  /// guided ← m̂ = m + (s²/a) score: the denoiser mean of the posterior that the method approximates. It carries the
  /// whole score, prior plus likelihood: (a m̂ + b − x)/s². A method that knows m̂ itself overrides this, so that the
  /// prior's denoiser is not evaluated for nothing. @shape x, guided [B, d]
  virtual void guided_mean(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                           BatchView guided) const;

  /// What a method does to the residual r = y − A(m) when its score is Jᵀ Hᵀ w(r), J = ∂m/∂x and H = ∂A/∂x at m.
  struct ResidualWeight {
    MatrixView<const double> projection;  ///< A, where w takes A C(x) Aᵀ; empty otherwise
    /// residual ← w(residual), row by row; `projected` is A C Aᵀ [P, m·m]. May be called from several threads at once.
    std::function<void(ConstBatchView projected, Matrix& residual)> apply;
  };
  /// Absent for a method of another form. Lets guided_mean take mean and product from one call of the denoiser.
  virtual std::optional<ResidualWeight> residual_weight(const Denoiser& denoiser, const Likelihood& likelihood, double t) const;

  /// Denoiser calls and covariance products that guided_mean makes per particle (an upper bound where it iterates).
  virtual double evaluations(const Likelihood& likelihood) const;
  virtual bool needs_affine() const { return false; }  ///< True if the method is defined for affine operators only.
  /// @throws UsageError if needs_affine() and the operator is not; `score` and `log_likelihood` do so too
  void require_suitable(const Likelihood& likelihood) const;

 protected:
  /// The linear part of the operator that was asked for last.
  AffineModelCache& models() const { return *models_; }

 private:
  /// guided_mean of a method with a residual weight, where the operator is affine and has few rows. @return false where it has not
  bool guided_along_rows(const ResidualWeight& weight, const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                         BatchView guided) const;

  std::shared_ptr<AffineModelCache> models_;
};

}  // namespace fslens
