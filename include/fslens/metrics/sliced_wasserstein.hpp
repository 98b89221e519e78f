// Sliced 2-Wasserstein distance between two samples, equally weighted or not.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {

inline constexpr std::size_t kDefaultProjectionCount = 64;

/// Unit directions θ_k, uniform on the sphere; in one dimension the single direction [1].
/// Copies share the directions, and samples can be compared only under the same ones.
class SlicedProjections {
 public:
  /// @throws InvalidArgument if dim or count is 0
  SlicedProjections(std::size_t dim, std::size_t count, const RandomStream& stream);

  std::size_t dim() const { return directions_->cols(); }
  std::size_t count() const { return directions_->rows(); }
  /// @shape [count, dim], rows of norm 1
  const Matrix& directions() const { return *directions_; }
  bool operator==(const SlicedProjections& other) const;

 private:
  std::shared_ptr<const Matrix> directions_;
};

/// A sample projected on every direction and sorted there, once, to be compared with many others.
/// @cost memory count·B doubles
class ProjectedSample {
 public:
  const SlicedProjections& projections() const { return projections_; }
  std::size_t size() const { return sorted_.cols(); }
  /// Ascending values of ⟨θ_k, x_b⟩ over b.
  std::span<const double> sorted(std::size_t direction) const { return sorted_.row(direction); }
  /// False if the sample held a NaN or an Inf: every distance to it is then NaN.
  bool finite() const { return finite_; }

 private:
  friend ProjectedSample project(ConstBatchView x, const SlicedProjections& projections);
  ProjectedSample(SlicedProjections projections, Matrix sorted, bool finite)
      : projections_(std::move(projections)), sorted_(std::move(sorted)), finite_(finite) {}

  SlicedProjections projections_;
  Matrix sorted_;  // [count, B]
  bool finite_;
};

/// @shape x [B, d], B ≥ 1   @cost O(B·count·(d + log B))   @throws InvalidArgument if x is empty or its dim is not the
/// projections'
ProjectedSample project(ConstBatchView x, const SlicedProjections& projections);

struct SlicedWasserstein {
  double value = 0.0;                    ///< mean over directions of the one-dimensional W2²
  double largest = 0.0;                  ///< the largest of them: a lower bound of max-sliced W2²
  std::optional<double> standard_error;  ///< of `value`, from the choice of directions alone; absent with one direction
};

/// SW2² = (1/K) Σ_k ∫₀¹ (F⁻¹_{⟨θ_k,x⟩}(u) − F⁻¹_{⟨θ_k,y⟩}(u))² du, the quantile coupling exact for unequal sizes too.
/// This plug-in form is biased upwards by the sampling of x and y: subtract the mean of the same statistic between
/// exact draws of the same sizes. Non-finite samples give NaN.
/// @cost O((B + B₂)·count) for projected samples   @throws InvalidArgument if the projections differ
/// @source bonneel2015sliced
SlicedWasserstein sliced_wasserstein2_squared(const ProjectedSample& x, const ProjectedSample& y);
SlicedWasserstein sliced_wasserstein2_squared(ConstBatchView x, ConstBatchView y, const SlicedProjections& projections);

/// One-dimensional W2² between two ascending samples of any sizes ≥ 1.
double wasserstein2_squared_sorted(std::span<const double> x, std::span<const double> y);

/// A law on the line that sits on points.
struct WeightedPoints {
  std::vector<double> points;   ///< ascending
  std::vector<double> weights;  ///< > 0, their sum is 1
};

/// Sorts the points, normalises the weights and drops points without any.
/// @throws InvalidArgument if the sizes differ, a point is not finite, a weight is negative or not finite, or their sum is 0
/// @cost O(n log n)
WeightedPoints weighted_points(std::span<const double> points, std::span<const double> weights);

/// W2² = ∫₀¹ (F⁻¹(u) − G⁻¹(u))² du, the quantile coupling. Masses are matched up to the rounding of their sums, 1e-16 n at most.
/// @cost O(n + m)   @throws InvalidArgument if one of them is empty
double wasserstein2_squared(const WeightedPoints& x, const WeightedPoints& y);

/// The law of ⟨θ_k, x_b⟩ under the weights, for every direction. @shape x [B, d], weights [B], result [count]
/// @throws InvalidArgument as weighted_points, or if the dims differ   @cost O(B·count·(d + log B))
std::vector<WeightedPoints> project(ConstBatchView x, std::span<const double> weights, const SlicedProjections& projections);

/// SW2² of two laws by their projections on the same directions, in the same order. @shape [count]
/// @throws InvalidArgument if there is none or their numbers differ
SlicedWasserstein sliced_wasserstein2_squared(std::span<const WeightedPoints> x, std::span<const WeightedPoints> y);

}  // namespace fslens
