// From the sums of a fixed-point pass to moments and their bounds.
#pragma once

#include <vector>

#include "error_bound.hpp"
#include "fixed_point_sweep.hpp"

namespace fslens::kernels {

/// Turns the sums of one batch of particles into moments and their bounds. `p` is a particle's place in the batch.
class FixedPointWriter {
 public:
  /// @param totals by band and measure
  FixedPointWriter(const FixedPointJob& job, const std::vector<LaneTotals>& totals, SoftAssignmentResult& result)
      : job_(job), totals_(totals), result_(result), size_(request_size(job.request)) {}

  /// Writes its moments. @return what is held against the tolerance, under the worse measure. `summary`: for a product that is to follow
  double write(std::size_t p, WeightSummary& summary);
  /// For a guided mean: nothing is written, and Tr C is bounded by Σ w ‖x_i − x̄‖², since the mean is not known.
  WeightSummary summarise(std::size_t p) const;
  /// Σ w φ_i / Σ w under a measure. @shape out [q]
  void write_features(std::size_t m, std::size_t p, std::span<double> out) const;

 private:
  double write_measure(std::size_t m, std::size_t p, WeightSummary& summary);
  double write_mean(const LaneTotals& totals, std::size_t lane, std::size_t p, double weight, SoftAssignmentMoments& out, double& tilt) const;
  WeightSummary summary_of(const LaneTotals& totals, std::size_t lane, const WeightError& weights, const MomentSize& size,
                           const MomentError& error) const;
  WeightError weight_error(std::size_t m, std::size_t p, const LaneTotals& totals, std::size_t lane) const;
  MomentSize moment_size(std::size_t m, const LaneTotals& totals, std::size_t lane, double variance, double second, double centered) const;
  double mean_digit_error(std::size_t m, const LaneTotals& totals, std::size_t lane) const;
  double normaliser_rounding(std::size_t m, std::size_t p, double log_normaliser) const;
  static std::size_t lane_of(std::size_t p) { return p % (kGroupsPerTask * kLanes); }
  const LaneTotals& totals_of(std::size_t m, std::size_t p) const {
    return totals_[p / (kGroupsPerTask * kLanes) * job_.request.log_weights.size() + m];
  }

  const FixedPointJob& job_;
  const std::vector<LaneTotals>& totals_;
  SoftAssignmentResult& result_;
  RequestSize size_;
};

}  // namespace fslens::kernels
