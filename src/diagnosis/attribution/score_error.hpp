// How far a sampler's likelihood score is from the exact one, where the exact posterior lives.
#pragma once

#include <memory>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/guidance/guidance.hpp"
#include "fslens/lens/lens.hpp"

namespace fslens {

/// E_exact‖s_approx − s_exact‖² at each time, over at most 512 exact draws, and ½∫ g² of it from the first time down to
/// each (trapezoid): by Girsanov a bound on KL(p_t(·|y) ‖ law of the sampler) from everything made before t, if its steps were infinitely
/// small. That of the chain's own steps is path_kl.
struct ScoreError {
  std::vector<double> error;        ///< [T]
  std::vector<double> girsanov_kl;  ///< [T], 0 at the first
};
/// Of each guidance, all on the same draws, whose exact score is computed once.
std::vector<ScoreError> score_errors(const Lens& lens, const std::vector<std::unique_ptr<Guidance>>& guidances,
                                     const std::vector<double>& times, const RandomStream& stream, Observer& observer);

}  // namespace fslens
