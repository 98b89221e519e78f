#include "logit_steps.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "error_bound.hpp"

namespace fslens::kernels {
namespace {

/// A rest that puts the mean off by more than this share of the tolerance is worth a finer step.
constexpr double kRestShare = 0.05;

/// Of the rest: of its largest order as float32, of the sum with the next, of that with the offset, and what smaller orders add.
constexpr double kRestRoundings = 3.1 * kSingleUnit;

/// ‖x̄ − low‖
double distance_from_low(const AtomTable& atoms) {
  double square = 0.0;
  for (const double value : atoms.center()) square += (value - atoms.low()) * (value - atoms.low());
  return std::sqrt(square);
}

/// Σ |orders that are not whole|, in steps: products of digits, ≤ 128, with bytes.
double largest_rest(const SoftAssignmentRequest& request, const FixedPointFormat& format, std::size_t orders, bool fine) {
  const double root = std::sqrt(static_cast<double>(request.atoms->dim()));
  // The first plane's bytes of an atom as a vector; of the others they may be anything.
  const double first = std::min(255.0 * root, (request.atoms->radius() + distance_from_low(*request.atoms)) / format.unit + root);
  double sum = 0.0;
  for (std::size_t o = fine ? 2 : 1; o < orders; ++o)
    sum += (first + static_cast<double>(std::min(o, format.planes - 1)) * 255.0 * root) / power_of_256(o - (fine ? 1 : 0));
  return sum * 128.0 * root;
}

/// How far a mean may be off, in units of the tolerance, for a relative error of the weights.
double deviation_in_tolerances(const SoftAssignmentRequest& request) {
  return std::min(kUsualDeviation, relative_score_error(request, request.atoms->radius())) / request.tolerance;
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
  const double farthest = request.atoms->radius() + distance_from_low(*request.atoms) + format.residual;
  const double dot = 1.001 * slope * norm * farthest;
  const double span = kTiltCut + apart + 2.0 * dot;
  LogitSteps steps;
  const auto rest = [&](bool fine) { return largest_rest(request, format, orders, fine) + 1.0; };
  const auto error = [&](bool fine) { return (fine ? scale / 256.0 : scale) * kRestRoundings * rest(fine) + 12.0 * kUnit * span; };
  steps.fine = orders > 1 && error(false) * deviation_in_tolerances(request) > kRestShare;
  const double step = steps.fine ? scale / 256.0 : scale;
  const auto bits = static_cast<float>(step / kLogTwo);
  const bool fits = step > 0.0 && kLogTwo * static_cast<double>(bits) == step && span / step < 0x1p31 * 0.99;
  const std::size_t measures = request.log_weights.size();
  for (std::size_t m = 0; m < measures; ++m)
    if (!fits || !std::isfinite(tops.measure[m])) return LogitSteps{};
  steps.whole = true;
  steps.bits = bits, steps.step = step;
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
