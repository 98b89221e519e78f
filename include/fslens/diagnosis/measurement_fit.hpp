// Is y what this operator and this noise would give? A prior-predictive check, in terms of the noise level that y asks for.
#pragma once

#include <cstddef>
#include <vector>

#include "fslens/diagnosis/problem.hpp"

namespace fslens {

/// κ̂(y) = argmax_κ log p_κ(y), the noise scale that the evidence asks for: Σ_n is κ² times what the problem says. A wrong σ shows in κ̂
/// directly, a wrong operator or bias as noise that is not there. κ̂ is compared with its distribution under measurements that the problem
/// itself would give: y' from truths of its own prior, judged in the same way (held-out atoms, where atoms stand for more). Whatever the
/// finite sample does to κ̂ it does to both.
struct MeasurementFit {
  double log_scale = 0.0;     ///< log κ̂(y), over κ in [1/32, 32]
  double null_median = 0.0;   ///< of log κ̂(y')
  double null_sd = 0.0;       ///< half the width of the central 68 % of log κ̂(y')
  double null_low = 0.0;      ///< 0.5 % quantile
  double null_high = 0.0;     ///< 99.5 % quantile
  std::size_t replicates = 0;
  bool held_out = false;      ///< truths were atoms, left out
  double p_value = 1.0;       ///< two-sided, by rank: at least 2/(replicates + 1)
};

/// @cost (replicates + 1) × 49 noise scales × components × m; fewer replicates (at least 99) where that is much
MeasurementFit measurement_fit(const Problem& problem, const RandomStream& stream, Observer& observer);

}  // namespace fslens
