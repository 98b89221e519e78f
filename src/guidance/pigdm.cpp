#include "fslens/guidance/pigdm.hpp"

#include "affine_model.hpp"
#include "pull_back.hpp"

namespace fslens {

double PigdmGuidance::variance(const NoiseSchedule& schedule, double t) const {
  const double a2 = schedule.a(t) * schedule.a(t);
  const double s2 = schedule.s2(t);
  return options_.r2 == PigdmVariance::unit ? s2 / (a2 + s2) : s2 / a2;
}

void PigdmGuidance::score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                          ConstBatchView mean, BatchView score) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  require_suitable(likelihood);
  weigh_and_pull_back(*residual_weight(denoiser, likelihood, t), denoiser, likelihood, x, t, mean, score);
}

// w(r) = (r_t² A Aᵀ + Σ_n)⁻¹ r.
std::optional<Guidance::ResidualWeight> PigdmGuidance::residual_weight(const Denoiser& denoiser, const Likelihood& likelihood,
                                                                       double t) const {
  require_suitable(likelihood);
  const double r2 = variance(denoiser.schedule(), t);
  return ResidualWeight{{}, [solver = isotropic_solver(*models().of(likelihood), r2, likelihood.noise())](
                                ConstBatchView, Matrix& residual) { solver.solve_rows(residual); }};
}

std::optional<std::vector<double>> PigdmGuidance::log_likelihood(const Denoiser& denoiser, const Likelihood& likelihood,
                                                                 ConstBatchView x, double t,
                                                                 ConstBatchView mean) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  require_suitable(likelihood);
  const auto model = models().of(likelihood);
  Matrix residual(x.rows(), likelihood.output_dim());
  likelihood.residual(mean, residual);
  return isotropic_solver(*model, variance(denoiser.schedule(), t), likelihood.noise()).log_densities(residual);
}

}  // namespace fslens
