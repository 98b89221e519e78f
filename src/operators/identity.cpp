#include "fslens/operators/identity.hpp"

#include <algorithm>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "rows_per_task.hpp"

namespace fslens {
namespace {

void copy_rows(ConstBatchView from, BatchView to) {
  parallel_for_ranges(from.rows(), rows_per_task(from.cols()), [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) std::ranges::copy(from.row(b), to.row(b).begin());
  });
}

}  // namespace

IdentityOperator::IdentityOperator(std::size_t dim) : dim_(dim) {
  require(dim > 0, "identity: dim", "0", "must be at least 1");
}

void IdentityOperator::apply(ConstBatchView x, BatchView y) const {
  require_apply_shapes(x, y);
  copy_rows(x, y);
}

void IdentityOperator::vjp(ConstBatchView x, ConstBatchView v, BatchView out) const {
  require_vjp_shapes(x, v, out);
  copy_rows(v, out);
}

}  // namespace fslens
