#include "fslens/operators/elementwise.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "rows_per_task.hpp"

namespace fslens {
namespace {

std::size_t checked_dim(std::string_view name, std::size_t dim) {
  require(dim > 0, fmt::format("{}: dim", name), "0", "must be at least 1");
  return dim;
}

/// y ← value(x), component by component.
template <class Value>
void map_components(ConstBatchView x, BatchView y, const Value& value) {
  parallel_for_ranges(x.rows(), rows_per_task(x.cols()), [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b)
      for (std::size_t j = 0; j < x.cols(); ++j) y(b, j) = value(x(b, j));
  });
}

/// out ← derivative(x) · v, component by component.
template <class Derivative>
void scale_by_derivative(ConstBatchView x, ConstBatchView v, BatchView out, const Derivative& derivative) {
  parallel_for_ranges(x.rows(), rows_per_task(x.cols()), [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b)
      for (std::size_t j = 0; j < x.cols(); ++j) out(b, j) = derivative(x(b, j)) * v(b, j);
  });
}

}  // namespace

SquareOperator::SquareOperator(std::size_t dim) : dim_(checked_dim("square", dim)) {}

void SquareOperator::apply(ConstBatchView x, BatchView y) const {
  require_apply_shapes(x, y);
  map_components(x, y, [](double value) { return value * value; });
}

void SquareOperator::vjp(ConstBatchView x, ConstBatchView v, BatchView out) const {
  require_vjp_shapes(x, v, out);
  scale_by_derivative(x, v, out, [](double value) { return 2.0 * value; });
}

AbsOperator::AbsOperator(std::size_t dim) : dim_(checked_dim("abs", dim)) {}

void AbsOperator::apply(ConstBatchView x, BatchView y) const {
  require_apply_shapes(x, y);
  map_components(x, y, [](double value) { return std::abs(value); });
}

void AbsOperator::vjp(ConstBatchView x, ConstBatchView v, BatchView out) const {
  require_vjp_shapes(x, v, out);
  scale_by_derivative(x, v, out, [](double value) {
    if (value > 0.0) return 1.0;
    if (value < 0.0) return -1.0;
    return value;  // 0, or a NaN that must not be hidden
  });
}

ClipOperator::ClipOperator(std::size_t dim, double lo, double hi) : dim_(checked_dim("clip", dim)), lo_(lo), hi_(hi) {
  require(std::isfinite(lo) && std::isfinite(hi) && lo < hi, "clip: [lo, hi]", fmt::format("[{}, {}]", lo, hi),
          "must be finite with lo < hi");
}

void ClipOperator::apply(ConstBatchView x, BatchView y) const {
  require_apply_shapes(x, y);
  map_components(x, y, [this](double value) { return std::clamp(value, lo_, hi_); });
}

void ClipOperator::vjp(ConstBatchView x, ConstBatchView v, BatchView out) const {
  require_vjp_shapes(x, v, out);
  scale_by_derivative(x, v, out, [this](double value) {
    if (std::isnan(value)) return value;
    return value >= lo_ && value <= hi_ ? 1.0 : 0.0;
  });
}

}  // namespace fslens
