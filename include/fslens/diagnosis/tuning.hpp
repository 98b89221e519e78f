// Tuning one parameter of a sampler, and what tuning cannot repair.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/diagnosis/diagnosis.hpp"
#include "fslens/diagnosis/optimal_weight.hpp"
#include "fslens/diagnosis/posterior_distance.hpp"
#include "fslens/diagnosis/tuning_search.hpp"
#include "fslens/metrics/ratio_of_means.hpp"

namespace fslens {

struct TuneOptions {
  TuningMetric metric = TuningMetric::sliced_w2;
  std::size_t num_train = 8;           ///< measurements that the parameter is chosen on, ≥ 1
  std::size_t num_test = 16;           ///< further ones that it is judged on, ≥ 2
  std::size_t num_scanned = 9;         ///< values spread over the range, ≥ 3
  std::size_t num_refined = 8;         ///< golden-section steps about the best of them
  std::size_t num_resamples = 10000;   ///< bootstrap over the test measurements
  double confidence = 0.95;            ///< of the intervals, each on its own
  OptimalWeightOptions optimal_weight; ///< ζ*(t)
};

/// Where the constant on ζ*(t) is looked for.
inline constexpr TuningRange kScheduleScale{0.0625, 16.0};

/// A setting of the sampler on the test measurements.
struct TestedSetting {
  std::string name;                             ///< "default", "tuned", "schedule", "scaled schedule", "tempered schedule"
  SamplerSpec spec;
  std::optional<double> on_training;            ///< its mean distance over the training y, of the default and of those that were chosen there
  std::vector<std::optional<double>> distances; ///< of each y; absent where the chain diverged
  std::optional<double> mean;
  std::optional<double> in_bands;               ///< Σ excess / Σ band: 1 is the 97.5 % quantile between exact samples
  std::optional<RatioOfMeans> improvement;      ///< default / this, paired by y; absent where a chain diverged, as the next
  std::optional<RatioOfMeans> over_tuned;       ///< tuned / this
  std::vector<Check> checks;                    ///< of its diagnosis under the first test y
};

/// Girsanov's bound with a weight on the test measurements: what ζ*(t) is for.
struct PathBound {
  std::string name;                          ///< "default", "tuned", "best constant" (for this bound, on the training y), "schedule"
  std::optional<double> constant;            ///< the weight, where it is one
  std::vector<double> kl;                    ///< of each y, in nats
  double mean = 0.0;
  std::optional<RatioOfMeans> over_constant; ///< best constant / this, paired by y
};

struct TuneResult {
  std::string problem, title, sampler, parameter;
  TuningMetric metric = TuningMetric::sliced_w2;
  TuningRange range;
  std::size_t num_particles = 0, num_train = 0, num_test = 0;
  double confidence = 0.0;
  std::size_t num_collapsed = 0;           ///< test measurements whose posterior is carried by fewer than 5 effective atoms
  double default_value = 0.0;
  TuningSearch search;
  std::vector<OptimalWeight> optimal_weights;  ///< empty if the sampler takes no weight schedule
  WeightSchedule schedule;                     ///< ζ*(t); no times where the guidance is negligible at all of them
  std::optional<TuningSearch> schedule_search; ///< the constant c of c ζ*(t), within kScheduleScale
  WeightSchedule tempered;                     ///< √ζ*(t); no times where there is none
  std::optional<TuningSearch> tempered_search; ///< the constant c of c √ζ*(t), within kScheduleScale
  std::vector<PathBound> path_bounds;          ///< empty if the sampler takes no weight schedule
  std::vector<TestedSetting> tested;           ///< the default, and what there is of the others
  double seconds = 0.0;

  const TestedSetting* find(const std::string& name) const;
  /// The setting that is least on the training y, of the default and those with a constant chosen there: what to take, told without a look at the
  /// test y. Null if each had a chain that diverged.
  const TestedSetting* recommended() const;
};

/// Chooses one scalar parameter of a sampler so that its final states come closest to the exact posterior, on measurements simulated from
/// the problem's own prior, and says on further ones what that is worth.
///
/// Every candidate sees the same y, starts and random numbers, so that their differences are the parameter's doing. A scan over the range is
/// followed by golden section between the neighbours of its best. For samplers that take a weight schedule ζ*(t) is computed on the same
/// training measurements, and constants c for c ζ*(t) and c √ζ*(t) are tuned likewise. Test measurements take no part in any choice.
/// @throws UsageError if the sampler has no such scalar parameter, or is `exact`; InvalidArgument if an end of the range is no value of it
/// @cost (num_scanned + num_refined) num_train chains, three times with a schedule, and up to 5 num_test, of num_particles each
TuneResult tune(const Problem& problem, const SamplerSpec& spec, const std::string& parameter, const TuningRange& range,
                const TuneOptions& options, Observer& observer);

}  // namespace fslens
