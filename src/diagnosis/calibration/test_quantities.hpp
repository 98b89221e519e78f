// What is asked of truth and draws in a calibration: fixed functions of state and measurement.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "fslens/diagnosis/calibration.hpp"
#include "fslens/diagnosis/simulated_problem.hpp"

namespace fslens {

inline constexpr const char* kClassifier = "c2st";

/// Directions, metric and features are made from draws of the prior before any replicate: they know nothing of truths and draws.
class TestQuantities {
 public:
  /// `t` is the time of the states. A statistic that is refused has no values.
  TestQuantities(const Problem& problem, double t, const RandomStream& stream);

  /// Those that have ranks, in the order of `values` (a refused one has none and comes after them), then the classifier.
  const std::vector<CalibrationStatistic>& statistics() const { return statistics_; }
  std::size_t num_ranked() const;

  /// The test quantities of states for the measurement of `simulated`. hpd is −log p_t(x | y) and tarp the distance from `reference`,
  /// so that the rank of the truth is the number of draws inside of the region that reaches to it.
  /// @shape x [n, d], reference [d], result [num_ranked(), n]
  Matrix values(const SimulatedProblem& simulated, ConstBatchView x, std::span<const double> reference) const;

  /// What the classifier sees of a state: its coordinates or projections, and y or projections of it.
  std::vector<double> features(const SimulatedProblem& simulated, std::span<const double> x) const;

 private:
  void add_coordinates();
  void add_regions(const Problem& problem);
  void add_classifier(const Problem& problem);

  double t_;
  Matrix state_directions_;        // [k, d]
  Matrix measurement_directions_;  // [q, m]
  std::vector<double> scale_;      // prior standard deviations of x_t [d]
  std::vector<CalibrationStatistic> statistics_;
};

}  // namespace fslens
