// From errors of the logits and of sums to proven bounds on the moments.
//
// Exact responsibilities p_i, computed ones p̂_i ∝ p_i (1 + ε_i) + Δ_i, where Δ_i stands for what was rounded away or left out. With m
// the exact mean, V = Tr C = Σ p_i ‖x_i − m‖² and ρ ≥ max_i ‖x_i − m‖,
//
//   m̂ − m = Σ (p̂_i − p_i)(x_i − m),   so   ‖m̂ − m‖ ≤ √(Σ p_i ε_i²) √V + ρ Σ|Δ_i|   (Cauchy–Schwarz),
//
// and likewise for the others. Where one atom holds the weight, V is tiny and so is the error: that is why small t stays exact.
//
// What a query loses to its digits is a tilt: logits off by ⟨g, x_i − x̄⟩, g = (a/s²) δq, the same g for all atoms. A constant does not
// matter to p̂, so ε_i = exp⟨g, x_i − m⟩ − 1 will do, and with η = ‖g‖ ρ
//
//   |ε_i| ≤ |⟨g, x_i − m⟩| e^η,   √(Σ p_i ε_i²) ≤ e^η √(gᵀ C g) ≤ e^η ‖g‖ √V,   so   ‖m̂ − m‖ ≤ e^η ‖g‖ V  instead of  ‖g‖ ρ √V.
//
// The log-normaliser is off by ⟨g, m − x̄⟩, which is computed and taken away, and by log Σ p_i exp⟨g, x_i − m⟩, between 0 (Jensen) and
// Σ p_i (e^z − 1 − z) ≤ e^η gᵀ C g / 2 with z = ⟨g, x_i − m⟩, Σ p_i z_i = 0.
#pragma once

#include <cstddef>
#include <limits>

#include "fslens/kernels/soft_assignment.hpp"

namespace fslens::kernels {

inline constexpr double kUnit = 0.5 * std::numeric_limits<double>::epsilon();        ///< 2⁻⁵³
inline constexpr double kSingleUnit = 0.5 * std::numeric_limits<float>::epsilon();   ///< 2⁻²⁴

/// Errors of the responsibilities of one particle under one measure.
struct WeightError {
  double root_mean_square = 0.0;  ///< ≥ √(Σ p_i ε_i²)
  double largest = 0.0;           ///< ≥ max |ε_i| over the atoms that count
  double lost = 0.0;              ///< ≥ Σ |Δ_i|
  double tilt = 0.0;              ///< ≥ ‖g‖, where logits are also off by ⟨g, x_i − x̄⟩
};

/// What the moments were made of.
struct MomentSize {
  double variance = 0.0;          ///< computed Tr C, or anything above it
  double variance_rounding = 0.0;
  double reach = 0.0;             ///< ≥ max_i ‖x_i − m‖
  double mean_rounding = 0.0;     ///< of the sums behind m, as a vector
  double normaliser_rounding = 0.0;
  double feature_size = 0.0;      ///< ≥ max_i max_j |φ_ij|
  double feature_rounding = 0.0;
};

struct MomentError {
  double log_normaliser = 0.0;
  double mean = 0.0;
  double variance = 0.0;
  double feature = 0.0;
  double product = 0.0;           ///< of C v, for ‖v‖ = 1, from the weights and the mean
  double true_variance = 0.0;     ///< ≥ V
};

/// The tilt ⟨g, m − x̄⟩ must have been taken from the log-normaliser.
MomentError moment_error(const WeightError& weights, const MomentSize& size);

/// s ‖δscore‖/√d = a ‖δm‖/(s √d): what a tolerance is about.
double relative_score_error(const SoftAssignmentRequest& request, double mean_error);

/// Deviations √V of x_0 given x_t, in units of s√d/a, are taken to stay below this where a choice must be made before they are known.
inline constexpr double kUsualDeviation = 0.4;

/// Does the request ask for anything that sums over the coordinates of the atoms?
inline bool wants_moments(const SoftAssignmentRequest& request) {
  return request.want_mean || request.want_variance || !request.direction.empty() || static_cast<bool>(request.direction_of);
}

/// Does it ask for a second sweep, with the weights of the first?
inline bool asks_second_sweep(const SoftAssignmentRequest& request) {
  return !request.direction.empty() || static_cast<bool>(request.direction_of) || request.guided != nullptr;
}

/// Is a mean what its errors are held against?
inline bool judges_mean(const SoftAssignmentRequest& request) { return wants_moments(request) || request.guided != nullptr; }

/// What is held against the tolerance: the error of the mean, or, where no mean is asked for, what the weights' errors would do to one.
double judged_error(const SoftAssignmentRequest& request, const WeightError& weights, const MomentError& error);

/// Writes the bounds of one particle and measure.
void write_errors(const MomentError& error, std::size_t particle, SoftAssignmentMoments& out);

/// How many rounding errors a sum of n squared differences in eight interleaved sums can pile up: two of the difference (squared),
/// one of the square, those of a sum, three of the sum of sums.
inline double interleaved_roundings(std::size_t n) { return static_cast<double>(n) / 8.0 + 6.0; }

/// A bound that came out as 0 · ∞ or ∞ − ∞ says nothing: ∞.
inline double stated(double bound) { return bound == bound ? bound : std::numeric_limits<double>::infinity(); }

/// max_i ‖x_i − x̄‖ and the like of a request.
struct RequestSize {
  double radius = 0.0;         ///< R = max ‖x_i − x̄‖
  double center_norm = 0.0;    ///< ‖x̄‖
  double largest_value = 0.0;  ///< max |x_ik|
};
RequestSize request_size(const SoftAssignmentRequest& request);

/// Error of a logit that rounding q = x − a x̄ and the offsets log w_i − a²‖x_i − x̄‖²/2s² in float64 brings, given |best logit|
/// (of a particle) and ‖q‖. Log-weights enter by the logits that count: |log w_i| ≤ |best| + cut + the other two terms.
///
/// Affine in |best logit|, with this slope.
inline constexpr double kOffsetRoundingPerLogit = 3.0 * kUnit;
double offset_rounding(const SoftAssignmentRequest& request, const RequestSize& size, double query_norm, double best_logit, double cut);

}  // namespace fslens::kernels
