#include "fslens/operators/downsample.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "rows_per_task.hpp"

namespace fslens {
namespace {

/// Calls body(input place, output place) for every number of the image in order, with the block that it belongs to.
template <class Body>
void for_each_number(const ImageShape& in, std::size_t factor, const Body& body) {
  const std::size_t out_height = in.height / factor, out_width = in.width / factor;
  std::size_t place = 0;
  for (std::size_t i = 0; i < out_height; ++i)
    for (std::size_t row = 0; row < factor; ++row)
      for (std::size_t j = 0; j < out_width; ++j)
        for (std::size_t column = 0; column < factor; ++column)
          for (std::size_t c = 0; c < in.channels; ++c) body(place++, (i * out_width + j) * in.channels + c);
}

}  // namespace

DownsampleOperator::DownsampleOperator(const ImageShape& shape, std::size_t factor) : shape_(shape), factor_(factor) {
  require_image_shape("downsample: shape", shape);
  require(factor > 0 && shape.height % factor == 0 && shape.width % factor == 0, "downsample: factor",
          fmt::format("{}", factor),
          fmt::format("must be at least 1 and divide both the height {} and the width {}", shape.height, shape.width));
}

void DownsampleOperator::apply(ConstBatchView x, BatchView y) const {
  require_apply_shapes(x, y);
  const double pixels = static_cast<double>(factor_ * factor_);
  parallel_for_ranges(x.rows(), rows_per_task(x.cols()), [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) {
      const auto in = x.row(b);
      const auto out = y.row(b);
      std::ranges::fill(out, 0.0);
      for_each_number(shape_, factor_, [&](std::size_t place, std::size_t block) { out[block] += in[place]; });
      for (double& value : out) value /= pixels;
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
      for_each_number(shape_, factor_, [&](std::size_t place, std::size_t block) { spread[place] = shares[block]; });
    }
  });
}

}  // namespace fslens
