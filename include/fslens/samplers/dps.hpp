// DPS as published: a gradient step added to each ancestral step.
#pragma once

#include <memory>

#include "fslens/diffusion/denoiser.hpp"
#include "fslens/measurement/likelihood.hpp"
#include "fslens/samplers/sampler.hpp"

namespace fslens {

struct DpsOptions {
  double zeta = 0.3;  ///< step size ζ > 0, in units of x; 1.0 for phase retrieval in the paper
};

/// Diffusion posterior sampling as published.
///
///   x_u = DDPM(x, m) + (ζ/‖r‖) Jᵀ Hᵀ r,   r = y − A(m);  no second term where ‖r‖ = 0 (to rounding: 1e-10 ‖y‖)
///
/// The gradient step knows neither the noise level nor the size of the time step: its total over a run grows with the
/// number of steps. The score form of the same idea is DpsZetaGuidance.
/// @source Chung et al. 2023, arXiv:2209.14687, algorithm 1
class Dps final : public PosteriorSampler {
 public:
  /// @throws InvalidArgument on a missing part, sizes that disagree or zeta <= 0
  Dps(std::shared_ptr<const Denoiser> denoiser, std::shared_ptr<const Likelihood> likelihood,
      const DpsOptions& options = {});
  const DpsOptions& options() const { return options_; }
  std::string name() const override { return "dps"; }
  void step(BatchView x, double t, double u, std::uint64_t step, const RandomStream& stream) const override;
  std::optional<StepLaw> step_law(ConstBatchView x, double t, double u, double node_spacing = kStepNodeSpacing) const override;
  std::unique_ptr<PosteriorSampler> for_other_particles() const override;
  double evaluations_per_step() const override { return 2.0; }

 private:
  /// mean ← E[x_u | x_t = x]; returns the variance of the noise.
  double step_mean(ConstBatchView x, double t, double u, BatchView mean) const;

  std::shared_ptr<const Denoiser> denoiser_;
  std::shared_ptr<const Likelihood> likelihood_;
  DpsOptions options_;
};

}  // namespace fslens
