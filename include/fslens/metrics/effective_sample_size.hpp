// How many equally weighted points a weighted set is worth.
#pragma once

#include <optional>
#include <span>

namespace fslens {

struct EffectiveSampleSize {
  double value = 0.0;           ///< 1 / Σ ω_i², in [1, N]
  double perplexity = 0.0;      ///< exp(−Σ ω_i log ω_i), in [1, N], ≥ value
  double largest_weight = 0.0;  ///< max ω_i
};

/// From log weights that need not be normalised, of any size: ω_i ∝ exp(log_weights[i]). Absent where no weight is
/// positive (all −∞); NaN where an entry is NaN or +∞.
/// @throws InvalidArgument if log_weights is empty   @source kong1994sequential
std::optional<EffectiveSampleSize> effective_sample_size(std::span<const double> log_weights);

}  // namespace fslens
