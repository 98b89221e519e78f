// Draws from a categorical distribution by inversion.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace fslens {

/// P(i) ∝ exp(log_weights[i]).
class Categorical {
 public:
  /// @throws nothing: weights are finite or −∞, at least one finite, as those who own them have checked
  explicit Categorical(std::span<const double> log_weights) : sums_(log_weights.size()) {
    double sum = 0.0;
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] = sum += std::exp(log_weights[i]);
  }
  /// The i with Σ_{j<i} P(j) ≤ u < Σ_{j≤i} P(j), for a uniform u in (0, 1). @cost log N
  std::size_t operator()(double u) const {
    const auto found = std::upper_bound(sums_.begin(), sums_.end(), u * sums_.back());
    return std::min(static_cast<std::size_t>(found - sums_.begin()), sums_.size() - 1);
  }

 private:
  std::vector<double> sums_;
};

}  // namespace fslens
