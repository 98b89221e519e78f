// Samplers by name: "pigdm:r2=flat,integrator=heun".
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fslens/diffusion/denoiser.hpp"
#include "fslens/guidance/guidance.hpp"
#include "fslens/measurement/likelihood.hpp"
#include "fslens/samplers/integrator.hpp"
#include "fslens/samplers/sampler.hpp"

namespace fslens {

using SamplerParameters = std::map<std::string, std::string>;

/// What a user asks for: a name of the catalogue and the parameters that differ from their defaults.
struct SamplerSpec {
  std::string name;
  SamplerParameters parameters;
};

/// "name" or "name:key=value,key=value". Names and keys are checked by those who use them. @throws UsageError on syntax
SamplerSpec parse_sampler_spec(const std::string& text);

struct SamplerParameterInfo {
  std::string name;
  std::string default_value;  ///< empty where the default comes from the context (integrator, eta)
  std::string meaning;
};

struct SamplerInfo {
  std::string name;
  std::string summary;
  std::string operators;  ///< "any", "affine" or "differentiable"
  std::vector<SamplerParameterInfo> parameters;
  std::string source;
  std::string evaluations;  ///< denoiser calls and vector–Jacobian products per particle and integrator evaluation
};

/// Every sampler that has a name, `exact` (the judge, drawn by the lens) included.
const std::vector<SamplerInfo>& sampler_catalogue();

/// Resolves aliases (`lens` → `lens-sde`). @throws UsageError if there is no such sampler
std::string canonical_sampler_name(const std::string& name);

/// What samplers are made of. `posterior_denoiser` is needed by `lens-sde` only and may be null otherwise.
struct SamplerContext {
  std::shared_ptr<const Denoiser> denoiser;
  std::shared_ptr<const Denoiser> posterior_denoiser;
  std::shared_ptr<const Likelihood> likelihood;
  Integrator integrator = Integrator::euler_maruyama;  ///< unless the spec says integrator=
  double eta = 0.0;                                    ///< η of `ddim`, unless the spec says eta=
};

/// @throws UsageError on unknown names and keys, on `exact`, and where method and operator do not fit;
///         InvalidArgument on values
std::unique_ptr<PosteriorSampler> make_sampler(const SamplerSpec& spec, const SamplerContext& context);

/// The likelihood score of a score-form sampler; integrator= and eta= are checked and play no part.
/// @throws UsageError also for `dps` and `exact`, which have none
std::unique_ptr<Guidance> make_guidance(const SamplerSpec& spec, std::shared_ptr<const Denoiser> posterior_denoiser);

/// `lens-sde` under the integrator that the sampler steps with: what is left of it when its likelihood approximation is replaced by the exact
/// posterior score. `dps` is an ancestral step. Absent for `exact`. @throws UsageError on unknown names and keys
std::optional<SamplerSpec> exact_score_counterpart(const SamplerSpec& spec, Integrator integrator, double eta);

/// Whether the sampler is a likelihood score under an integrator, so that make_guidance gives its score.
bool has_guidance(const SamplerSpec& spec);

/// All parameters of `spec` with defaults filled in, as a report shows them. `eta` is there with `ddim` only.
/// @throws UsageError on unknown names and keys
std::map<std::string, std::string> resolved_parameters(const SamplerSpec& spec,
                                                       Integrator integrator = Integrator::euler_maruyama,
                                                       double eta = 0.0);

}  // namespace fslens
