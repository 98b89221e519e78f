// One soft assignment for a smoothed mixture at one time, and the way from atoms back to components.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "fslens/prior/smoothed_mixture.hpp"
#include "shared_covariance.hpp"

namespace fslens {

/// Logits of the components, log w_i − ½ ‖y − a M z_i‖²_{G⁻¹} with z_i = x_i − x̄ and y = x − b − a (M x̄ + c), are those of a request
///   log w_i(t) − ‖a x̄ + x″ − a x_i‖²/2σ²,   x″ = σ² Mᵀ G⁻¹ y,   log w_i(t) = log w_i + ½ a² (‖z_i‖²/σ² − ‖M z_i‖²_{G⁻¹}),
/// but for a number that depends on x alone, and for any σ².
struct SmoothedMixture::Assignment {
  const SmoothedMixture& mixture;
  double a, s2;
  Matrix centred;  ///< x − b [B, d]
  Matrix query;    ///< a x̄ + x″ [B, d]
  std::shared_ptr<const std::vector<double>> weights;
  std::vector<double> precision;  ///< 1/g along each eigenvector of Λ, the rest's last; G = a² Λ + s² I
  SoftAssignmentRequest request;  ///< of `query` and `weights`

  /// What is added to the request's log-normaliser to give log p_t(x). [B]
  std::vector<double> log_offset() const;
  /// m of particles from their Σ w_i x_i. @shape rows, atom_means [n, ...]
  Matrix means(std::span<const std::size_t> rows, ConstBatchView atom_means) const;
  void apply_map(Matrix& rows) const;             ///< each row r ← T r, T = s² G⁻¹ M
  void apply_map_transposed(Matrix& rows) const;  ///< each row r ← Tᵀ r
  void apply_within(Matrix& rows) const;          ///< each row r ← s² Λ G⁻¹ r, the covariance of a component given x_t
  double within_trace() const;
  /// ‖T z_i‖² of the atoms, as a feature.
  AtomFeatures spread_feature() const;
};

/// All rows of a batch.
std::vector<std::size_t> all_rows(std::size_t count);

}  // namespace fslens
