// A mask: some components of x are measured, the others are not (inpainting).
#pragma once

#include <span>
#include <vector>

#include "fslens/operators/forward_operator.hpp"
#include "fslens/operators/image_shape.hpp"

namespace fslens {

/// A(x)_i = x_{kept(i)}: keeps the listed components, in the order of the list.
class MaskOperator final : public ForwardOperator {
 public:
  /// @throws InvalidArgument if `kept` is empty, repeats an index or has one that is not below dim.
  MaskOperator(std::size_t dim, std::vector<std::size_t> kept);
  /// Keeps the pixels where the mask is 1, in row-major order. A mask of height·width entries holds for every channel;
  /// one of height·width·channels speaks for each value of its own.
  /// @throws InvalidArgument if the mask fits neither size, an entry is neither 0 nor 1, or all are 0.
  static MaskOperator from_image(const ImageShape& shape, std::span<const double> mask);

  std::string name() const override { return "mask"; }
  std::size_t input_dim() const override { return dim_; }
  std::size_t output_dim() const override { return kept_.size(); }
  bool is_affine() const override { return true; }
  void apply(ConstBatchView x, BatchView y) const override;
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override;

  const std::vector<std::size_t>& kept() const { return kept_; }

 private:
  std::size_t dim_;
  std::vector<std::size_t> kept_;
};

}  // namespace fslens
