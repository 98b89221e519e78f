// The best value of one parameter: a scan of its range, then golden section.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace fslens {

/// Where a parameter is looked for: low < high, both finite. On a logarithmic scale where low > 0, else on a linear one.
struct TuningRange {
  double low = 0.0;
  double high = 0.0;
  bool is_logarithmic() const { return low > 0.0; }
};
/// "low:high". @throws UsageError
TuningRange parse_tuning_range(const std::string& text);

/// One value of the parameter, on the training measurements.
struct TuningCandidate {
  double value = 0.0;
  bool refined = false;            ///< by golden section, not by the scan
  std::optional<double> distance;  ///< mean over the measurements; absent if any chain ended in states that are not finite
  std::size_t num_diverged = 0;    ///< measurements whose chain did
};

enum class RangeEdge { none, low, high };
std::string to_string(RangeEdge edge);  ///< "none", "low", "high"

/// What was tried. The neighbours of the best value bracket a minimum unless it lies on an edge.
struct TuningSearch {
  std::vector<TuningCandidate> candidates;  ///< ascending by value
  std::optional<std::size_t> best;          ///< into candidates, the least distance; absent if every one diverged
  RangeEdge edge = RangeEdge::none;         ///< the best value is an end of the range: the optimum may lie beyond

  std::optional<double> best_distance() const { return best ? candidates[*best].distance : std::nullopt; }
  std::optional<double> best_value() const { return best ? std::optional(candidates[*best].value) : std::nullopt; }
};

/// Tries num_scanned ≥ 3 values spread over the range, and `also` where it lies within; then num_refined steps of golden section between the
/// neighbours of the best. `evaluate` fills in a candidate's result.
TuningSearch search_range(const TuningRange& range, std::size_t num_scanned, std::size_t num_refined, std::optional<double> also,
                          const std::function<void(TuningCandidate&)>& evaluate);

}  // namespace fslens
