#include "fslens/guidance/dps_sigma.hpp"

#include "fslens/core/parallel.hpp"
#include "particles_per_task.hpp"
#include "pull_back.hpp"

namespace fslens {

void DpsSigmaGuidance::score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                             ConstBatchView mean, BatchView score) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  Matrix weighted(x.rows(), likelihood.output_dim());
  likelihood.residual(mean, weighted);
  parallel_for_ranges(x.rows(), kParticlesPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) likelihood.noise().apply_precision(weighted.row(b), weighted.row(b));
  });
  pull_back(denoiser, likelihood, x, t, mean, weighted, score);
}

std::optional<std::vector<double>> DpsSigmaGuidance::log_likelihood(const Denoiser& denoiser,
                                                                    const Likelihood& likelihood, ConstBatchView x,
                                                                    double t, ConstBatchView mean) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  return likelihood.log_likelihood(mean);
}

}  // namespace fslens
