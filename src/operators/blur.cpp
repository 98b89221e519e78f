#include "fslens/operators/blur.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "rows_per_task.hpp"

namespace fslens {
namespace {

void require_kernel(std::string_view name, const std::vector<double>& kernel) {
  require(kernel.size() % 2 == 1, name, fmt::format("{} entries", kernel.size()),
          "must have an odd number of entries, so that it has a centre");
  require_finite(name, kernel);
}

/// The pixel of [0, n) that stands `shift` pixels after pixel 0 under the boundary rule; shift may be negative.
std::size_t wrapped(std::ptrdiff_t shift, std::size_t n, Boundary boundary) {
  const auto period = static_cast<std::ptrdiff_t>(boundary == Boundary::kPeriodic ? n : 2 * n);
  const auto place = static_cast<std::size_t>(((shift % period) + period) % period);
  return place < n ? place : 2 * n - 1 - place;
}

}  // namespace

std::vector<double> gaussian_kernel(double std, std::size_t radius) {
  require_positive("gaussian kernel: std", std);
  std::vector<double> kernel(2 * radius + 1);
  double sum = 0.0;
  for (std::size_t k = 0; k < kernel.size(); ++k) {
    const double z = (static_cast<double>(k) - static_cast<double>(radius)) / std;
    kernel[k] = std::exp(-0.5 * z * z);
    sum += kernel[k];
  }
  for (double& entry : kernel) entry /= sum;
  return kernel;
}

BlurOperator::BlurOperator(const ImageShape& shape, std::vector<double> vertical_kernel,
                           std::vector<double> horizontal_kernel, Boundary boundary)
    : shape_(shape) {
  require_image_shape("blur: shape", shape);
  require_kernel("blur: vertical kernel", vertical_kernel);
  require_kernel("blur: horizontal kernel", horizontal_kernel);
  vertical_ = make_axis(1, shape.height, shape.width * shape.channels, std::move(vertical_kernel), boundary);
  horizontal_ = make_axis(shape.height, shape.width, shape.channels, std::move(horizontal_kernel), boundary);
}

BlurOperator::Axis BlurOperator::make_axis(std::size_t lines, std::size_t length, std::size_t unit,
                                           std::vector<double> kernel, Boundary boundary) {
  std::vector<std::size_t> source(length + kernel.size() - 1);
  const auto radius = static_cast<std::ptrdiff_t>(kernel.size() / 2);
  for (std::size_t e = 0; e < source.size(); ++e)
    source[e] = wrapped(static_cast<std::ptrdiff_t>(e) - radius, length, boundary);
  return {lines, length, unit, std::move(kernel), std::move(source)};
}

void BlurOperator::convolve(const Axis& axis, const double* in, double* out, std::vector<double>& extended) {
  const std::size_t line = axis.length * axis.unit;
  extended.resize(axis.source.size() * axis.unit);
  std::fill_n(out, axis.lines * line, 0.0);
  for (std::size_t l = 0; l < axis.lines; ++l, in += line, out += line) {
    for (std::size_t e = 0; e < axis.source.size(); ++e)
      std::copy_n(in + axis.source[e] * axis.unit, axis.unit, extended.data() + e * axis.unit);
    for (std::size_t k = 0; k < axis.kernel.size(); ++k) {
      const double weight = axis.kernel[k];
      const double* shifted = extended.data() + (axis.kernel.size() - 1 - k) * axis.unit;
      for (std::size_t p = 0; p < line; ++p) out[p] += weight * shifted[p];
    }
  }
}

// The transpose of `convolve`, step by step in reverse: spread over the extended line, then fold it onto its sources.
void BlurOperator::convolve_adjoint(const Axis& axis, const double* in, double* out, std::vector<double>& extended) {
  const std::size_t line = axis.length * axis.unit;
  std::fill_n(out, axis.lines * line, 0.0);
  for (std::size_t l = 0; l < axis.lines; ++l, in += line, out += line) {
    extended.assign(axis.source.size() * axis.unit, 0.0);
    for (std::size_t k = 0; k < axis.kernel.size(); ++k) {
      const double weight = axis.kernel[k];
      double* shifted = extended.data() + (axis.kernel.size() - 1 - k) * axis.unit;
      for (std::size_t p = 0; p < line; ++p) shifted[p] += weight * in[p];
    }
    for (std::size_t e = 0; e < axis.source.size(); ++e)
      for (std::size_t c = 0; c < axis.unit; ++c) out[axis.source[e] * axis.unit + c] += extended[e * axis.unit + c];
  }
}

void BlurOperator::apply(ConstBatchView x, BatchView y) const {
  require_apply_shapes(x, y);
  parallel_for_ranges(x.rows(), rows_per_task(x.cols()), [&](std::size_t first, std::size_t last) {
    std::vector<double> between(x.cols());
    std::vector<double> extended;
    for (std::size_t b = first; b < last; ++b) {
      convolve(horizontal_, x.row(b).data(), between.data(), extended);
      convolve(vertical_, between.data(), y.row(b).data(), extended);
    }
  });
}

void BlurOperator::vjp(ConstBatchView x, ConstBatchView v, BatchView out) const {
  require_vjp_shapes(x, v, out);
  parallel_for_ranges(v.rows(), rows_per_task(v.cols()), [&](std::size_t first, std::size_t last) {
    std::vector<double> between(v.cols());
    std::vector<double> extended;
    for (std::size_t b = first; b < last; ++b) {
      convolve_adjoint(vertical_, v.row(b).data(), between.data(), extended);
      convolve_adjoint(horizontal_, between.data(), out.row(b).data(), extended);
    }
  });
}

}  // namespace fslens
