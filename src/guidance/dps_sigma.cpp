#include "fslens/guidance/dps_sigma.hpp"

#include "fslens/core/parallel.hpp"
#include "particles_per_task.hpp"
#include "pull_back.hpp"

namespace fslens {

void DpsSigmaGuidance::score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                             ConstBatchView mean, BatchView score) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  weigh_and_pull_back(*residual_weight(denoiser, likelihood, t), denoiser, likelihood, x, t, mean, score);
}

// w(r) = Σ_n⁻¹ r.
std::optional<Guidance::ResidualWeight> DpsSigmaGuidance::residual_weight(const Denoiser&, const Likelihood& likelihood,
                                                                          double) const {
  return ResidualWeight{{}, [&likelihood](ConstBatchView, Matrix& residual) {
    parallel_for_ranges(residual.rows(), kParticlesPerTask, [&](std::size_t first, std::size_t last) {
      for (std::size_t b = first; b < last; ++b) likelihood.noise().apply_precision(residual.row(b), residual.row(b));
    });
  }};
}

std::optional<std::vector<double>> DpsSigmaGuidance::log_likelihood(const Denoiser& denoiser,
                                                                    const Likelihood& likelihood, ConstBatchView x,
                                                                    double t, ConstBatchView mean) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  return likelihood.log_likelihood(mean);
}

}  // namespace fslens
