// Operators one after the other.
#pragma once

#include <vector>

#include "fslens/operators/forward_operator.hpp"

namespace fslens {

/// A(x) = A_n(… A_2(A_1(x))): the list is applied first to last. Affine if and only if every operator says it is.
class ComposeOperator final : public ForwardOperator {
 public:
  /// @throws InvalidArgument if the list is empty, holds a null pointer, or an operator's input is not of the size of
  /// its predecessor's output.
  explicit ComposeOperator(std::vector<ForwardOperatorPtr> operators);

  std::string name() const override { return "compose"; }
  std::size_t input_dim() const override { return operators_.front()->input_dim(); }
  std::size_t output_dim() const override { return operators_.back()->output_dim(); }
  bool is_affine() const override;
  void apply(ConstBatchView x, BatchView y) const override;
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override;

  const std::vector<ForwardOperatorPtr>& operators() const { return operators_; }

 private:
  std::vector<ForwardOperatorPtr> operators_;
  std::size_t num_states_needed_ = 0;  // vjp needs the inputs of the operators before this one: the rest are affine
};

}  // namespace fslens
