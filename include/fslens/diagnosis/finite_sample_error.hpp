// How far the lens of these atoms may be from that of the population they were drawn from.
#pragma once

#include <optional>

#include "fslens/diagnosis/diagnosis.hpp"
#include "fslens/diagnosis/exact_reference.hpp"
#include "fslens/diagnosis/problem.hpp"

namespace fslens {

/// Absent where the prior is known completely. `reference`: its directions and final scale serve for sliced_w2.
/// @cost 200 × atoms that count × (modes + directions)   @source rubin1981bayesian (bootstrap), zhang2009new (k)
std::optional<FiniteSampleError> finite_sample_error(const Problem& problem, const ExactReference& reference, const RandomStream& stream);

}  // namespace fslens
