// The exact likelihood score, from the denoiser of the posterior.
#pragma once

#include <memory>

#include "fslens/guidance/guidance.hpp"

namespace fslens {

/// What the likelihood score is when the denoiser of the *posterior* is known: m̃(x, t) = E[x_0 | x_t = x, y].
///
///   score = (a/s²) (m̃ − m)
///
/// No approximation: a sampler with this guidance errs by its integrator and its start alone. Whoever owns an exact
/// posterior hands its denoiser in; this room knows nothing of where it comes from. The density is absent here: it
/// needs the evidence, which the owner of the posterior has.
class ConditionalDenoiserGuidance final : public Guidance {
 public:
  /// @throws InvalidArgument if there is no posterior denoiser
  explicit ConditionalDenoiserGuidance(std::shared_ptr<const Denoiser> posterior_denoiser);
  std::string name() const override { return "lens"; }
  std::shared_ptr<const Guidance> for_other_particles() const override;
  double evaluations(const Likelihood&) const override { return 1.0; }
  void score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
             BatchView score) const override;
  std::optional<std::vector<double>> log_likelihood(const Denoiser& denoiser, const Likelihood& likelihood,
                                                    ConstBatchView x, double t, ConstBatchView mean) const override;
  /// guided ← m̃: the prior's denoiser is not evaluated.
  void guided_mean(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                   BatchView guided) const override;

 private:
  std::shared_ptr<const Denoiser> posterior_denoiser_;
};

}  // namespace fslens
