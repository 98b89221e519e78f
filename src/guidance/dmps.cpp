#include "fslens/guidance/dmps.hpp"

#include "affine_model.hpp"
#include "pull_back.hpp"

namespace fslens {
namespace {

/// r = y − A (x − b_t)/a − b. @shape [B, m]
Matrix flat_residual(const NoiseSchedule& schedule, const Likelihood& likelihood, ConstBatchView x, double t) {
  const double a = schedule.a(t);
  const double shift = schedule.shift(t);
  Matrix rescaled(x.rows(), x.cols());
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t j = 0; j < x.cols(); ++j) rescaled(b, j) = (x(b, j) - shift) / a;
  Matrix residual(x.rows(), likelihood.output_dim());
  likelihood.residual(rescaled, residual);
  return residual;
}

double flat_variance(const NoiseSchedule& schedule, double t) {
  return schedule.s2(t) / (schedule.a(t) * schedule.a(t));
}

}  // namespace

// The denoiser call of guided_mean; the method itself makes none.
double DmpsGuidance::evaluations(const Likelihood&) const { return 1.0; }

void DmpsGuidance::score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                         ConstBatchView mean, BatchView score) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  require_suitable(likelihood);
  const auto model = models().of(likelihood);
  const NoiseSchedule& schedule = denoiser.schedule();
  Matrix weighted = flat_residual(schedule, likelihood, x, t);
  isotropic_solver(*model, flat_variance(schedule, t), likelihood.noise()).solve_rows(weighted);
  likelihood.forward().vjp(x, weighted, score);
  const double a = schedule.a(t);
  for (std::size_t b = 0; b < score.rows(); ++b)
    for (double& value : score.row(b)) value /= a;
}

std::optional<std::vector<double>> DmpsGuidance::log_likelihood(const Denoiser& denoiser, const Likelihood& likelihood,
                                                                ConstBatchView x, double t, ConstBatchView mean) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  require_suitable(likelihood);
  const auto model = models().of(likelihood);
  const NoiseSchedule& schedule = denoiser.schedule();
  const Matrix residual = flat_residual(schedule, likelihood, x, t);
  return isotropic_solver(*model, flat_variance(schedule, t), likelihood.noise()).log_densities(residual);
}

}  // namespace fslens
