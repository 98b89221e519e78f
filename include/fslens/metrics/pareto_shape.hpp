// The tail of importance weights: can their sums be trusted?
#pragma once

#include <optional>
#include <span>

namespace fslens {

/// The shape k of a generalised Pareto distribution fitted to the largest importance ratios exp(log_ratios), M = min(n/5, 3√n) of them.
/// Their mean has a finite variance for k < ½; above 0.7 it cannot be trusted at this n, however many terms seem to count. Absent with
/// fewer than 5 ratios in the tail, or where the tail is constant. Ratios of −∞ are ratios of 0.
/// @source zhang2009new (the estimate), vehtari2024pareto (its use, with the weak prior of 10 observations at k = ½)
std::optional<double> pareto_shape(std::span<const double> log_ratios);

}  // namespace fslens
