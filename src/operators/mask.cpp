#include "fslens/operators/mask.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "rows_per_task.hpp"

namespace fslens {

MaskOperator::MaskOperator(std::size_t dim, std::vector<std::size_t> kept) : dim_(dim), kept_(std::move(kept)) {
  require(!kept_.empty(), "mask: kept", "no index", "must keep at least one component");
  std::vector<bool> seen(dim_, false);
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    if (kept_[i] >= dim_)
      require(false, fmt::format("mask: kept[{}]", i), fmt::format("{}", kept_[i]),
              fmt::format("must be below the dimension {}", dim_));
    if (seen[kept_[i]])
      require(false, fmt::format("mask: kept[{}]", i), fmt::format("{}", kept_[i]), "must not repeat an index");
    seen[kept_[i]] = true;
  }
}

MaskOperator MaskOperator::from_image(const ImageShape& shape, std::span<const double> mask) {
  require_image_shape("mask: shape", shape);
  const std::size_t pixels = shape.height * shape.width;
  require(mask.size() == pixels || mask.size() == shape.size(), "mask: mask", fmt::format("{} entries", mask.size()),
          fmt::format("must have {} (height x width) or {} (height x width x channels)", pixels, shape.size()));
  const std::size_t values_per_entry = shape.size() / mask.size();
  std::vector<std::size_t> kept;
  for (std::size_t k = 0; k < mask.size(); ++k) {
    if (mask[k] != 0.0 && mask[k] != 1.0)
      require(false, fmt::format("mask: mask[{}]", k), fmt::format("{}", mask[k]), "must be 0 or 1");
    if (mask[k] == 0.0) continue;
    for (std::size_t c = 0; c < values_per_entry; ++c) kept.push_back(k * values_per_entry + c);
  }
  return MaskOperator(shape.size(), std::move(kept));
}

void MaskOperator::apply(ConstBatchView x, BatchView y) const {
  require_apply_shapes(x, y);
  parallel_for_ranges(x.rows(), rows_per_task(dim_), [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b)
      for (std::size_t i = 0; i < kept_.size(); ++i) y(b, i) = x(b, kept_[i]);
  });
}

void MaskOperator::vjp(ConstBatchView x, ConstBatchView v, BatchView out) const {
  require_vjp_shapes(x, v, out);
  parallel_for_ranges(v.rows(), rows_per_task(dim_), [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) {
      std::ranges::fill(out.row(b), 0.0);
      for (std::size_t i = 0; i < kept_.size(); ++i) out(b, kept_[i]) = v(b, i);
    }
  });
}

}  // namespace fslens
