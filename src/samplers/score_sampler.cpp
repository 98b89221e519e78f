#include "fslens/samplers/score_sampler.hpp"

#include <utility>

#include "fslens/core/error.hpp"

namespace fslens {

ScoreSampler::ScoreSampler(std::string name, std::shared_ptr<const Denoiser> denoiser,
                           std::shared_ptr<const Guidance> guidance, std::shared_ptr<const Likelihood> likelihood,
                           const ScoreSamplerOptions& options)
    : name_(std::move(name)),
      denoiser_(std::move(denoiser)),
      guidance_(std::move(guidance)),
      likelihood_(std::move(likelihood)),
      options_(options) {
  require(denoiser_ != nullptr, name_ + ": denoiser", "null", "must be given");
  require(guidance_ != nullptr, name_ + ": guidance", "null", "must be given");
  require(likelihood_ != nullptr, name_ + ": likelihood", "null", "must be given");
  require_size(name_ + ": likelihood.input_dim", likelihood_->input_dim(), denoiser_->dim(),
               "the dimension of the denoiser");
  require_between(name_ + ": eta", options_.eta, 0.0, 1.0);
  guidance_->require_suitable(*likelihood_);
}

GuidedMean ScoreSampler::guided_mean() const {
  return [this](ConstBatchView state, double time, BatchView guided) {
    guidance_->guided_mean(*denoiser_, *likelihood_, state, time, guided);
  };
}

void ScoreSampler::step(BatchView x, double t, double u, std::uint64_t step, const RandomStream& stream) const {
  require_size("x.cols", x.cols(), denoiser_->dim(), "the dimension of the denoiser");
  integrate_step({options_.integrator, options_.eta, t, u}, denoiser_->schedule(), guided_mean(), x, step, stream);
}

std::optional<StepLaw> ScoreSampler::step_law(ConstBatchView x, double t, double u, double node_spacing) const {
  require_size("x.cols", x.cols(), denoiser_->dim(), "the dimension of the denoiser");
  return integrate_step_law({options_.integrator, options_.eta, t, u}, denoiser_->schedule(), guided_mean(), x, node_spacing);
}

std::unique_ptr<PosteriorSampler> ScoreSampler::for_other_particles() const {
  auto denoiser = denoiser_->for_other_particles();
  auto guidance = guidance_->for_other_particles();
  if (!denoiser && !guidance) return nullptr;
  return std::make_unique<ScoreSampler>(name_, denoiser ? std::move(denoiser) : denoiser_, guidance ? std::move(guidance) : guidance_, likelihood_,
                                        options_);
}

double ScoreSampler::evaluations_per_step() const {
  return guidance_->evaluations(*likelihood_) * fslens::evaluations_per_step(options_.integrator);
}

}  // namespace fslens
