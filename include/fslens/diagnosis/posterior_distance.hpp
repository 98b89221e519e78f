// How far final states are from the exact posterior, in one number: what tuning makes small.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "fslens/diagnosis/problem.hpp"
#include "fslens/metrics/energy_distance.hpp"
#include "fslens/metrics/null_band.hpp"
#include "fslens/metrics/sliced_wasserstein.hpp"

namespace fslens {

enum class TuningMetric {
  sliced_w2,     ///< √(SW2² − null) over √(Tr Cov / d), the posterior's standard deviation
  energy,        ///< (energy distance − null) over the mean distance of exact draws
  mode_weights,  ///< total variation between the modes' shares (hard assignment) and the exact ones, − null
  spread         ///< |log(Tr Cov / exact Tr Cov)| − null
};
TuningMetric parse_tuning_metric(const std::string& name);  ///< "sliced-w2", "energy", "mode-weights", "spread". @throws UsageError
std::string to_string(TuningMetric metric);
/// Its unit, for tables.
std::string unit_of(TuningMetric metric);

struct DistanceValue {
  double value = 0.0;   ///< in the metric's unit, at least 0
  double excess = 0.0;  ///< the statistic less its mean between exact samples: may be negative
  double band = 0.0;    ///< how far the 97.5 % quantile between exact samples lies above that mean; as `excess`
};

/// The distance of B final states from the posterior of one problem, at the last time of its grid. Null: the same statistic of
/// `kRepetitions` samples of B exact draws.
class PosteriorDistance {
 public:
  static constexpr std::size_t kRepetitions = 40;

  /// @throws InvalidArgument if the posterior has one mode and the metric is mode_weights
  PosteriorDistance(TuningMetric metric, const Problem& problem, std::size_t num_particles, const RandomStream& stream);
  /// Absent if a state is not finite. @shape x [num_particles, d]
  std::optional<DistanceValue> measure(ConstBatchView x) const;

 private:
  double statistic(ConstBatchView x) const;

  TuningMetric metric_;
  std::shared_ptr<const Lens> lens_;
  ModePartition modes_;
  double t_;
  double total_variance_ = 0.0;
  double unit_ = 1.0;                        // what `excess` is divided by, before the root of a squared distance
  std::optional<ProjectedSample> projected_; // of sliced_w2
  std::optional<EnergySample> energy_;       // of energy
  std::vector<double> mode_target_;          // of mode_weights
  NullBand null_;
};

}  // namespace fslens
