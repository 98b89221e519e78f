// Nonlinear operators that act on every component by itself: square, absolute value, clipping.
//
// A NaN component gives a NaN and a NaN derivative, never the value of a branch that it fell through to.
#pragma once

#include "fslens/operators/forward_operator.hpp"

namespace fslens {

/// A(x)_j = x_j².
class SquareOperator final : public ForwardOperator {
 public:
  /// @throws InvalidArgument if dim is 0.
  explicit SquareOperator(std::size_t dim);

  std::string name() const override { return "square"; }
  std::size_t input_dim() const override { return dim_; }
  std::size_t output_dim() const override { return dim_; }
  bool is_affine() const override { return false; }
  void apply(ConstBatchView x, BatchView y) const override;
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override;

 private:
  std::size_t dim_;
};

/// A(x)_j = |x_j|, with the subgradient 0 at x_j = 0.
class AbsOperator final : public ForwardOperator {
 public:
  /// @throws InvalidArgument if dim is 0.
  explicit AbsOperator(std::size_t dim);

  std::string name() const override { return "abs"; }
  std::size_t input_dim() const override { return dim_; }
  std::size_t output_dim() const override { return dim_; }
  bool is_affine() const override { return false; }
  void apply(ConstBatchView x, BatchView y) const override;
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override;

 private:
  std::size_t dim_;
};

/// A(x)_j = min(max(x_j, lo), hi); derivative 1 on the closed interval [lo, hi], 0 outside.
class ClipOperator final : public ForwardOperator {
 public:
  /// @throws InvalidArgument if dim is 0, or not lo < hi, both finite.
  ClipOperator(std::size_t dim, double lo, double hi);

  std::string name() const override { return "clip"; }
  std::size_t input_dim() const override { return dim_; }
  std::size_t output_dim() const override { return dim_; }
  bool is_affine() const override { return false; }
  void apply(ConstBatchView x, BatchView y) const override;
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override;

 private:
  std::size_t dim_;
  double lo_;
  double hi_;
};

}  // namespace fslens
