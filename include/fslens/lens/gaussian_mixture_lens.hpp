// The lens of a Gaussian or Gaussian-mixture prior under an affine operator: exact without a finite sample.
#pragma once

#include <algorithm>
#include <memory>

#include "fslens/lens/lens.hpp"
#include "fslens/prior/gaussian_mixture.hpp"

namespace fslens {

class GaussianMixtureLens final : public Lens {
 public:
  /// @throws InvalidArgument if the operator is not affine: its posterior is then not a mixture.
  GaussianMixtureLens(std::shared_ptr<const GaussianMixture> prior, NoiseSchedule schedule,
                      std::shared_ptr<const Likelihood> likelihood);

  std::size_t num_components() const override { return prior_->num_components(); }
  void copy_component(std::size_t i, std::span<double> out) const override { std::ranges::copy(prior_->means().row(i), out.begin()); }
  void copy_posterior_component(std::size_t i, std::span<double> out) const override { std::ranges::copy(posterior_->means().row(i), out.begin()); }
  double component_variance() const override;
  bool has_atoms() const override { return false; }
  const GaussianMixture& posterior() const { return *posterior_; }

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
  const GaussianMixture& mixture(Measure measure) const { return measure == Measure::prior ? *prior_ : *posterior_; }
  std::shared_ptr<const GaussianMixture> prior_;
  std::shared_ptr<const GaussianMixture> posterior_;
};

}  // namespace fslens
