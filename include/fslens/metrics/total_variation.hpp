// Total variation between discrete laws, between a sample and a binned law, and between densities on a grid.
#pragma once

#include <span>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// ½ Σ_k |p_k − q_k|. NaN if an entry is.
/// @throws InvalidArgument if the sizes differ, an entry is negative or a sum is off 1 by more than 1e-6
double total_variation(std::span<const double> p, std::span<const double> q);

struct HistogramTotalVariation {
  double value = 0.0;           ///< over the bins and one more bin for all that lies outside of them
  double standard_error = 0.0;  ///< sd_b(½ sign(p̂_k(b) − p_k(b))) / √B, k(b) the bin of x_b; not valid where p̂ ≈ p
  double outside = 0.0;         ///< fraction of the sample outside of the bins
};

/// Total variation between a sample and a law given by its bin probabilities. Bins are [e_k, e_{k+1}), the last one
/// closed; what `bin_probabilities` lack of 1 is the law's mass outside. Even a perfect sample has an expected value of
/// about Σ_k √(p_k(1 − p_k) / 2πB) > 0: compare with the same statistic of exact draws. Non-finite samples give NaN.
/// @shape x [B, 1], B ≥ 2; bin_probabilities [K]; edges [K + 1] ascending
/// @throws InvalidArgument on wrong shapes, edges that do not ascend, a negative probability or a sum above 1 + 1e-6
HistogramTotalVariation histogram_total_variation(ConstBatchView x, std::span<const double> bin_probabilities,
                                                  std::span<const double> edges);
/// The same of a sample that is in ascending order and finite: its bins are counted by their edges.
HistogramTotalVariation sorted_histogram_total_variation(std::span<const double> ascending,
                                                         std::span<const double> bin_probabilities,
                                                         std::span<const double> edges);
/// The same in two dimensions. @shape x [B, 2]; bin_probabilities [K0·K1], row-major; edges0 [K0 + 1], edges1 [K1 + 1]
HistogramTotalVariation histogram_total_variation(ConstBatchView x, std::span<const double> bin_probabilities,
                                                  std::span<const double> edges0, std::span<const double> edges1);

struct DensityTotalVariation {
  double value = 0.0;   ///< ½ ∫ |p − q| over the grid
  double mass_p = 0.0;  ///< ∫ p over the grid: what it lacks of 1 is outside of the grid, or quadrature error
  double mass_q = 0.0;
};

/// ½ ∫ |p − q| by the trapezoid rule, error O(h²). @shape p, q, points [n], n ≥ 2, points ascending
/// @throws InvalidArgument on wrong shapes, points that do not ascend or a negative density
DensityTotalVariation density_total_variation(std::span<const double> p, std::span<const double> q,
                                              std::span<const double> points);
/// The same in two dimensions. @shape p, q [n0, n1] at (points0[i], points1[j])
DensityTotalVariation density_total_variation(MatrixView<const double> p, MatrixView<const double> q,
                                              std::span<const double> points0, std::span<const double> points1);

}  // namespace fslens
