// The lens of a finite training set.
#pragma once

#include <memory>

#include "fslens/lens/lens.hpp"
#include "fslens/prior/empirical_prior.hpp"
#include "fslens/rng/categorical.hpp"

namespace fslens {

/// The exact posterior of an empirical prior: ω_i ∝ π_i p(y | A(x_i)), for any operator, linear or not.
/// @source burns2026finite
class FiniteSampleLens final : public Lens {
 public:
  FiniteSampleLens(std::shared_ptr<const EmpiricalPrior> prior, NoiseSchedule schedule,
                   std::shared_ptr<const Likelihood> likelihood, AssignmentOptions options = {});

  std::size_t num_components() const override { return prior_->num_atoms(); }
  void copy_component(std::size_t i, std::span<double> out) const override { prior_->atoms().copy_atom(i, out); }
  bool has_atoms() const override { return true; }
  const EmpiricalPrior& prior() const { return *prior_; }

  LensFields fields(ConstBatchView x, double t) const override;
  std::vector<double> log_prior_density(ConstBatchView x, double t) const override;
  std::vector<double> log_posterior_density(ConstBatchView x, double t) const override;
  Matrix mode_responsibilities(ConstBatchView x, double t, const ModePartition& modes, Measure measure) const override;
  std::vector<std::size_t> assign(ConstBatchView x, double t) const override;
  std::shared_ptr<const Denoiser> denoiser(Measure measure) const override;
  std::shared_ptr<const Denoiser> denoiser(Measure measure, AssignmentOptions options) const override;
  std::shared_ptr<const Lens> remeasured(std::shared_ptr<const Likelihood> likelihood,
                                         std::optional<std::size_t> left_out = std::nullopt) const override;

 protected:
  Matrix scaled_log_evidences(ConstBatchView y, std::span<const double> noise_scales, std::span<const std::size_t> left_out) const override;
  Draws sample_clean(Measure measure, std::size_t count, const RandomStream& stream, std::uint64_t step) const override;
  Moments clean_moments(Measure measure) const override;

 private:
  std::vector<double> log_density(ConstBatchView x, double t, Measure measure) const;

  std::shared_ptr<const EmpiricalPrior> prior_;
  AssignmentOptions options_;
  double log_evidence_error_ = 0.0;
  std::shared_ptr<TrajectoryMemory> memory_ = std::make_shared<TrajectoryMemory>();  // of fields
  std::vector<Categorical> choose_;  // by π and by ω
};

}  // namespace fslens
