// The direction of a TMPD step: v = Aᵀ (A C Aᵀ + σ² I)⁻¹ (y − A m).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/measurement/likelihood.hpp"
#include "workload.hpp"

namespace fslens::benchmarks {

/// Block means so coarse that there are at most 16 measurements of an image: up to there a guided step is one call of the denoiser.
class TmpdDirection {
 public:
  explicit TmpdDirection(const Workload& workload);

  const Matrix& projection() const { return projection_; }  ///< A [m, d]
  std::size_t num_measurements() const { return projection_.rows(); }
  /// v of one particle. @shape mean, v [d], projected (A C Aᵀ) [m·m]
  void operator()(std::span<const double> mean, std::span<const double> projected, std::span<double> v) const;

 private:
  Matrix projection_;
  std::vector<double> y_;
};

/// For the rival: φ_i = (p, upper triangle of p pᵀ), p = A (x_i − x̄). @shape result [N, m + m (m + 1)/2]
std::vector<float> projected_moments(const AtomTable& atoms, const Matrix& projection);
/// A C Aᵀ from the means of those. @shape moments [m + m (m + 1)/2], projected [m·m]
void projected_covariance(std::span<const float> moments, std::size_t m, std::span<double> projected);

}  // namespace fslens::benchmarks
