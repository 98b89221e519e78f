// A covariance by its eigenvectors: those in which it differs from a multiple of the identity.
#pragma once

#include <Eigen/Core>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "gaussian_algebra.hpp"

namespace fslens {

/// Q diag(λ_k) Qᵀ + λ_rest (I − Q Qᵀ), with K ≤ d orthonormal columns in Q.
class SharedCovariance {
 public:
  SharedCovariance(std::size_t dim, double rest) : vectors_(0, static_cast<Eigen::Index>(dim)), rest_(rest) {}
  /// @shape vectors [K, d], a row each
  SharedCovariance(RowMajor vectors, std::vector<double> values, double rest)
      : vectors_(std::move(vectors)), values_(std::move(values)), rest_(rest) {}

  std::size_t dim() const { return static_cast<std::size_t>(vectors_.cols()); }
  std::size_t num_vectors() const { return values_.size(); }
  bool is_complete() const { return num_vectors() == dim(); }  ///< there is no rest
  const RowMajor& vectors() const { return vectors_; }
  const std::vector<double>& values() const { return values_; }
  double rest() const { return rest_; }

  /// f(λ) of each eigenvalue, the rest's last.
  template <class F>
  std::vector<double> factors(const F& f) const {
    std::vector<double> out;
    for (const double value : values_) out.push_back(f(value));
    out.push_back(f(rest_));
    return out;
  }
  /// Each row r ← Q diag(f_k) Qᵀ r + f_rest (I − Q Qᵀ) r. @shape factors [K + 1], rows [B, d]
  void scale(std::span<const double> factors, Matrix& rows) const {
    Eigen::Map<RowMajor> x(rows.data(), static_cast<Eigen::Index>(rows.rows()), static_cast<Eigen::Index>(rows.cols()));
    const double rest = is_complete() ? 0.0 : factors.back();
    if (num_vectors() == 0) {
      x *= rest;
      return;
    }
    RowMajor along = x * vectors_.transpose();
    for (Eigen::Index k = 0; k < along.cols(); ++k) along.col(k) *= factors[static_cast<std::size_t>(k)] - rest;
    x *= rest;
    x.noalias() += along * vectors_;
  }
  /// Σ f over all d directions.
  double sum(std::span<const double> factors) const {
    double total = static_cast<double>(dim() - num_vectors()) * (is_complete() ? 0.0 : factors.back());
    for (std::size_t k = 0; k < num_vectors(); ++k) total += factors[k];
    return total;
  }

 private:
  RowMajor vectors_;
  std::vector<double> values_;
  double rest_;
};

}  // namespace fslens
