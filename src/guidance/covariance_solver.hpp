// Gaussian solves in measurement space, shared by the methods that replace Σ_n by a larger covariance.
#pragma once

#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// The Cholesky factor S = L Lᵀ of a symmetric positive definite matrix. Where S is not positive definite in floating
/// point, or holds a NaN (a particle that has diverged), every result is NaN: a divergence shows, it does not throw.
class CovarianceSolver {
 public:
  /// Only the lower triangle of `covariance` is read. @shape [m, m]
  explicit CovarianceSolver(Matrix covariance);

  /// r ← S⁻¹ r. @shape [m]
  void solve(std::span<double> residual) const;
  /// Every row of `residuals` ← S⁻¹ row, in parallel. @shape [B, m]
  void solve_rows(Matrix& residuals) const;
  /// log N(r; 0, S). @shape [m]
  double log_density(std::span<const double> residual) const;
  /// log N(row; 0, S) for every row, in parallel. @shape [B, m] → [B]
  std::vector<double> log_densities(const Matrix& residuals) const;

 private:
  Matrix lower_;
  double log_normaliser_ = 0.0;  // −½ (m log 2π + log det S)
};

}  // namespace fslens
