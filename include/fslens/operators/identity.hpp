// The identity operator: every component of x is measured (denoising).
#pragma once

#include "fslens/operators/forward_operator.hpp"

namespace fslens {

/// A(x) = x on R^d.
class IdentityOperator final : public ForwardOperator {
 public:
  /// @throws InvalidArgument if dim is 0.
  explicit IdentityOperator(std::size_t dim);

  std::string name() const override { return "identity"; }
  std::size_t input_dim() const override { return dim_; }
  std::size_t output_dim() const override { return dim_; }
  bool is_affine() const override { return true; }
  void apply(ConstBatchView x, BatchView y) const override;
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override;

 private:
  std::size_t dim_;
};

}  // namespace fslens
