#include "fslens/guidance/guidance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "fslens/core/error.hpp"
#include "affine_model.hpp"
#include "pull_back.hpp"

namespace fslens {

Guidance::Guidance() : models_(std::make_shared<AffineModelCache>()) {}

void Guidance::guided_mean(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                           BatchView guided) const {
  require_guidance_input(denoiser, likelihood, x, t, guided);
  require_suitable(likelihood);
  const auto weight = residual_weight(denoiser, likelihood, t);
  if (weight && guided_along_rows(*weight, denoiser, likelihood, x, t, guided)) return;
  if (weight) {
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

// C Aᵀ w(y − A m − b) is along the rows of an affine operator, and needs of m no more than A m.
bool Guidance::guided_along_rows(const ResidualWeight& weight, const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x,
                                 double t, BatchView guided) const {
  // Each row is one more sum over the atoms in float64: with four of them it pays, measured; A C Aᵀ needs them anyway.
  constexpr std::size_t kMostRows = 8;
  const bool want_covariance = weight.projection.rows() > 0;
  const std::size_t m = likelihood.output_dim();
  if (!likelihood.forward().is_affine() || (m > kMostRows && !want_covariance)) return false;
  const std::shared_ptr<const AffineModel> model = models().of(likelihood);
  const auto tilt = [&](std::span<const std::size_t>, ConstBatchView projected_means, ConstBatchView projected, BatchView tilts) {
    Matrix residual(projected_means.rows(), m);
    for (std::size_t b = 0; b < residual.rows(); ++b)
      for (std::size_t j = 0; j < m; ++j) residual(b, j) = likelihood.y()[j] - model->bias[j] - projected_means(b, j);
    weight.apply(projected, residual);
    for (std::size_t b = 0; b < residual.rows(); ++b) std::ranges::copy(residual.row(b), tilts.row(b).begin());
  };
  denoiser.guided_mean(x, t, model->linear, want_covariance, tilt, guided);
  return true;
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
