// Gaussian measurement noise N(0, Σ_n): scalar, per component or full covariance.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {

/// Gaussian noise in m dimensions. Immutable.
///
/// Scalar and per-component noise costs O(m) in memory and in every call but `covariance`; full noise O(m²).
class GaussianNoise {
 public:
  /// Σ_n = σ² I, σ > 0. @throws InvalidArgument
  static GaussianNoise scalar(std::size_t m, double sigma);
  /// Σ_n = diag(σ_j²), σ_j > 0. @throws InvalidArgument
  static GaussianNoise per_component(std::vector<double> sigma);
  /// Σ_n as given, symmetric positive definite.
  /// @throws InvalidArgument if it is not square, not finite, asymmetric by more than 1e-10 of its largest entry, or if
  /// a Cholesky pivot is not positive beyond rounding (below 4 m ε of its diagonal entry).
  static GaussianNoise full(Matrix covariance);

  /// The noise with covariance κ² Σ_n. @throws InvalidArgument if κ ≤ 0
  GaussianNoise scaled(double kappa) const;

  std::size_t dim() const { return dim_; }
  /// σ if Σ_n = σ² I, else a value < 0.
  double scalar_sigma() const { return scalar_sigma_; }
  /// True for scalar and per-component noise: Σ_n is diagonal by construction.
  bool is_diagonal() const { return covariance_.empty(); }
  /// The standard deviations √(Σ_n)_jj. @shape [m]
  const std::vector<double>& sigma() const { return sigma_; }
  /// Σ_n as a new dense matrix, [m, m]. @cost O(m²) time and memory: not for scalar noise on large images.
  Matrix covariance() const;
  /// log N(r; 0, Σ_n), all factors included. @shape residual [m]
  double log_density(std::span<const double> residual) const;
  /// out_b ← log N(r_b; 0, Σ_n). @shape residual [B, m], out [B]
  void log_density(ConstBatchView residual, std::span<double> out) const;
  /// out ← Σ_n⁻¹ r. @shape [m]; out may be residual itself.
  void apply_precision(std::span<const double> residual, std::span<double> out) const;
  /// out ← a draw of N(0, Σ_n): L z with z = stream.normal(step, particle, ·). @shape [m]
  void sample(const RandomStream& stream, std::uint64_t step, std::uint64_t particle, std::span<double> out) const;

 private:
  GaussianNoise() = default;
  double squared_norm(std::span<const double> residual) const;

  std::size_t dim_ = 0;
  double scalar_sigma_ = -1.0;
  std::vector<double> sigma_;
  std::vector<double> inverse_sigma_;
  Matrix covariance_;            // empty when Σ_n is diagonal
  Matrix cholesky_;              // lower, LLᵀ = Σ_n; empty when Σ_n is diagonal
  double log_normaliser_ = 0.0;  // −½ (m log 2π + log det Σ_n)
};

}  // namespace fslens
