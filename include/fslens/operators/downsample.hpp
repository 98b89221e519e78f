// Downsampling of images by block means (super-resolution).
#pragma once

#include <cstddef>
#include <vector>

#include "fslens/operators/forward_operator.hpp"
#include "fslens/operators/image_shape.hpp"

namespace fslens {

/// y[i, j] = mean of the factor × factor block x[i·factor …, j·factor …], channel by channel.
class DownsampleOperator final : public ForwardOperator {
 public:
  /// @throws InvalidArgument if factor is 0 or does not divide both height and width.
  DownsampleOperator(const ImageShape& shape, std::size_t factor);

  std::string name() const override { return "downsample"; }
  std::size_t input_dim() const override { return shape_.size(); }
  std::size_t output_dim() const override { return output_shape().size(); }
  bool is_affine() const override { return true; }
  void apply(ConstBatchView x, BatchView y) const override;
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override;

  ImageShape output_shape() const { return {shape_.height / factor_, shape_.width / factor_, shape_.channels}; }

 private:
  ImageShape shape_;
  std::size_t factor_;
  std::vector<std::size_t> block_of_;  // of every number of the image
  std::vector<std::size_t> members_;   // numbers of the image, block by block, ascending
};

}  // namespace fslens
