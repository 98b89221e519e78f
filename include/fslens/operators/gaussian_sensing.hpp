// Compressed sensing with a random Gaussian matrix.
#pragma once

#include <cstdint>

#include "fslens/operators/matrix.hpp"

namespace fslens {

/// A(x) = A x, the entries of A [m, d] independent N(0, 1/m), so that E‖A x‖² = ‖x‖².
///
/// A is a pure function of (m, d, seed).
class GaussianSensingOperator final : public ForwardOperator {
 public:
  /// @throws InvalidArgument if m or d is 0.
  GaussianSensingOperator(std::size_t m, std::size_t d, std::uint64_t seed);

  std::string name() const override { return "gaussian-cs"; }
  std::size_t input_dim() const override { return matrix_.input_dim(); }
  std::size_t output_dim() const override { return matrix_.output_dim(); }
  bool is_affine() const override { return true; }
  void apply(ConstBatchView x, BatchView y) const override;
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override;
  Matrix linear_part() const override { return matrix_.linear_part(); }

 private:
  MatrixOperator matrix_;
};

}  // namespace fslens
