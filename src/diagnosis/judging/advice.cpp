// What a failed check means for a given sampler, and what to do about it. One table of causes, one of next steps.
#include <fmt/format.h>

#include <map>

#include "fslens/diagnosis/checks.hpp"

namespace fslens {
namespace {

struct Method {
  std::string narrow;  ///< why it is too narrow, or commits too early
  std::string wide;    ///< why it is too wide, or keeps what the data exclude
  std::string remedy;
};

/// Why a likelihood approximation errs: what it puts in the place of p(x_0 | x_t) when it integrates the likelihood.
const Method& method(const std::string& name) {
  static const std::string scale =
      "its guidance has no likelihood's scale: zeta sets the strength, whatever the noise level and the denoiser's uncertainty";
  static const std::map<std::string, Method> methods = {
      {"dps-sigma",
       {"it puts the denoiser's mean in the place of x_0 and leaves out its covariance, so the guidance is too strong wherever that is wide",
        "the Jacobian of the denoiser is large between modes and throws particles past them",
        "Use tmpd (which keeps A C A^T) or pigdm; more steps do not repair it"}},
      {"dps-zeta", {scale, scale, "Tune zeta on held-out measurements, or use a method with a noise model (tmpd, pigdm); more steps do not repair it"}},
      {"dps", {scale, scale, "Tune zeta together with the number of steps (the step has no Delta t), or use tmpd or pigdm"}},
      {"pigdm",
       {"r_t^2 I is smaller than the denoiser's covariance along what A observes",
        "r_t^2 I overstates the denoiser's covariance, so the guidance is too weak to leave prior modes that the data exclude before they are frozen",
        "Use tmpd (the true covariance), the other r2, or a sampler that is exact in a limit; more steps do not repair it"}},
      {"tmpd",
       {"a Gaussian with the denoiser's covariance stands for a p(x_0 | x_t) that has several modes, and the covariance's derivative is dropped",
        "a Gaussian with the denoiser's covariance stands for a p(x_0 | x_t) that has several modes: midway between them it sees a likely x_0 where there is none, and the guidance is too weak",
        "Use a sampler that is exact in a limit, or re-weight the modes of the final samples; more steps do not repair it"}},
      {"dmps",
       {"it takes the prior to be flat, so that x_0 given x_t is N(x_t/a, (s/a)^2 I)",
        "it takes the prior to be flat, so that at high noise the guidance hardly sees the measurement",
        "Use pigdm or tmpd, which know the prior's denoiser"}},
  };
  static const Method recording = {
      "its guidance or its steps concentrate too early", "its guidance is too weak, or its steps are too coarse",
      "Run the same sampler on the exact denoiser, then with half the step: if the error stays it is the likelihood approximation"};
  const auto found = methods.find(name);
  return found == methods.end() ? recording : found->second;
}

std::string discretisation(const SamplerTraits& traits, double direction, double t) {
  const std::string what = direction < 0.0 ? "too narrow" : "too wide";
  const std::string fix = traits.integrator == "exponential" && traits.spacing == "log-snr"
                              ? fmt::format("Use more steps than {}", traits.steps)
                              : "Use --set grid.spacing=log-snr --set grid.integrator=exponential, or more steps";
  return fmt::format(
      "Cause: discretisation. The score is exact here, so {} on the {} grid of {} steps makes the law {} at t = {:.3g}. {}.",
      traits.integrator, traits.spacing, traits.steps, what, t, fix);
}

std::string cause_of(const SamplerTraits& traits, double direction) {
  return (direction < 0.0 ? method(traits.name).narrow : method(traits.name).wide);
}

}  // namespace

std::string advise(const std::string& check, const SamplerTraits& traits, double direction, double t) {
  if (check == "lens-resolution")
    return "Cause: the measurement is too sharp for so few atoms; the verdict is about these atoms, not about their prior. Use "
           "more atoms, a larger sigma or fewer measurements, or smooth them (prior.bandwidth = \"loo\", kernel = \"covariance\"); if the atoms are the "
           "whole prior, say prior.complete = true.";
  if (check == "measurement-fit")
    return fmt::format("Cause: the problem, not a sampler. The measurement is {} than this operator and this noise make it: {}. No verdict about "
                       "samplers says much before that is mended.",
                       direction > 0.0 ? "noisier" : "closer to the prior's predictions",
                       direction > 0.0 ? "sigma is too small, or the operator (its kernel, its bias, the order of its outputs) is not the one that made y, "
                                         "or y is of something that the prior has not"
                                       : "sigma is too large, or y was cleaned, averaged or made without noise");
  if (check == "duplicates")
    return "Cause: the sampler's book-keeping, not its likelihood: particles that are copied and not moved afterwards (resampling), a seed that is "
           "used for more than one batch, or states kept in half precision. Copies count as one sample each: whatever is averaged over them is "
           "less certain than it looks.";
  if (traits.name == "exact")
    return "Cause: chance, or a defect of fslens itself: these are the judge's own draws. Repeat with another --seed.";
  if (traits.name == "lens-sde") return discretisation(traits, direction, t);
  const Method& m = method(traits.name);
  if (check == "spread")
    return fmt::format("Cause: {}. {}.", cause_of(traits, direction), m.remedy);
  if (check == "mode-weights")
    return fmt::format("Cause: the particles commit to modes while the likelihood approximation is wrong: {}. {}.",
                       cause_of(traits, 1.0), m.remedy);
  if (check == "prior-hallucination")
    return fmt::format("Cause: {}. These samples look like the prior and contradict the data: do not trust them. {}.",
                       cause_of(traits, 1.0), m.remedy);
  if (check == "likelihood-hallucination")
    return fmt::format("Cause: guidance pulls samples off the prior's support to fit the data: {}. {}.", cause_of(traits, -1.0), m.remedy);
  if (check == "divergence")
    return fmt::format("Cause: the guidance is too stiff for the step: {}. Use smaller steps late (--set grid.spacing=log-snr), or: {}.",
                       cause_of(traits, -1.0), m.remedy);
  if (check == "early-stopping")
    return fmt::format(
        "Cause: late steps make the result worse: {}. The result hinges on where the run stops; stopping at t = {:.3g} hides it "
        "and does not repair it. {}.",
        cause_of(traits, -1.0), t, m.remedy);
  return fmt::format("Cause: {}. {}.", cause_of(traits, direction), m.remedy);
}

}  // namespace fslens
