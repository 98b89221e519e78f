#include "fslens/operators/downsample.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "rows_per_task.hpp"

namespace fslens {
namespace {

/// The block that every number of the image belongs to.
std::vector<std::size_t> blocks_of(const ImageShape& in, std::size_t factor) {
  const std::size_t out_width = in.width / factor;
  std::vector<std::size_t> blocks(in.size());
  for (std::size_t place = 0; place < blocks.size(); ++place) {
    const std::size_t c = place % in.channels, j = place / in.channels % in.width, i = place / in.channels / in.width;
    blocks[place] = (i / factor * out_width + j / factor) * in.channels + c;
  }
  return blocks;
}

}  // namespace

DownsampleOperator::DownsampleOperator(const ImageShape& shape, std::size_t factor) : shape_(shape), factor_(factor) {
  require_image_shape("downsample: shape", shape);
  require(factor > 0 && shape.height % factor == 0 && shape.width % factor == 0, "downsample: factor",
          fmt::format("{}", factor),
          fmt::format("must be at least 1 and divide both the height {} and the width {}", shape.height, shape.width));
  block_of_ = blocks_of(shape, factor);
  members_.resize(block_of_.size());
  std::iota(members_.begin(), members_.end(), std::size_t{0});
  std::ranges::stable_sort(members_, {}, [&](std::size_t place) { return block_of_[place]; });
}

void DownsampleOperator::apply(ConstBatchView x, BatchView y) const {
  require_apply_shapes(x, y);
  const std::size_t pixels = factor_ * factor_;
  parallel_for_ranges(x.rows(), rows_per_task(x.cols()), [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) {
      const double* in = x.row(b).data();
      const std::size_t* member = members_.data();
      for (double& value : y.row(b)) {
        double sum = 0.0;
        for (std::size_t k = 0; k < pixels; ++k) sum += in[*member++];
        value = sum / static_cast<double>(pixels);
      }
    }
  });
}

void DownsampleOperator::vjp(ConstBatchView x, ConstBatchView v, BatchView out) const {
  require_vjp_shapes(x, v, out);
  const double pixels = static_cast<double>(factor_ * factor_);
  parallel_for_ranges(v.rows(), rows_per_task(out.cols()), [&](std::size_t first, std::size_t last) {
    std::vector<double> shares(v.cols());
    for (std::size_t b = first; b < last; ++b) {
      const auto spread = out.row(b);
      std::ranges::transform(v.row(b), shares.begin(), [&](double value) { return value / pixels; });
      for (std::size_t k = 0; k < spread.size(); ++k) spread[k] = shares[block_of_[k]];
    }
  });
}

}  // namespace fslens
