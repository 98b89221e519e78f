// How much of a sample belongs to each mode.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens {

struct ModeWeights {
  std::vector<double> weights;          ///< W_k
  std::vector<double> standard_errors;  ///< sd_b(R_bk) / √B
};

/// W_k = mean_b R_bk, R_bk the responsibility of mode k for particle b. A mode with a non-finite responsibility has
/// NaN.
/// @shape responsibilities [B, K], B ≥ 2   @throws InvalidArgument on wrong shapes
ModeWeights mode_weights(MatrixView<const double> responsibilities);
/// The same from a hard assignment: R_bk = 1 for k = assignments[b], else 0.
/// @throws InvalidArgument if there are fewer than 2 particles or an assignment is ≥ num_modes
ModeWeights mode_weights(std::span<const std::size_t> assignments, std::size_t num_modes);

/// Particles assigned to each mode. @throws InvalidArgument if an assignment is ≥ num_modes
std::vector<std::size_t> mode_counts(std::span<const std::size_t> assignments, std::size_t num_modes);

struct ModeWeightsDistance {
  double value = 0.0;  ///< ½ Σ_k |W_k − Ω_k|: biased upwards by sampling where W ≈ Ω, compare with exact draws
  /// sd_b(½ Σ_k sign(W_k − Ω_k) R_bk) / √B; not valid where some W_k − Ω_k is within its own error
  double standard_error = 0.0;
};

/// Total variation between the mode weights of a sample and the target weights Ω. NaN if a responsibility is not
/// finite.
/// @shape responsibilities [B, K], target [K]
/// @throws InvalidArgument on wrong shapes, or a target with a negative weight or a sum off 1 by more than 1e-6
ModeWeightsDistance mode_weights_total_variation(MatrixView<const double> responsibilities,
                                                 std::span<const double> target);
ModeWeightsDistance mode_weights_total_variation(std::span<const std::size_t> assignments,
                                                 std::span<const double> target);

}  // namespace fslens
