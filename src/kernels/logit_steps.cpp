#include "logit_steps.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "error_bound.hpp"

namespace fslens::kernels {
namespace {

/// A rest that is off by more than this share of the tolerance is worth a finer step.
constexpr double kRestShare = 0.01;

/// Σ |orders that are not whole|, in steps.
double largest_rest(const SoftAssignmentRequest& request, const FixedPointFormat& format, std::size_t orders, bool fine) {
  double sum = 0.0;
  for (std::size_t o = fine ? 2 : 1; o < orders; ++o)
    sum += static_cast<double>(std::min(o + 1, format.planes)) / power_of_256(o - (fine ? 1 : 0));
  return sum * 128.0 * 255.0 * static_cast<double>(request.atoms->dim());
}

}  // namespace

TopOffsets top_offsets(const SoftAssignmentRequest& request, std::span<const std::uint32_t> atoms) {
  const auto norms = request.atoms->centered_squared_norms();
  const double half = 0.5 * request.a * request.a / request.s2;
  TopOffsets tops;
  for (std::size_t m = 0; m < 2; ++m) {
    tops.measure[m] = -std::numeric_limits<double>::infinity();
    if (m >= request.log_weights.size()) continue;
    for (const std::uint32_t i : atoms) tops.measure[m] = std::max(tops.measure[m], request.log_weights[m][i] - half * norms[i]);
  }
  return tops;
}

LogitSteps logit_steps(const SoftAssignmentRequest& request, const FixedPointFormat& format, const LaneQueries& queries, std::size_t group,
                       std::size_t orders, const TopOffsets& tops, double* const (&references)[2]) {
  const std::size_t first = group * kLanes;
  const double scale = queries.scale[first], slope = request.a / request.s2;
  double norm = 0.0;
  for (std::size_t l = 0; l < kLanes; ++l) norm = std::max(norm, queries.norm[first + l] + queries.digits.lost[first + l]);
  // Between any two atoms, and of any from 0.
  const double apart = 2.001 * slope * norm * request.atoms->radius();
  const double dot = 1.001 * slope * norm * 256.0 * format.unit * std::sqrt(static_cast<double>(request.atoms->dim()));
  const double span = kTiltCut + apart + 2.0 * dot;
  LogitSteps steps;
  const auto rest = [&](bool fine) { return largest_rest(request, format, orders, fine) + 1.0; };
  const auto error = [&](bool fine) { return (fine ? scale / 256.0 : scale) * 4.0 * kSingleUnit * rest(fine) + 8.0 * kUnit * span; };
  steps.fine = orders > 1 && error(false) > kRestShare * request.tolerance;
  const double step = steps.fine ? scale / 256.0 : scale;
  const bool fits = step > 0.0 && static_cast<double>(static_cast<float>(step)) == step && span / step < 0x1p31 * 0.99;
  const std::size_t measures = request.log_weights.size();
  for (std::size_t m = 0; m < measures; ++m)
    if (!fits || !std::isfinite(tops.measure[m])) return LogitSteps{};
  steps.whole = true;
  steps.step = static_cast<float>(step);
  steps.rest = rest(steps.fine);
  steps.error = error(steps.fine);
  for (std::size_t m = 0; m < measures; ++m) {
    const double top = tops.measure[m];
    steps.top[m] = top;
    steps.lowest[m] = top - kTiltCut - apart;
    steps.error += 4.0 * kUnit * (std::abs(top) + span);
    for (std::size_t l = 0; l < kLanes; ++l) {
      const double whole = std::round(std::clamp(references[m][l] - top, -dot, dot) / step);
      steps.reference[m][l] = static_cast<std::int32_t>(whole);
      references[m][l] = top + whole * step;
    }
  }
  return steps;
}

}  // namespace fslens::kernels
