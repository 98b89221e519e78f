#include "field_error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace fslens {
namespace {

/// The bounds are themselves computed in float64, and leave out products of roundings: this stands for both.
constexpr double kSlack = 1.0 + 1e-6;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double norm(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

/// factor · bound, where an unbounded quantity that is not used is no error.
double scaled(double factor, double bound) { return factor == 0.0 ? 0.0 : factor * bound; }

}  // namespace

LogSum log_sum(std::span<const double> values) {
  const double best = *std::ranges::max_element(values);
  double sum = 0.0, lost = 0.0, roundings = 0.0;
  for (const double value : values) {
    const double term = std::exp(value - best);
    if (term == 0.0) continue;  // −∞ among them: its rounding is no number
    roundings += term * (std::abs(value) + (best - value));
    const double next = sum + term;  // Neumaier's compensated sum
    lost += sum >= term ? (sum - next) + term : (term - next) + sum;
    sum = next;
  }
  sum += lost;
  const double log = std::log(sum);
  // A unit for each value and for its difference to the largest; two for exp, three for the sum, two for log, one for the last sum.
  const double error = kUnitRoundoff * (roundings / sum + 5.0 + 2.0 * std::abs(log) + std::abs(best + log));
  return {best + log, kSlack * error};
}

double gaussian_log_constant(double s2, std::size_t dim) {
  return -0.5 * static_cast<double>(dim) * std::log(2.0 * std::numbers::pi * s2);
}

/// Under the responsibilities w, Σ w_i log²w_i ≤ (1 + log N)², and 0 ≤ −log ω_i ≤ −log w_i + |L|, L the log-normaliser: so atoms
/// whose log ω_i, and rounding, is huge do not count, and no pass over them is needed to know it.
double FieldErrors::weight_rounding(const SoftAssignmentMoments& moments, std::size_t b) const {
  const double size = 1.0 + std::log(static_cast<double>(request_.atoms->count())) + std::abs(moments.log_normaliser[b]) +
                      moments.log_normaliser_error[b];
  // log π_i + log p(y | x_i) is rounded once, and once more less the evidence.
  return kUnitRoundoff * (2.0 * size + std::abs(evidence_.value));
}

FieldErrors::Bounds FieldErrors::bounds(const SoftAssignmentMoments& moments, std::size_t b, std::span<const double> mean,
                                        double variance, std::span<const double> score, double weight_rounding) const {
  const double slope = request_.a / request_.s2;
  Bounds out{moments.log_normaliser_error[b], moments.mean_error[b], moments.variance_error[b], 0.0};
  const double deviation = std::sqrt(variance + moments.variance_error[b]);
  // x − b is rounded where there is a shift: every logit then has a rounding along its atom.
  const double state = shift_ == 0.0 ? 0.0 : kUnitRoundoff * norm(request_.x.row(b));
  const double along = scaled(state, slope * deviation);
  const double logits = weight_rounding + along;
  if (logits > 0.0) {
    // dm/dδ = Σ w_i δ_i (x_i − m), and likewise of the variance, by Cauchy and Schwarz; to first order, as far as there is one.
    constexpr double kFirstOrder = 1e-3;
    const double first = logits > kFirstOrder ? kInfinity : logits * (1.0 + 4.0 * kFirstOrder);
    out.mean += scaled(deviation, first);
    out.variance += scaled(deviation, first) * 2.0 * request_.atoms->radius() + out.mean * out.mean;
    out.log_normaliser += (logits > kFirstOrder ? kInfinity : weight_rounding * (1.0 + 4.0 * kFirstOrder)) +
                          state * (norm(score) + state / request_.s2) + along * along;
  }
  // a m, + b, − x and the division, each rounded: the last two are a unit of the score itself.
  const double pulled = request_.a * norm(mean);
  const double offset = std::abs(shift_) * std::sqrt(static_cast<double>(mean.size()));
  out.score = scaled(slope, out.mean) + kUnitRoundoff * ((2.0 * pulled + offset) / request_.s2 + 2.0 * norm(score));
  return out;
}

void FieldErrors::fill(const SoftAssignmentResult& result, LensFields& fields) const {
  const auto dim = static_cast<double>(request_.x.cols());
  const double constant = gaussian_log_constant(request_.s2, request_.x.cols());
  // 2π, its product with s², and the logarithm of them; then the product with d/2.
  const double of_constant = kUnitRoundoff * (1.5 * dim + 4.0 * std::abs(constant));
  const double slope = request_.a / request_.s2;
  for (std::size_t b = 0; b < request_.x.rows(); ++b) {
    const SoftAssignmentMoments& first = result.measures[0];
    const SoftAssignmentMoments& second = result.measures[1];
    const Bounds prior = bounds(first, b, fields.denoiser_mean.row(b), fields.denoiser_variance[b], fields.prior_score.row(b), 0.0);
    const Bounds posterior = bounds(second, b, fields.posterior_denoiser_mean.row(b), fields.posterior_denoiser_variance[b],
                                    fields.posterior_score.row(b), weight_rounding(second, b));
    fields.denoiser_mean_error.push_back(kSlack * prior.mean);
    fields.denoiser_variance_error.push_back(kSlack * prior.variance);
    fields.prior_score_error.push_back(kSlack * prior.score);
    fields.log_prior_density_error.push_back(
        kSlack * (prior.log_normaliser + of_constant + kUnitRoundoff * std::abs(fields.log_prior_density[b])));
    fields.posterior_denoiser_mean_error.push_back(kSlack * posterior.mean);
    fields.posterior_denoiser_variance_error.push_back(kSlack * posterior.variance);
    fields.posterior_score_error.push_back(kSlack * posterior.score);
    fields.log_posterior_density_error.push_back(kSlack * (posterior.log_normaliser + evidence_.error + of_constant +
                                                           kUnitRoundoff * std::abs(fields.log_posterior_density[b])));
    fields.likelihood_score_error.push_back(kSlack * (scaled(slope, prior.mean + posterior.mean) +
                                                      4.0 * kUnitRoundoff * norm(fields.likelihood_score.row(b))));
    // The evidence that is added is the one that the weights were divided by: its error cancels.
    fields.log_likelihood_error.push_back(
        kSlack * (prior.log_normaliser + posterior.log_normaliser +
                  kUnitRoundoff * (std::abs(second.log_normaliser[b] - first.log_normaliser[b]) + std::abs(fields.log_likelihood[b]))));
  }
}

}  // namespace fslens
