// The unbiased two-sample statistic of a kernel, from its sums over pairs.
#pragma once

#include <span>

namespace fslens::metrics_internal {

struct TwoSampleStatistic {
  double value = 0.0;
  double standard_error = 0.0;
};

/// mean_{i≠i'} k(x_i, x_i') + mean_{j≠j'} k(y_j, y_j') − 2 mean_{ij} k(x_i, y_j), with the standard error of its
/// first-order projections. @shape within_x, cross_x [n]: Σ_{i'≠i} k(x_i, x_i'), Σ_j k(x_i, y_j); within_y, cross_y [m]
TwoSampleStatistic two_sample_statistic(std::span<const double> within_x, std::span<const double> cross_x,
                                        std::span<const double> within_y, std::span<const double> cross_y);

}  // namespace fslens::metrics_internal
