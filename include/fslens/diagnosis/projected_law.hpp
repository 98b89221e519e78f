// Mixtures of points and Gaussians seen along a direction, as weighted points on the line.
#pragma once

#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/metrics/sliced_wasserstein.hpp"

namespace fslens {

/// Σ_i ω_i N(centre_i, C): components that share a covariance. Atoms have none.
struct GaussianComponents {
  std::vector<double> weights;  ///< ω_i ≥ 0 [n]
  Matrix centres;               ///< [n, d]
  Matrix covariance;            ///< C [d, d]; empty: points
};

struct ProjectedLaw {
  std::vector<WeightedPoints> lines;  ///< one a direction
  double bin_error = 0.0;             ///< W2 to the law itself, about: half a bin, root mean square over directions; 0 for points
};

/// The law of ⟨θ_k, x⟩ for every direction. Points stay points; Gaussians become the masses of 2^14 bins between the outermost centres
/// and 8.5 standard deviations beyond.
/// @throws InvalidArgument if there is no component or the dims differ
/// @cost O(n (d + log n)) a direction for points; O(n d + 2^14 · 32 · 17) at most for Gaussians
ProjectedLaw project(std::span<const GaussianComponents> law, const SlicedProjections& projections);

}  // namespace fslens
