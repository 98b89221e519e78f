// A guidance under an integrator: the samplers that run the reverse process with prior + likelihood score.
#pragma once

#include <memory>
#include <string>

#include "fslens/diffusion/denoiser.hpp"
#include "fslens/guidance/guidance.hpp"
#include "fslens/measurement/likelihood.hpp"
#include "fslens/samplers/integrator.hpp"
#include "fslens/samplers/sampler.hpp"

namespace fslens {

struct ScoreSamplerOptions {
  Integrator integrator = Integrator::euler_maruyama;
  double eta = 0.0;  ///< η of `ddim` in [0, 1]; the other integrators do not use it
};

/// Runs the reverse process with the score (a m̂ + b − x)/s², m̂ = m + (s²/a) × the guidance's likelihood score.
class ScoreSampler final : public PosteriorSampler {
 public:
  /// @throws InvalidArgument on a missing part, sizes that disagree or eta outside [0, 1];
  ///         UsageError if the guidance needs an affine operator and this one is not
  ScoreSampler(std::string name, std::shared_ptr<const Denoiser> denoiser, std::shared_ptr<const Guidance> guidance,
               std::shared_ptr<const Likelihood> likelihood, const ScoreSamplerOptions& options = {});
  const ScoreSamplerOptions& options() const { return options_; }
  std::string name() const override { return name_; }
  void step(BatchView x, double t, double u, std::uint64_t step, const RandomStream& stream) const override;
  std::optional<StepLaw> step_law(ConstBatchView x, double t, double u, double node_spacing = kStepNodeSpacing) const override;
  std::unique_ptr<PosteriorSampler> for_other_particles() const override;
  double evaluations_per_step() const override;

 private:
  GuidedMean guided_mean() const;
  std::string name_;
  std::shared_ptr<const Denoiser> denoiser_;
  std::shared_ptr<const Guidance> guidance_;
  std::shared_ptr<const Likelihood> likelihood_;
  ScoreSamplerOptions options_;
};

}  // namespace fslens
