#include "fslens/operators/compose.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "fslens/core/error.hpp"

namespace fslens {

ComposeOperator::ComposeOperator(std::vector<ForwardOperatorPtr> operators) : operators_(std::move(operators)) {
  require(!operators_.empty(), "compose: operators", "an empty list", "must name at least one operator");
  for (std::size_t k = 0; k < operators_.size(); ++k) {
    require(operators_[k] != nullptr, fmt::format("compose: operators[{}]", k), "null", "must be an operator");
    if (!operators_[k]->is_affine()) num_states_needed_ = k + 1;
    if (k == 0) continue;
    const ForwardOperator& inner = *operators_[k - 1];
    const ForwardOperator& outer = *operators_[k];
    require(outer.input_dim() == inner.output_dim(), fmt::format("compose: operators[{}]", k),
            fmt::format("{} with input dimension {}", outer.name(), outer.input_dim()),
            fmt::format("must take the {} outputs of operators[{}] ({})", inner.output_dim(), k - 1, inner.name()));
  }
}

bool ComposeOperator::is_affine() const { return num_states_needed_ == 0; }

void ComposeOperator::apply(ConstBatchView x, BatchView y) const {
  require_apply_shapes(x, y);
  Matrix state;
  ConstBatchView input = x;
  for (std::size_t k = 0; k + 1 < operators_.size(); ++k) {
    Matrix next(x.rows(), operators_[k]->output_dim());
    operators_[k]->apply(input, next);
    state = std::move(next);
    input = state;
  }
  operators_.back()->apply(input, y);
}

void ComposeOperator::vjp(ConstBatchView x, ConstBatchView v, BatchView out) const {
  require_vjp_shapes(x, v, out);
  // inputs[k] is what operator k + 1 was given.
  std::vector<Matrix> inputs;
  for (std::size_t k = 0; k + 1 < num_states_needed_; ++k) {
    Matrix next(x.rows(), operators_[k]->output_dim());
    operators_[k]->apply(k == 0 ? x : ConstBatchView(inputs[k - 1]), next);
    inputs.push_back(std::move(next));
  }
  // An affine operator's vjp does not depend on where it is taken: one row of zeros, repeated, will do.
  std::size_t widest = 0;
  for (const auto& each : operators_) widest = std::max(widest, each->input_dim());
  const std::vector<double> zeros(num_states_needed_ < operators_.size() ? widest : 0);

  Matrix cotangent;
  ConstBatchView incoming = v;
  for (std::size_t k = operators_.size() - 1; k > 0; --k) {
    const std::size_t d = operators_[k]->input_dim();
    const bool needs_input = k < num_states_needed_;
    Matrix next(x.rows(), d);
    operators_[k]->vjp(needs_input ? inputs[k - 1] : ConstBatchView(zeros.data(), x.rows(), d, 0), incoming, next);
    cotangent = std::move(next);
    incoming = cotangent;
  }
  operators_.front()->vjp(x, incoming, out);
}

}  // namespace fslens
