// Forward operators A: R^d → R^m of an inverse problem y = A(x) + noise.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// Thin singular value decomposition A = U S Vᵀ of the linear part, singular values decreasing.
struct Svd {
  Matrix u;                    ///< [m, r]
  std::vector<double> values;  ///< [r], r = min(m, d)
  Matrix v;                    ///< [d, r]
};

/// A forward operator. Batched, const, and safe to call from several threads at once.
///
/// Rows are independent: a NaN or Inf in row b of the input reaches row b of the output only. Input and output views
/// must not overlap. Only the `cols()` entries of a row may be touched, since rows can be further apart (`stride()`).
class ForwardOperator {
 public:
  virtual ~ForwardOperator() = default;
  virtual std::string name() const = 0;        ///< e.g. "matrix"
  virtual std::size_t input_dim() const = 0;   ///< d
  virtual std::size_t output_dim() const = 0;  ///< m
  /// True if A(x) = A x + b. Then `linear_part` and `bias` describe it and vjp does not depend on x.
  virtual bool is_affine() const = 0;
  /// y ← A(x). @shape x [B, d], y [B, m]
  virtual void apply(ConstBatchView x, BatchView y) const = 0;
  /// out ← (∂A/∂x at x)ᵀ v, row by row. @shape x [B, d], v [B, m], out [B, d]
  virtual void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const = 0;

  /// The linear part of an affine operator as a dense [m, d] matrix (by applying it to the identity unless overridden).
  /// @throws InvalidArgument if not affine.
  virtual Matrix linear_part() const;
  /// b = A(0) of an affine operator, [m]. @throws InvalidArgument if not affine.
  std::vector<double> bias() const;
  /// SVD of the linear part. @throws InvalidArgument if not affine or the linear part is not finite.
  /// @cost O(m d min(m, d)) time, and the dense linear part in memory.
  Svd svd() const;

 protected:
  /// For the first line of an implementation of `apply` and of `vjp`. @throws InvalidArgument naming the wrong
  /// argument.
  void require_apply_shapes(ConstBatchView x, ConstBatchView y) const;
  void require_vjp_shapes(ConstBatchView x, ConstBatchView v, ConstBatchView out) const;
};

using ForwardOperatorPtr = std::shared_ptr<const ForwardOperator>;

}  // namespace fslens
