#include "fslens/samplers/dps.hpp"

#include <fmt/format.h>

#include <utility>

#include "fslens/core/error.hpp"
#include "fslens/guidance/dps_zeta.hpp"
#include "fslens/samplers/integrator.hpp"

namespace fslens {

Dps::Dps(std::shared_ptr<const Denoiser> denoiser, std::shared_ptr<const Likelihood> likelihood,
         const DpsOptions& options)
    : denoiser_(std::move(denoiser)), likelihood_(std::move(likelihood)), options_(options) {
  require(denoiser_ != nullptr, "dps: denoiser", "null", "must be given");
  require(likelihood_ != nullptr, "dps: likelihood", "null", "must be given");
  require_size("dps: likelihood.input_dim", likelihood_->input_dim(), denoiser_->dim(),
               "the dimension of the denoiser");
  require_positive("dps: zeta", options_.zeta);
}

std::unique_ptr<PosteriorSampler> Dps::for_other_particles() const {
  auto denoiser = denoiser_->for_other_particles();
  return denoiser ? std::make_unique<Dps>(std::move(denoiser), likelihood_, options_) : nullptr;
}

double Dps::step_mean(ConstBatchView x, double t, double u, BatchView mean) const {
  const NoiseSchedule& schedule = denoiser_->schedule();
  schedule.require_time("t", t);
  require(u > 0.0 && u < t, "u", fmt::format("{}", u), fmt::format("must be > 0 and < t = {}", t));
  require_size("x.cols", x.cols(), denoiser_->dim(), "the dimension of the denoiser");
  // (ζ/‖r‖) Jᵀ Hᵀ r is dps-zeta without its precision weight: here it is added to the state, not to the score.
  const DpsZetaGuidance gradient({.zeta = options_.zeta, .weight = DpsWeight::none});
  Matrix pull(x.rows(), x.cols());
  denoiser_->denoise(x, t, mean);
  gradient.score(*denoiser_, *likelihood_, x, t, mean, pull);
  const double variance = ddim_mean(schedule, mean, 1.0, x, t, u, mean);
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t j = 0; j < x.cols(); ++j) mean(b, j) += pull(b, j);
  return variance;
}

void Dps::step(BatchView x, double t, double u, std::uint64_t step, const RandomStream& stream) const {
  Matrix mean(x.rows(), x.cols());
  const double variance = step_mean(x, t, u, mean);
  draw_step(mean, variance, step, stream, 0, x);
}

std::optional<StepLaw> Dps::step_law(ConstBatchView x, double t, double u, double) const {
  StepLaw law{{1.0}, {Matrix(x.rows(), x.cols())}, 0.0};
  law.variance = step_mean(x, t, u, law.mean.front());
  return law;
}

}  // namespace fslens
