// What a fixed-point pass makes of its first sweep's moments: C v, or a guided mean.
#pragma once

#include <vector>

#include "fixed_point_sweep.hpp"
#include "fixed_point_writer.hpp"

namespace fslens::kernels {

/// Writes C v of the particles of a batch: a second sweep, with the logits of the first where they were kept.
void fixed_point_product(const FixedPointJob& job, const std::vector<WeightSummary>& weights, SoftAssignmentResult& result);

/// Writes the guided means of the particles of a batch, from a first sweep that summed weights and features. @return by particle, what is
/// held against the tolerance
std::vector<double> fixed_point_guided(const FixedPointJob& job, const FixedPointWriter& writer, SoftAssignmentResult& result);

}  // namespace fslens::kernels
