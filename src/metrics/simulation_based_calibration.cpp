#include "fslens/metrics/simulation_based_calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/metrics/intervals.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

std::vector<double> uniform_cumulative(std::size_t num_draws) {
  require(num_draws > 0, "draws", "0", "must be at least 1");
  std::vector<double> cumulative;
  for (std::size_t i = 1; i <= num_draws; ++i) cumulative.push_back(static_cast<double>(i) / static_cast<double>(num_draws + 1));
  return cumulative;
}

/// u − ½, u = (rank + ½)/(L + 1).
double centred(std::size_t rank, std::size_t num_draws) {
  return (static_cast<double>(rank) + 0.5) / static_cast<double>(num_draws + 1) - 0.5;
}

struct Offset {
  double value = 0.0;
  double standard_errors = 0.0;
};

/// The mean of f(u − ½) over ranks, less its mean over uniform ones, with the standard error of uniform ones.
Offset offset(std::span<const std::size_t> ranks, std::size_t num_draws, double (*f)(double)) {
  std::vector<double> values;
  for (std::size_t rank = 0; rank <= num_draws; ++rank) values.push_back(f(centred(rank, num_draws)));
  double mean = 0.0, variance = 0.0, measured = 0.0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) variance += (value - mean) * (value - mean) / static_cast<double>(values.size());
  const double count = static_cast<double>(ranks.size());
  for (const std::size_t rank : ranks) measured += values[rank] / count;
  if (variance == 0.0) return {};  // L = 1: ½ is as far from both ranks
  return {measured - mean, (measured - mean) / std::sqrt(variance / count)};
}

}  // namespace

std::optional<std::size_t> rank_of_truth(double truth, std::span<const double> draws, const RandomStream& ties, std::size_t replicate) {
  if (!std::isfinite(truth) || !all_finite(draws)) return std::nullopt;
  std::size_t below = 0, equal = 0;
  for (const double draw : draws) {
    below += draw < truth ? 1 : 0;
    equal += draw == truth ? 1 : 0;
  }
  if (equal == 0) return below;
  return below + static_cast<std::size_t>(ties.uniform(0, replicate) * static_cast<double>(equal + 1));
}

UniformRanks::UniformRanks(std::size_t replicates, std::size_t draws, double level)
    : num_replicates(replicates),
      num_draws(draws),
      cumulative(uniform_cumulative(draws)),
      band(simultaneous_ecdf_band(replicates, cumulative, level)),
      deviation_median(ecdf_deviation_quantile(replicates, cumulative, 0.5)),
      confidence(level) {}

std::string to_string(Miscalibration direction) {
  switch (direction) {
    case Miscalibration::none: return "none";
    case Miscalibration::over_confident: return "over-confident";
    case Miscalibration::under_confident: return "under-confident";
    case Miscalibration::biased_low: return "biased-low";
    case Miscalibration::biased_high: return "biased-high";
  }
  throw Error("direction of miscalibration out of range");
}

RankUniformity rank_uniformity(std::span<const std::size_t> ranks, const UniformRanks& uniform) {
  require_size("ranks", ranks.size(), uniform.num_replicates, "one a replicate");
  std::vector<std::size_t> count(uniform.num_draws + 1, 0);
  for (const std::size_t rank : ranks) {
    require(rank <= uniform.num_draws, "ranks", fmt::format("{}", rank), fmt::format("must not exceed the number of draws, {}", uniform.num_draws));
    ++count[rank];
  }
  RankUniformity out;
  std::size_t below = 0;
  for (std::size_t i = 0; i < uniform.num_draws; ++i) {
    below += count[i];
    out.ecdf.push_back(static_cast<double>(below) / static_cast<double>(ranks.size()));
    out.max_deviation = std::max(out.max_deviation, std::abs(out.ecdf[i] - uniform.cumulative[i]));
  }
  out.within_band = uniform.band.contains(out.ecdf);
  const Offset mean = offset(ranks, uniform.num_draws, [](double u) { return u; });
  const Offset distance = offset(ranks, uniform.num_draws, [](double u) { return std::abs(u); });
  out.mean_offset = mean.value;
  out.distance_offset = distance.value;
  const double certain = normal_quantile(1.0 - 0.25 * (1.0 - uniform.confidence));  // two-sided, of either
  if (std::max(std::abs(mean.standard_errors), std::abs(distance.standard_errors)) <= certain) return out;
  if (std::abs(mean.standard_errors) > std::abs(distance.standard_errors))
    out.direction = mean.value > 0.0 ? Miscalibration::biased_low : Miscalibration::biased_high;
  else
    out.direction = distance.value > 0.0 ? Miscalibration::over_confident : Miscalibration::under_confident;
  return out;
}

}  // namespace fslens
