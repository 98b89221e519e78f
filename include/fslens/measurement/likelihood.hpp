// The likelihood p(y | x_0) of a measurement: operator + noise + y.
#pragma once

#include <cstddef>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/measurement/noise.hpp"
#include "fslens/operators/forward_operator.hpp"

namespace fslens {

/// p(y | x) = N(y; A(x), Σ_n).
class Likelihood {
 public:
  /// @throws InvalidArgument if the operator is null, or its output, the noise and y disagree in size, or y is not
  /// finite.
  Likelihood(ForwardOperatorPtr forward, GaussianNoise noise, std::vector<double> y);

  const ForwardOperator& forward() const { return *forward_; }
  const ForwardOperatorPtr& forward_ptr() const { return forward_; }
  const GaussianNoise& noise() const { return noise_; }
  const std::vector<double>& y() const { return y_; }
  std::size_t input_dim() const { return forward_->input_dim(); }
  std::size_t output_dim() const { return forward_->output_dim(); }

  /// residual ← y − A(x). @shape x [B, d], residual [B, m]
  void residual(ConstBatchView x, BatchView residual) const;
  /// ℓ_b = log p(y | x_b), normalised in y (m factors). @shape [B]
  ///
  /// A row with a NaN or Inf in it is no state: its ℓ_b is −∞ if A takes it infinitely far from y, else NaN, also where
  /// A does not look at that component. Other rows are not touched by it, and nothing is thrown.
  /// @throws InvalidArgument if x has not d columns.
  /// @cost O(1) blocks of about 1 MiB a thread, besides what the operator needs for a block.
  std::vector<double> log_likelihood(ConstBatchView x) const;

 private:
  ForwardOperatorPtr forward_;
  GaussianNoise noise_;
  std::vector<double> y_;
};

}  // namespace fslens
