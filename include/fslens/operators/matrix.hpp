// A dense affine operator given by its matrix.
#pragma once

#include <vector>

#include "fslens/operators/forward_operator.hpp"

namespace fslens {

/// A(x) = A x + b with a dense A [m, d].
class MatrixOperator final : public ForwardOperator {
 public:
  /// An empty `bias` is b = 0.
  /// @throws InvalidArgument if the matrix is empty, bias is neither empty nor [m], or an entry is not finite.
  explicit MatrixOperator(Matrix matrix, std::vector<double> bias = {});

  std::string name() const override { return "matrix"; }
  std::size_t input_dim() const override { return matrix_.cols(); }
  std::size_t output_dim() const override { return matrix_.rows(); }
  bool is_affine() const override { return true; }
  void apply(ConstBatchView x, BatchView y) const override;
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override;
  Matrix linear_part() const override { return matrix_; }

 private:
  Matrix matrix_;
  std::vector<double> bias_;  // empty: 0
};

}  // namespace fslens
