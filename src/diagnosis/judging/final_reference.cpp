#include <algorithm>
#include <cmath>
#include <numeric>

#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/exact_reference.hpp"
#include "fslens/metrics/intervals.hpp"
#include "fslens/metrics/mode_weights.hpp"
#include "fslens/metrics/repeated_rows.hpp"
#include "fslens/metrics/total_variation.hpp"

namespace fslens {
namespace {

constexpr double kIncludedMass = 0.999;
// A final noise that is up to half again too wide in variance is for `spread` to report, not an image off the support.
constexpr double kSupportSlack = 1.5;
constexpr double kSupportLevel = 0.001;

/// Atoms outside the smallest set that holds `kIncludedMass` of ω.
std::vector<bool> excluded_atoms(std::span<const double> log_weights) {
  std::vector<std::size_t> order(log_weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    return log_weights[i] != log_weights[j] ? log_weights[i] > log_weights[j] : i < j;
  });
  std::vector<bool> excluded(log_weights.size(), true);
  double mass = 0.0;
  for (const std::size_t i : order) {
    if (mass >= kIncludedMass) break;
    excluded[i] = false;
    mass += std::exp(log_weights[i]);
  }
  return excluded;
}

std::vector<double> misfits(const Likelihood& likelihood, ConstBatchView clean) {
  std::vector<double> values = likelihood.log_likelihood(clean);
  for (double& value : values) value *= -2.0;
  return values;
}

/// Recordings are often in single precision, where many draws on a line do meet.
std::size_t repeated_in_single_precision(ConstBatchView draws) {
  Matrix rounded(draws);
  for (double& value : rounded.values()) value = static_cast<float>(value);
  return count_repeated_rows(rounded);
}

}  // namespace

void ExactReference::make_final() {
  const std::size_t last = times_.size() - 1;
  const double t = times_[last];
  // Assigning draws of a mixture costs little, and its modes overlap: take more of them.
  const std::size_t pool_size = (lens_->has_atoms() ? 4 : 20) * num_particles_;
  const Draws pool = lens_->sample(Measure::posterior, pool_size, t, stream_.child("final"));
  make_hallucination_rates(pool);
  final_.repeated = repeated_in_single_precision(pool.x.view().rows_from(0, num_particles_));
  final_.draws = first_rows(pool.x, std::min(num_particles_, kPairwiseCap));
  final_.scale = std::sqrt(references_[last].total_variance / static_cast<double>(lens_->dim()));
  if (final_.scale == 0.0)  // a point mass judged at t = 0: distances are told in the prior's units
    final_.scale = std::sqrt([&] {
      const Moments prior = lens_->moments(Measure::prior, 0.0);
      double sum = 0.0;
      for (std::size_t k = 0; k < lens_->dim(); ++k) sum += prior.covariance(k, k);
      return sum / static_cast<double>(lens_->dim());
    }());
  make_pairwise_nulls();
}

void ExactReference::make_hallucination_rates(const Draws& pool) {
  const double t = times_.back();
  const NoiseSchedule& schedule = lens_->schedule();
  const double t_support = t > 0.0 ? t : 1e-3 * schedule.t_max();
  const std::vector<std::size_t> component = t > 0.0 ? lens_->assign(pool.x, t) : pool.component;
  const auto posterior = lens_->log_weights(Measure::posterior);
  if (lens_->has_atoms()) final_.atom_excluded = excluded_atoms(posterior);

  std::vector<std::size_t> mode(pool.x.rows());
  double reassigned = 0.0;
  for (std::size_t b = 0; b < pool.x.rows(); ++b) {
    mode[b] = modes_.mode_of_component[component[b]];
    final_.at_excluded_atoms += !final_.atom_excluded.empty() && final_.atom_excluded[component[b]] ? 1 : 0;
    final_.in_excluded_modes += mode_weights_[mode[b]] < kExcludedModeWeight ? 1 : 0;
    reassigned += modes_.mode_of_component[pool.component[b]] != mode[b] ? 1.0 : 0.0;
  }
  const double count = static_cast<double>(pool.x.rows());
  final_.num_null_draws = pool.x.rows();
  // Where the last noise does not move draws across modes the target is ω itself; else it is what draws are assigned to.
  final_.mode_target = mode_weights_;
  if (reassigned > 1e-4 * count) {
    final_.mode_target.assign(modes_.num_modes(), 0.0);
    for (const std::size_t k : mode) final_.mode_target[k] += 1.0;
    for (double& weight : final_.mode_target) weight /= count;
  }
  const RandomStream stream = stream_.child("final mode null");
  std::vector<double> repetitions(kNullRepetitions);
  parallel_for(kNullRepetitions, [&](std::size_t r) {
    std::vector<double> weights(modes_.num_modes(), 0.0);
    for (std::size_t b = 0; b < num_particles_; ++b)
      weights[mode[static_cast<std::size_t>(stream.uniform(r, b) * count)]] += 1.0;  // counted, then divided: no rounding
    double distance = 0.0;
    for (std::size_t k = 0; k < weights.size(); ++k)
      distance += 0.5 * std::abs(weights[k] / static_cast<double>(num_particles_) - final_.mode_target[k]);
    repetitions[r] = distance;
  });
  final_.mode_tv = null_band(repetitions);

  // The fit is judged on the image that a user gets, the support on the noisy state that the sampler left.
  const std::vector<double> misfit = misfits(lens_->likelihood(), rescaled_to_clean(schedule, pool.x, t));
  final_.misfit_quantile = sample_quantile(misfit, kIncludedMass);
  Matrix prior = lens_->sample(Measure::prior, pool.x.rows(), 0.0, stream_.child("support")).x;
  Matrix noise(prior.rows(), prior.cols());
  stream_.child("support noise").fill_normal(0, noise);
  const double scale = std::sqrt(kSupportSlack * schedule.s2(t_support));
  const double a = schedule.a(t_support), shift = schedule.shift(t_support);
  for (std::size_t i = 0; i < prior.size(); ++i) prior.values()[i] = a * prior.values()[i] + shift + scale * noise.values()[i];
  final_.support_quantile = sample_quantile(lens_->log_prior_density(prior, t_support), kSupportLevel);
  if (t > 0.0) {
    const std::vector<double> density = lens_->log_prior_density(pool.x, t);
    for (std::size_t b = 0; b < pool.x.rows(); ++b) {
      const bool off = density[b] < final_.support_quantile;
      final_.fit_off_support += off && misfit[b] <= final_.misfit_quantile ? 1 : 0;
      final_.diverged += off && misfit[b] > final_.misfit_quantile ? 1 : 0;
    }
  }
}

void ExactReference::make_pairwise_nulls() {
  final_.energy_sample.emplace(final_.draws);
  final_.mean_distance = final_.energy_sample->mean_distance();
  const auto bandwidths = median_heuristic_bandwidths(final_.draws);
  if (bandwidths) final_.mmd_sample.emplace(final_.draws, *bandwidths);

  std::vector<double> energy(kNullRepetitions), mmd(kNullRepetitions);
  const RandomStream stream = stream_.child("pairwise null");
  parallel_for(kNullRepetitions, [&](std::size_t r) {
    const Matrix draws = lens_->sample(Measure::posterior, final_.draws.rows(), times_.back(), stream, r).x;
    energy[r] = energy_distance(EnergySample(draws), *final_.energy_sample).value;
    if (bandwidths) mmd[r] = mmd_squared(MmdSample(draws, *bandwidths), *final_.mmd_sample).value;
  });
  final_.energy = null_band(energy);
  if (bandwidths) final_.mmd = null_band(mmd);
}

}  // namespace fslens
