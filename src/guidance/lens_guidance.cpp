#include "fslens/guidance/lens_guidance.hpp"

#include <utility>

#include "fslens/core/error.hpp"
#include "pull_back.hpp"

namespace fslens {

ConditionalDenoiserGuidance::ConditionalDenoiserGuidance(std::shared_ptr<const Denoiser> posterior_denoiser)
    : posterior_denoiser_(std::move(posterior_denoiser)) {
  require(posterior_denoiser_ != nullptr, "lens: posterior_denoiser", "null", "must be the denoiser of the posterior");
}

std::shared_ptr<const Guidance> ConditionalDenoiserGuidance::for_other_particles() const {
  auto denoiser = posterior_denoiser_->for_other_particles();
  return denoiser ? std::make_shared<ConditionalDenoiserGuidance>(std::move(denoiser)) : nullptr;
}

void ConditionalDenoiserGuidance::score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x,
                                        double t, ConstBatchView mean, BatchView score) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  posterior_denoiser_->denoise(x, t, score);
  const double scale = denoiser.schedule().a(t) / denoiser.schedule().s2(t);
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t j = 0; j < x.cols(); ++j) score(b, j) = scale * (score(b, j) - mean(b, j));
}

std::optional<std::vector<double>> ConditionalDenoiserGuidance::log_likelihood(const Denoiser&, const Likelihood&,
                                                                               ConstBatchView, double,
                                                                               ConstBatchView) const {
  return std::nullopt;
}

void ConditionalDenoiserGuidance::guided_mean(const Denoiser&, const Likelihood&, ConstBatchView x, double t,
                                              BatchView guided) const {
  posterior_denoiser_->denoise(x, t, guided);
}

}  // namespace fslens
