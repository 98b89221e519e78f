// The textbook rival: GEMM, softmax, GEMM in single precision on OpenBLAS, as a competent user would write it.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace fslens::benchmarks {

/// Expands ‖x − a x_i‖² so that the logits are one product, keeps the whole [B, N] array, and parallelises the softmax with OpenMP.
/// Everything is float32. Arrays are row-major: states, means and directions [B, d].
class Textbook {
 public:
  /// @shape atoms [count, dim], log_weights [count] each: prior, posterior
  Textbook(std::vector<float> atoms, std::size_t count, std::size_t dim, std::array<std::vector<float>, 2> log_weights);

  std::size_t count() const { return count_; }
  std::size_t dim() const { return dim_; }
  const std::vector<float>& atoms() const { return atoms_; }

  /// Prior and posterior mean: the logits once, two means.
  void full_pass(std::span<const float> x, double a, double s2, std::span<float> prior_mean, std::span<float> posterior_mean);
  /// The prior's mean.
  void denoise(std::span<const float> x, double a, double s2, std::span<float> mean);
  /// product ← C v under the prior, with the mean given.
  void covariance_product(std::span<const float> x, double a, double s2, std::span<const float> mean, std::span<const float> v,
                          std::span<float> product);

  /// Makes v from the means and the means of the features.
  using Direction = std::function<void(std::span<const float> means, std::span<const float> feature_means, std::span<float> directions)>;
  /// A guided step: mean, means of the features [N, q], then C v with the v that `direction` makes.
  void denoise_and_multiply(std::span<const float> x, double a, double s2, std::span<const float> features, const Direction& direction,
                            std::span<float> mean, std::span<float> product);

 private:
  std::size_t particles_of(std::span<const float> x) const { return x.size() / dim_; }
  /// first_ ← logits less the log-weights.
  void fill_logits(std::span<const float> x, double a, double s2);
  /// weights ← softmax(first_ + log-weights − a²‖x_i‖²/2s²), row by row. `weights` may be first_.
  void softmax(std::size_t particles, std::span<const float> log_weights, double a, double s2, std::vector<float>& weights);
  void weighted_sum(std::size_t particles, const std::vector<float>& weights, std::span<float> sums);
  void multiply_by_covariance(std::size_t particles, std::span<const float> mean, std::span<const float> v, std::span<float> product);

  std::vector<float> atoms_;
  std::size_t count_;
  std::size_t dim_;
  std::array<std::vector<float>, 2> log_weights_;
  std::vector<float> squared_norms_;
  std::vector<float> first_;   // [B, N]
  std::vector<float> second_;  // [B, N]
};

}  // namespace fslens::benchmarks
