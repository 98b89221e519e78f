// How wide a sample is: its total variance, its variance along directions, and their ratios to the exact ones.
#pragma once

#include <optional>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// A variance and the standard error of its estimate (0 for one that is known exactly).
struct Variance {
  double value = 0.0;
  double standard_error = 0.0;
};

/// Tr Cov = Σ_b ‖x_b − x̄‖² / (B − 1), in two passes; standard error sd_b(‖x_b − x̄‖²) √B / (B − 1), by the delta method
/// (the error of x̄ is of second order). Non-finite samples give NaN.
/// @shape x [B, d], B ≥ 2   @throws InvalidArgument on wrong shapes
Variance total_variance(ConstBatchView x);

/// Variances of ⟨u_k, x_b⟩ over b, with the standard errors of total_variance. Directions are used as given.
/// @shape x [B, d], B ≥ 2; directions [k, d]   @throws InvalidArgument on wrong shapes
std::vector<Variance> variance_along(ConstBatchView x, MatrixView<const double> directions);

struct SpreadRatio {
  double value = 0.0;
  double standard_error = 0.0;  ///< delta method, the two variances independent
};

/// (sampled − floor) / (exact − floor). `floor` is a variance that both have for certain, such as d s² at time t:
/// without it errors at small t show. Absent where exact − floor ≤ 0 or is NaN. @throws InvalidArgument if floor < 0
std::optional<SpreadRatio> spread_ratio(const Variance& sampled, const Variance& exact, double floor = 0.0);

}  // namespace fslens
