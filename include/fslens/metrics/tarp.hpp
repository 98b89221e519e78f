// Tests of accuracy with random points (TARP): coverage of balls about reference points.
//
// For each replicate a reference point z that knows neither the draws nor the truth, and the ball about z that reaches to the truth: if the
// draws come from the posterior, the number of draws within the ball is uniform on 0 … L. Its coverage is CoverageLevels::nested.
//
// Valid only if z and the distance depend on the prior, or on y, and on nothing else. Distances that are normalised by the draws (by their
// range, or their range and the truth's, as some codes do) depend on them and fail exact posteriors, the more so the higher d; here the metric
// is that of fixed scales, the prior's standard deviations, and z is a draw of the prior.
//
// What it cannot see: z independent of y makes it a test of the average over y, so draws from the prior, whatever y, pass. As d grows all
// points come to lie equally far from z: the distance is then that of the prior's own mean norm, and the power to see anything else is lost.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// √(Σ_j ((x_j − z_j)/scale_j)²), row by row. NaN where a row or z is not finite.
/// @shape x [B, d]; reference, scale [d], scale > 0   @throws InvalidArgument on wrong shapes or a scale that is not positive
/// @source lemos2023sampling
std::vector<double> standardised_distances(ConstBatchView x, std::span<const double> reference, std::span<const double> scale);

}  // namespace fslens
