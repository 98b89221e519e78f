#include "fslens/metrics/credible_coverage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"

namespace fslens {

CoverageLevels CoverageLevels::central(std::size_t num_replicates, std::size_t num_draws, double confidence) {
  require(num_draws >= 2, "draws", fmt::format("{}", num_draws), "must be at least 2: an interval has two ends");
  CoverageLevels out;
  for (std::size_t j = num_draws / 2; j >= 1; --j) {
    out.first.push_back(j);
    out.last.push_back(num_draws - j);
    out.level.push_back(static_cast<double>(num_draws + 1 - 2 * j) / static_cast<double>(num_draws + 1));
  }
  out.band = simultaneous_ecdf_band(num_replicates, out.level, confidence);
  return out;
}

CoverageLevels CoverageLevels::nested(std::size_t num_replicates, std::size_t num_draws, double confidence) {
  require(num_draws >= 1, "draws", "0", "must be at least 1");
  CoverageLevels out;
  for (std::size_t k = 1; k <= num_draws; ++k) {
    out.first.push_back(0);
    out.last.push_back(k - 1);
    out.level.push_back(static_cast<double>(k) / static_cast<double>(num_draws + 1));
  }
  out.band = simultaneous_ecdf_band(num_replicates, out.level, confidence);
  return out;
}

CoverageCurve credible_coverage(std::span<const std::size_t> ranks, const CoverageLevels& levels, double confidence) {
  require(!ranks.empty(), "ranks", "none", "must hold at least one");
  CoverageCurve out;
  for (std::size_t k = 0; k < levels.level.size(); ++k) {
    const auto held = static_cast<std::size_t>(
        std::ranges::count_if(ranks, [&](std::size_t rank) { return rank >= levels.first[k] && rank <= levels.last[k]; }));
    out.coverage.push_back(static_cast<double>(held) / static_cast<double>(ranks.size()));
    out.interval.push_back(clopper_pearson(held, ranks.size(), confidence));
  }
  out.within_band = levels.band.contains(out.coverage);
  return out;
}

std::size_t nearest_level(const CoverageLevels& levels, double level) {
  const auto distance = [&](double value) { return std::abs(value - level); };
  return static_cast<std::size_t>(std::ranges::min_element(levels.level, {}, distance) - levels.level.begin());
}

}  // namespace fslens
