// Evidence of many measurements at once, under several scales of their noise.
#pragma once

#include <Eigen/Dense>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/measurement/likelihood.hpp"
#include "fslens/prior/empirical_prior.hpp"

namespace fslens {

/// log Σ_i w_i N(y_r; p_i, S + κ² Σ_n) for rows y_r, scales κ and components that share the spread S = A H Aᵀ (0 for atoms): summed block by
/// block, in coordinates where Σ_n is the identity and S diagonal, so that every κ has the same distances but for weights.
class ScaledEvidence {
 public:
  /// `spread_root`: B with S = B Bᵀ, or empty. `left_out[r]`: the component that y_r is judged without; kNone for none.
  /// @shape y [R, m], spread_root [m, d]
  ScaledEvidence(ConstBatchView y, std::span<const double> scales, const GaussianNoise& noise, const Matrix& spread_root,
                 std::span<const std::size_t> left_out);

  /// Components first, first + 1, … with their log-weights and predictions p_i. @shape predictions [n, m], overwritten
  void add(std::size_t first, std::span<const double> log_weights, Matrix& predictions);
  /// log-evidences [R, K]
  Matrix result() const;

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

 private:
  void to_coordinates(Matrix& rows) const;

  std::vector<double> scales_;
  std::vector<std::size_t> left_out_;
  std::vector<double> sigma_;       // Σ_n = diag(σ²), or empty
  Eigen::LLT<Eigen::MatrixXd> noise_;  // otherwise
  Eigen::MatrixXd rotation_;        // Uᵀ, L⁻¹ S L⁻ᵀ = U diag(s²) Uᵀ; empty where S = 0
  Eigen::ArrayXd spread_;           // s² [m]
  double log_det_ = 0.0;            // log det L
  Matrix y_;
  Matrix best_, sum_, lost_weight_;
};

/// The evidences of y_r under a prior of atoms, or of components about atoms that share the spread B Bᵀ. @shape result [R, K]
Matrix evidences_of_atoms(const EmpiricalPrior& prior, const Likelihood& likelihood, const Matrix& spread_root, ConstBatchView y,
                          std::span<const double> scales, std::span<const std::size_t> left_out);

}  // namespace fslens
