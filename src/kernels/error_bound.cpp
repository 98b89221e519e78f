#include "error_bound.hpp"

#include <algorithm>
#include <cmath>

namespace fslens::kernels {

MomentError moment_error(const WeightError& weights, const MomentSize& size) {
  MomentError error;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double largest = weights.largest + weights.tilt * size.reach;
  // Beyond this the weights are not known at all.
  if (!(largest < 0.1) || !(weights.lost < 0.1)) return {kInfinity, kInfinity, kInfinity, kInfinity, kInfinity, kInfinity};
  // p̂ is normalised by its own sum: 1/(1 − max ε − lost) stands for that and for the second order.
  const double normalised = 1.0 / (1.0 - 2.0 * largest - 2.0 * weights.lost);
  const double lost = weights.lost * normalised;
  error.true_variance = (size.variance + size.variance_rounding) * (1.0 + 4.0 * largest) + lost * size.reach * size.reach;
  const double deviation = std::sqrt(error.true_variance), along = weights.tilt * deviation;
  const double rms = (weights.root_mean_square + along) * normalised;
  const double fourth = deviation * size.reach;  // √(Σ p ‖x − m‖⁴) ≤ √V ρ
  error.mean = rms * deviation + lost * size.reach + size.mean_rounding;
  // The tilt was taken away at the computed mean.
  error.log_normaliser = (weights.root_mean_square + along * along) * normalised + lost + weights.tilt * error.mean + size.normaliser_rounding;
  error.variance = rms * fourth + lost * size.reach * size.reach + error.mean * error.mean + size.variance_rounding;
  error.feature = 2.0 * (rms + lost) * size.feature_size + size.feature_rounding;
  error.product = rms * fourth + lost * size.reach * size.reach + error.mean * error.mean;
  return error;
}

double relative_score_error(const SoftAssignmentRequest& request, double mean_error) {
  return request.a * mean_error / std::sqrt(request.s2 * static_cast<double>(request.atoms->dim()));
}

double judged_error(const SoftAssignmentRequest& request, const WeightError& weights, const MomentError& error) {
  return stated(wants_moments(request) ? relative_score_error(request, error.mean)
                                       : kUsualDeviation * (weights.root_mean_square + weights.lost));
}

void write_errors(const MomentError& error, std::size_t particle, SoftAssignmentMoments& out) {
  out.log_normaliser_error[particle] = stated(error.log_normaliser);
  if (!out.mean_error.empty()) out.mean_error[particle] = stated(error.mean);
  if (!out.variance_error.empty()) out.variance_error[particle] = stated(error.variance);
  if (!out.feature_error.empty()) out.feature_error[particle] = stated(error.feature);
}

RequestSize request_size(const SoftAssignmentRequest& request) {
  const AtomTable& atoms = *request.atoms;
  RequestSize size;
  size.radius = atoms.radius();
  for (const double c : atoms.center()) size.center_norm += c * c;
  size.center_norm = std::sqrt(size.center_norm);
  size.largest_value = std::max(std::abs(atoms.low()), std::abs(atoms.high()));
  return size;
}

double offset_rounding(const SoftAssignmentRequest& request, const RequestSize& size, double query_norm, double best_logit, double cut) {
  const double slope = request.a / request.s2;
  const double along = slope * query_norm * size.radius;
  const double norm = 0.5 * request.a * request.a / request.s2 * size.radius * size.radius;
  const double log_weight = cut + along + norm;
  // q_k = x_k − a x̄_k: a relative rounding of q, and one of a x̄.
  const double query = slope * size.radius * (query_norm + 2.0 * request.a * size.center_norm);
  return kUnit * (query + (interleaved_roundings(request.atoms->dim()) + 6.0) * norm + 3.0 * (log_weight + along + norm)) + kOffsetRoundingPerLogit * std::abs(best_logit);
}

}  // namespace fslens::kernels
