// The one sum of squared differences: of norms, of queries and of direct differences.
#pragma once

#include <span>

namespace fslens::kernels {

/// ‖x − a·atom‖², in eight interleaved sums: its rounding is bounded by interleaved_roundings(d) (error_bound.hpp). @shape atom, x [d]
double squared_distance(std::span<const double> atom, double a, std::span<const double> x);

/// ‖x‖², summed as above.
double squared_norm(std::span<const double> x);

/// sum += weight (atom − anchor). @return ‖atom − anchor‖², summed as above
double add_deviation(std::span<const double> atom, std::span<const double> anchor, double weight, std::span<double> sum);

/// ⟨atom − anchor, direction⟩, summed as above.
double deviation_along(std::span<const double> atom, std::span<const double> anchor, std::span<const double> direction);

}  // namespace fslens::kernels
