#include "fslens/diagnosis/margins.hpp"

#include "fslens/core/error.hpp"

namespace fslens {

const std::vector<CheckInfo>& check_catalogue() {
  static const std::vector<CheckInfo> catalogue = {
      {"spread", 0.15, "|log variance ratio|",
       "Is the sampler as wide as the posterior at every recorded time, in total and (twice the margin) along each of "
       "the three principal directions?"},
      {"mode-weights", 0.05, "total variation",
       "Do the final samples fall into the modes with the posterior's weights?"},
      {"prior-hallucination", 0.01, "fraction of samples",
       "How many final samples lie in modes, or at atoms, that the data exclude (beyond what exact draws show)?"},
      {"likelihood-hallucination", 0.01, "fraction of samples",
       "How many final samples fit the data but lie off the prior's support?"},
      {"divergence", 0.01, "fraction of samples",
       "How many final samples are not finite, or neither fit the data nor lie on the prior's support?"},
      {"duplicates", 0.01, "fraction of samples",
       "How many final samples are copies of another (beyond what exact draws show in single precision)?"},
      {"early-stopping", 0.1, "energy distance / mean distance of exact draws",
       "Would stopping earlier have given better samples, beyond what the exact sampler itself shows?"},
      {"distance", 0.2, "posterior standard deviations",
       "How far is the law of the final samples from the posterior, in sliced 2-Wasserstein distance?"},
      {"measurement-fit", 0.2, "|log noise factor|",
       "Is the measurement what this operator and this noise level would give?"},
      {"lens-resolution", 5.0, "effective atoms (at least)",
       "Do enough atoms carry the posterior for the finite-sample lens to speak for the prior?"},
      {"calibration", 0.05, "deviation of the rank ECDF",
       "Over many simulated measurements (fslens calibrate): do the draws hold the truth as often as they say?"},
  };
  return catalogue;
}

std::map<std::string, double> resolve_margins(const std::map<std::string, double>& overrides) {
  std::map<std::string, double> margins;
  std::vector<std::string> known;
  for (const CheckInfo& info : check_catalogue()) {
    margins[info.id] = info.margin;
    known.push_back(info.id);
  }
  for (const auto& [id, margin] : overrides) {
    if (!margins.contains(id)) throw UsageError(unknown_name_message("check in [margins]", id, known));
    require_nonnegative("margins." + id, margin);
    margins[id] = margin;
  }
  return margins;
}

}  // namespace fslens
