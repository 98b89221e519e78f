// The one sum of squared differences: of norms, of queries and of direct differences.
#pragma once

#include <span>

namespace fslens::kernels {

/// ‖x − a·atom‖², in eight interleaved sums: its rounding is bounded by interleaved_roundings(d) (error_bound.hpp). @shape atom, x [d]
double squared_distance(std::span<const double> atom, double a, std::span<const double> x);

}  // namespace fslens::kernels
