#include "fslens/guidance/dps_zeta.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "particles_per_task.hpp"
#include "pull_back.hpp"

namespace fslens {
namespace {

// r is a difference of numbers of size ‖y‖. Below this fraction of it a denoiser's rounding decides where r points, and
// a score that divides by ‖r‖ would follow that direction at full strength: such a residual counts as 0.
constexpr double kNegligibleResidual = 1e-10;

double norm(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

/// log of c^m Γ(m/2) / (2 π^{m/2} Γ(m)), the normaliser of e^{−c‖r‖} in m dimensions.
double log_normaliser(double c, double m) {
  return m * std::log(c) + std::lgamma(0.5 * m) - std::log(2.0) - 0.5 * m * std::log(std::numbers::pi) - std::lgamma(m);
}

}  // namespace

DpsZetaGuidance::DpsZetaGuidance(const DpsZetaOptions& options) : options_(options) {
  require_positive("dps-zeta: zeta", options.zeta);
}

void DpsZetaGuidance::score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                            ConstBatchView mean, BatchView score) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  weigh_and_pull_back(*residual_weight(denoiser, likelihood, t), denoiser, likelihood, x, t, mean, score);
}

// w(r) = (2ζ/‖r‖) Σ_n⁻¹ r, or (ζ/‖r‖) r.
std::optional<Guidance::ResidualWeight> DpsZetaGuidance::residual_weight(const Denoiser&, const Likelihood& likelihood,
                                                                         double) const {
  const bool by_precision = options_.weight == DpsWeight::precision;
  const double numerator = by_precision ? 2.0 * options_.zeta : options_.zeta;
  const double negligible = kNegligibleResidual * norm(likelihood.y());
  return ResidualWeight{{}, [&likelihood, by_precision, numerator, negligible](ConstBatchView, Matrix& residual) {
    parallel_for_ranges(residual.rows(), kParticlesPerTask, [&](std::size_t first, std::size_t last) {
      for (std::size_t b = first; b < last; ++b) {
        const auto row = residual.row(b);
        const double length = norm(row);
        if (length <= negligible) {
          std::ranges::fill(row, 0.0);
          continue;
        }
        if (by_precision) likelihood.noise().apply_precision(row, row);
        for (double& value : row) value *= numerator / length;
      }
    });
  }};
}

std::optional<std::vector<double>> DpsZetaGuidance::log_likelihood(const Denoiser& denoiser,
                                                                   const Likelihood& likelihood, ConstBatchView x,
                                                                   double t, ConstBatchView mean) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  double c = options_.zeta;
  if (options_.weight == DpsWeight::precision) {
    const double sigma = likelihood.noise().scalar_sigma();
    if (!(sigma > 0.0)) return std::nullopt;  // the score is then not the gradient of any function of ‖r‖
    c = 2.0 * options_.zeta / (sigma * sigma);
  }
  Matrix residual(x.rows(), likelihood.output_dim());
  likelihood.residual(mean, residual);
  const double normaliser = log_normaliser(c, static_cast<double>(likelihood.output_dim()));
  std::vector<double> values(x.rows());
  for (std::size_t b = 0; b < x.rows(); ++b) values[b] = normaliser - c * norm(residual.row(b));
  return values;
}

}  // namespace fslens
