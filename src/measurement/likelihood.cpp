#include "fslens/measurement/likelihood.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

/// Rows of residuals in one block: about 1 MiB of them.
std::size_t rows_per_block(std::size_t output_dim) {
  constexpr std::size_t kNumbersPerBlock = std::size_t{1} << 17;
  return std::clamp<std::size_t>(kNumbersPerBlock / output_dim, 1, 1024);
}

bool all_finite(std::span<const double> values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

}  // namespace

Likelihood::Likelihood(ForwardOperatorPtr forward, GaussianNoise noise, std::vector<double> y)
    : forward_(std::move(forward)), noise_(std::move(noise)), y_(std::move(y)) {
  require(forward_ != nullptr, "likelihood: operator", "null", "must be a forward operator");
  const std::string outputs = fmt::format("the outputs of operator {}", forward_->name());
  require_size("measurement.y", y_.size(), forward_->output_dim(), outputs);
  require(noise_.dim() == forward_->output_dim(), "noise.dim", fmt::format("{}", noise_.dim()),
          fmt::format("must be {} ({})", forward_->output_dim(), outputs));
  require_finite("measurement.y", y_);
}

void Likelihood::residual(ConstBatchView x, BatchView residual) const {
  forward_->apply(x, residual);
  for (std::size_t b = 0; b < residual.rows(); ++b)
    for (std::size_t i = 0; i < y_.size(); ++i) residual(b, i) = y_[i] - residual(b, i);
}

std::vector<double> Likelihood::log_likelihood(ConstBatchView x) const {
  if (x.cols() != input_dim())
    require(false, "likelihood: x", fmt::format("{} columns", x.cols()),
            fmt::format("must have {} (the inputs of operator {})", input_dim(), forward_->name()));
  std::vector<double> values(x.rows());
  parallel_for_ranges(x.rows(), rows_per_block(output_dim()), [&](std::size_t first, std::size_t last) {
    Matrix block(last - first, output_dim());
    residual(x.rows_from(first, last - first), block);
    const std::span<double> out(values.data() + first, last - first);
    noise_.log_density(block, out);
    for (std::size_t b = 0; b < out.size(); ++b)
      if (out[b] != -std::numeric_limits<double>::infinity() && !all_finite(x.row(first + b)))
        out[b] = std::numeric_limits<double>::quiet_NaN();
  });
  return values;
}

}  // namespace fslens
