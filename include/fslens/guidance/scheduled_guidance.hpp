// A guidance times a weight that depends on the diffusion time.
#pragma once

#include <memory>
#include <vector>

#include "fslens/diffusion/schedule.hpp"
#include "fslens/guidance/guidance.hpp"

namespace fslens {

/// A weight ζ(t) given at some diffusion times.
struct WeightSchedule {
  std::vector<double> t;       ///< diffusion times > 0, strictly ascending or strictly descending [T], T ≥ 1
  std::vector<double> weight;  ///< dimensionless, finite; 0 switches the guidance off, below 0 turns it round [T]

  /// ζ(t): linear in log(a²/s²) between two given times, constant beyond the first and the last.
  /// @throws InvalidArgument if a given time next to t is not a time of `noise`
  double at(const NoiseSchedule& noise, double t) const;
  bool operator==(const WeightSchedule&) const = default;
};

/// @throws InvalidArgument unless t and weight have one size ≥ 1, t is strictly monotone and > 0, and weights are finite
void require_valid(const WeightSchedule& schedule);

/// score = c ζ(t) × the score of another guidance.
///
/// The weight goes into the residual's, c ζ(t) w(r), so that a step costs what it costs without it. No density for y is implied: a power
/// of a density is not normalised, and what its normaliser is depends on x.
class ScheduledGuidance final : public Guidance {
 public:
  /// `schedule` empty (no times): ζ = 1.
  /// @throws InvalidArgument if there is no guidance, the factor c is not finite, or the schedule is not valid
  ScheduledGuidance(std::shared_ptr<const Guidance> guidance, double factor, WeightSchedule schedule = {});
  const WeightSchedule& schedule() const { return schedule_; }
  std::string name() const override { return guidance_->name(); }
  std::shared_ptr<const Guidance> for_other_particles() const override;
  double evaluations(const Likelihood& likelihood) const override { return guidance_->evaluations(likelihood); }
  bool needs_affine() const override { return guidance_->needs_affine(); }
  void score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
             BatchView score) const override;
  std::optional<ResidualWeight> residual_weight(const Denoiser& denoiser, const Likelihood& likelihood, double t) const override;
  std::optional<std::vector<double>> log_likelihood(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                                                    ConstBatchView mean) const override;

 private:
  double weight(const NoiseSchedule& noise, double t) const;

  std::shared_ptr<const Guidance> guidance_;
  double factor_;
  WeightSchedule schedule_;
};

}  // namespace fslens
