#include "fixed_point_writer.hpp"

#include <algorithm>
#include <cmath>

namespace fslens::kernels {
namespace {

/// How far below the best of a particle an atom may be and still have a weight.
constexpr double kFarthest = kDeadBlock - kLogTwo * static_cast<double>(kLowestArgument);

}  // namespace

double FixedPointWriter::write(std::size_t p, WeightSummary& summary) {
  double worst = 0.0;
  for (std::size_t m = 0; m < job_.request.log_weights.size(); ++m) worst = std::max(worst, write_measure(m, p, summary));
  return worst;
}

WeightSummary FixedPointWriter::summarise(std::size_t p) const {
  const LaneTotals& totals = totals_of(0, p);
  const std::size_t lane = lane_of(p);
  const double second = totals.second[lane] / totals.weight[lane];
  const WeightError weights = weight_error(0, p, totals, lane);
  const MomentSize size = moment_size(0, totals, lane, second, second, std::min(size_.radius, std::sqrt(second)));  // ≥ ‖m − x̄‖
  return summary_of(totals, lane, weights, size, moment_error(weights, size));
}

WeightSummary FixedPointWriter::summary_of(const LaneTotals& totals, std::size_t lane, const WeightError& weights, const MomentSize& size,
                                           const MomentError& error) const {
  const double relative = weights.root_mean_square + weights.lost + weights.tilt * std::sqrt(error.true_variance);
  return {totals.weight[lane] * std::exp(-totals.best[lane]), totals.best[lane], relative, error.true_variance, size.reach, error.product,
          error.mean};
}

void FixedPointWriter::write_features(std::size_t m, std::size_t p, std::span<double> out) const {
  const LaneTotals& totals = totals_of(m, p);
  const std::size_t lane = lane_of(p);
  const double* sums = totals.features.data() + lane / kLanes * kLanes * job_.feature_columns + lane % kLanes;
  for (std::size_t j = 0; j < out.size(); ++j) out[j] = sums[j * kLanes] / totals.weight[lane];
}

double FixedPointWriter::write_measure(std::size_t m, std::size_t p, WeightSummary& summary) {
  const SoftAssignmentRequest& request = job_.request;
  const LaneTotals& totals = totals_of(m, p);
  const std::size_t lane = lane_of(p), b = job_.queries.particles[p];
  SoftAssignmentMoments& out = result_.measures[m];
  const double weight = totals.weight[lane];
  const double log_weight = std::log(weight) + job_.reference[m][p] + job_.queries.constant[p];
  double tilt = 0.0;
  const double centered = job_.want_moments ? write_mean(totals, lane, p, weight, out, tilt) : size_.radius * size_.radius;
  out.log_normaliser[b] = log_weight + request.a / request.s2 * tilt;
  const double second = totals.second[lane] / weight;
  const double variance = job_.want_moments ? std::max(0.0, second - centered) : second;
  if (request.want_variance) out.variance[b] = variance;
  if (!out.feature_mean.empty()) write_features(m, p, out.feature_mean.row(b));
  MomentSize moments = moment_size(m, totals, lane, variance, second, std::sqrt(centered));
  moments.normaliser_rounding = normaliser_rounding(m, p, out.log_normaliser[b]);
  const WeightError weights = weight_error(m, p, totals, lane);
  const MomentError error = moment_error(weights, moments);
  write_errors(error, b, out);
  if (m == 0) summary = summary_of(totals, lane, weights, moments, error);
  return judged_error(request, weights, error);
}

/// mean ← low + unit Σ ŵ U / Σ ŵ, tilt ← ⟨δq, m − x̄⟩. @return ‖m − x̄‖²
double FixedPointWriter::write_mean(const LaneTotals& totals, std::size_t lane, std::size_t p, double weight, SoftAssignmentMoments& out,
                                    double& tilt) const {
  const double* moments = totals.moments.data() + lane / kLanes * kLanes * job_.columns + lane % kLanes;
  const auto center = job_.request.atoms->center();
  const double unit = job_.format.unit / weight;
  double centered = 0.0;
  for (std::size_t k = 0; k < center.size(); ++k) {
    const double value = job_.format.low + unit * moments[k * kLanes];
    centered += (value - center[k]) * (value - center[k]);
    tilt += job_.queries.lost(p, k) * (value - center[k]);
    if (job_.request.want_mean) out.mean(job_.queries.particles[p], k) = value;
  }
  return centered;
}

WeightError FixedPointWriter::weight_error(std::size_t m, std::size_t p, const LaneTotals& totals, std::size_t lane) const {
  const double weight = totals.weight[lane], best = std::abs(totals.best[lane]);
  const double logit = std::abs(best) + std::abs(job_.reference[m][p]);
  const LogitSteps& steps = job_.steps[p / kLanes];
  const double shared = order_error(job_.request, job_.format, job_.queries, p, job_.plan.orders) + steps.error +
                        offset_rounding(job_.request, size_, job_.queries.norm[p], logit, kFarthest) + 6.0 * kUnit * logit;
  // float32: the logit relative to the reference, the same relative to the best, the exponential, and the scaling to integers.
  const double roundings = steps.roundings(kFarthest + best) * kSingleUnit;
  const double single = kPowerError + 2.0 * kSingleUnit + roundings * best;
  WeightError error;
  error.root_mean_square = shared + single + (roundings + kSingleUnit) * std::sqrt(1.001 * totals.square[lane] / weight);
  error.largest = shared + single + (roundings + kSingleUnit) * kFarthest;
  error.lost = totals.lost[lane] / weight;
  const double tilt = job_.request.a / job_.request.s2 * job_.queries.digits.lost[p];
  if (job_.want_moments || job_.request.guided != nullptr) {
    error.tilt = tilt;
  } else {  // no mean that it could be taken away at
    error.root_mean_square += tilt * size_.radius;
    error.largest += tilt * size_.radius;
  }
  // Atoms that count under no measure, or not under this one.
  error.lost += static_cast<double>(job_.request.atoms->count()) * std::exp(totals.best[lane] - kTiltCut) / weight;
  return error;
}

MomentSize FixedPointWriter::moment_size(std::size_t m, const LaneTotals& totals, std::size_t lane, double variance, double second,
                                         double centered) const {
  const AtomTable& atoms = *job_.request.atoms;
  const double root = std::sqrt(static_cast<double>(atoms.dim())), range = atoms.high() - atoms.low();
  const auto blocks = static_cast<double>(job_.num_blocks);
  MomentSize size;
  size.variance = variance;
  size.reach = size_.radius + centered;
  size.mean_rounding = mean_digit_error(m, totals, lane) + job_.format.residual + kUnit * ((blocks + 8.0) * range + 4.0 * size_.largest_value) * root;
  // Tr C = Σ w ‖x − x̄‖² − ‖m − x̄‖²: the mean's own error counts twice.
  size.variance_rounding = kUnit * (blocks + static_cast<double>(job_.block_rows) + interleaved_roundings(atoms.dim()) + 16.0) *
                               (second + 2.0 * centered * centered) +
                           (2.0 * centered + size.mean_rounding) * size.mean_rounding;
  if (job_.request.features != nullptr) {
    size.feature_size = totals.feature_size;
    size.feature_rounding = kUnit * (blocks + static_cast<double>(job_.block_rows) + 8.0) * size.feature_size;
  }
  return size;
}

/// What the orders that the moments leave out may add up to.
double FixedPointWriter::mean_digit_error(std::size_t m, const LaneTotals& totals, std::size_t lane) const {
  const double dropped = dropped_orders(job_.plan.weight_digits[m], job_.format.planes, job_.plan.weight_orders[m], 1.0) / 127.0;
  if (dropped == 0.0) return 0.0;
  return job_.format.unit * dropped * totals.ceiling[lane] / totals.weight[lane] * std::sqrt(static_cast<double>(job_.request.atoms->dim()));
}

double FixedPointWriter::normaliser_rounding(std::size_t m, std::size_t p, double log_normaliser) const {
  const std::size_t d = job_.request.atoms->dim();
  const double norm = 0.5 * job_.queries.norm[p] * job_.queries.norm[p] / job_.request.s2;
  const double slope = job_.request.a / job_.request.s2;
  const double spread = (job_.request.atoms->high() - job_.request.atoms->low()) * std::sqrt(static_cast<double>(d));
  const double q = kUnit * (job_.queries.norm[p] + 2.0 * job_.request.a * size_.center_norm);
  return kUnit * ((interleaved_roundings(d) + 8.0) * (norm + slope * job_.queries.norm[p] * spread) +
                  4.0 * (std::abs(log_normaliser) + std::abs(job_.reference[m][p]))) +
         job_.queries.norm[p] / job_.request.s2 * q;
}

}  // namespace fslens::kernels
