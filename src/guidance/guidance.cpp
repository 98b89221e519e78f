#include "fslens/guidance/guidance.hpp"

#include <fmt/format.h>

#include "fslens/core/error.hpp"
#include "pull_back.hpp"

namespace fslens {

void Guidance::guided_mean(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                           BatchView guided) const {
  require_guidance_input(denoiser, likelihood, x, t, guided);
  require_suitable(likelihood);
  if (const auto weight = residual_weight(denoiser, likelihood, t)) {
    // (s²/a) Jᵀ Hᵀ w = C Hᵀ w.
    Matrix product(x.rows(), x.cols());
    denoiser.denoise_and_multiply(
        x, t, weight->projection,
        [&](std::span<const std::size_t>, ConstBatchView mean, ConstBatchView projected, BatchView direction) {
          Matrix residual(mean.rows(), likelihood.output_dim());
          likelihood.residual(mean, residual);
          weight->apply(projected, residual);
          likelihood.forward().vjp(mean, residual, direction);
        },
        guided, product);
    for (std::size_t b = 0; b < x.rows(); ++b)
      for (std::size_t j = 0; j < x.cols(); ++j) guided(b, j) += product(b, j);
    return;
  }
  denoiser.denoise(x, t, guided);
  Matrix likelihood_score(x.rows(), x.cols());
  score(denoiser, likelihood, x, t, guided, likelihood_score);
  const double scale = denoiser.schedule().s2(t) / denoiser.schedule().a(t);
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t j = 0; j < x.cols(); ++j) guided(b, j) += scale * likelihood_score(b, j);
}

std::optional<Guidance::ResidualWeight> Guidance::residual_weight(const Denoiser&, const Likelihood&, double) const {
  return std::nullopt;
}

// One denoiser call and one vector–Jacobian product.
double Guidance::evaluations(const Likelihood&) const { return 2.0; }

void Guidance::require_suitable(const Likelihood& likelihood) const {
  if (needs_affine() && !likelihood.forward().is_affine())
    throw UsageError(fmt::format("{} needs an affine operator; '{}' is not (use dps-sigma, dps-zeta, dps or lens-sde)",
                                 name(), likelihood.forward().name()));
}

}  // namespace fslens
