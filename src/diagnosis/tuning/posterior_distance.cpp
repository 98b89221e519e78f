#include "fslens/diagnosis/posterior_distance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "fslens/core/error.hpp"
#include "fslens/diagnosis/exact_reference.hpp"
#include "fslens/metrics/mode_weights.hpp"
#include "fslens/metrics/spread.hpp"

namespace fslens {
namespace {

const std::vector<std::pair<std::string, TuningMetric>>& metric_names() {
  static const std::vector<std::pair<std::string, TuningMetric>> kNames = {{"sliced-w2", TuningMetric::sliced_w2},
                                                                           {"energy", TuningMetric::energy},
                                                                           {"mode-weights", TuningMetric::mode_weights},
                                                                           {"spread", TuningMetric::spread}};
  return kNames;
}

std::vector<std::size_t> assigned_modes(const Lens& lens, const ModePartition& modes, ConstBatchView x, double t) {
  std::vector<std::size_t> mode = lens.assign(x, t);
  for (std::size_t& k : mode) k = modes.mode_of_component[k];
  return mode;
}

}  // namespace

TuningMetric parse_tuning_metric(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [known_name, metric] : metric_names()) {
    if (known_name == name) return metric;
    known.push_back(known_name);
  }
  throw UsageError(unknown_name_message("metric", name, known));
}

std::string to_string(TuningMetric metric) { return std::ranges::find(metric_names(), metric, [](const auto& e) { return e.second; })->first; }

std::string unit_of(TuningMetric metric) {
  switch (metric) {
    case TuningMetric::sliced_w2: return "posterior standard deviations";
    case TuningMetric::energy: return "mean distances of exact draws";
    case TuningMetric::mode_weights: return "total variation";
    case TuningMetric::spread: return "log variance ratio";
  }
  return "";
}

PosteriorDistance::PosteriorDistance(TuningMetric metric, const Problem& problem, std::size_t num_particles, const RandomStream& stream)
    : metric_(metric), lens_(problem.lens), modes_(problem.modes), t_(problem.grid.back()) {
  // A pool that is eight times as large as the sample adds little to the error of its shares.
  constexpr std::size_t kPool = 8;
  require(metric_ != TuningMetric::mode_weights || modes_.num_modes() > 1, "metric", "'mode-weights'",
          "needs a problem with more than one mode");
  const auto draws = [&](std::size_t count, std::uint64_t step) {
    return lens_->sample(Measure::posterior, count, t_, stream, step).x;
  };
  if (metric_ == TuningMetric::sliced_w2 || metric_ == TuningMetric::spread) {
    const Moments exact = lens_->moments(Measure::posterior, t_);
    for (std::size_t k = 0; k < lens_->dim(); ++k) total_variance_ += exact.covariance(k, k);
  }
  if (metric_ == TuningMetric::sliced_w2) {
    projected_ = project(draws(num_particles, 0), SlicedProjections(lens_->dim(), kDefaultProjectionCount, stream.child("projections")));
    unit_ = total_variance_ / static_cast<double>(lens_->dim());
  }
  if (metric_ == TuningMetric::energy) {
    energy_.emplace(first_rows(draws(num_particles, 0), kPairwiseCap));
    unit_ = energy_->mean_distance();
  }
  if (metric_ == TuningMetric::mode_weights)
    mode_target_ = mode_weights(assigned_modes(*lens_, modes_, draws(kPool * num_particles, 0), t_), modes_.num_modes()).weights;
  std::vector<double> repetitions;
  for (std::size_t r = 1; r <= kRepetitions; ++r) repetitions.push_back(statistic(draws(num_particles, r)));
  null_ = null_band(repetitions);
}

double PosteriorDistance::statistic(ConstBatchView x) const {
  switch (metric_) {
    case TuningMetric::sliced_w2: return sliced_wasserstein2_squared(project(x, projected_->projections()), *projected_).value;
    case TuningMetric::energy: return energy_distance(EnergySample(first_rows(x, kPairwiseCap)), *energy_).value;
    case TuningMetric::mode_weights: return mode_weights_total_variation(assigned_modes(*lens_, modes_, x, t_), mode_target_).value;
    case TuningMetric::spread: return std::abs(std::log(total_variance(x).value / total_variance_));
  }
  return 0.0;
}

std::optional<DistanceValue> PosteriorDistance::measure(ConstBatchView x) const {
  for (std::size_t b = 0; b < x.rows(); ++b)
    if (!std::ranges::all_of(x.row(b), [](double value) { return std::isfinite(value); })) return std::nullopt;
  DistanceValue out{.excess = null_.effect(statistic(x)) / unit_, .band = (null_.high - null_.mean) / unit_};
  if (!std::isfinite(out.excess)) return std::nullopt;  // the square of a huge state is not finite
  out.value = std::max(0.0, out.excess);
  if (metric_ == TuningMetric::sliced_w2) out.value = std::sqrt(out.value);
  return out;
}

}  // namespace fslens
