// The lens of a smoothed training set, under an affine operator.
#pragma once

#include <memory>

#include "fslens/lens/lens.hpp"
#include "fslens/prior/smoothed_mixture.hpp"

namespace fslens {

/// The exact posterior of the smoothed prior Σ π_i N(x_i, H): informative where the weights of the raw lens collapse onto one atom. As H → 0
/// it is the raw lens. Its fields carry no proven error bounds: the transformations around the kernel are plain float64.
/// mathematics.md, section 2b.
class SmoothedLens final : public Lens {
 public:
  /// @throws InvalidArgument if the operator is not affine (give `jittered` atoms to a FiniteSampleLens then), or as FiniteSampleLens
  SmoothedLens(std::shared_ptr<const EmpiricalPrior> atoms, SmoothingKernel kernel, NoiseSchedule schedule,
               std::shared_ptr<const Likelihood> likelihood, AssignmentOptions options = {});

  std::size_t num_components() const override { return atoms_->num_atoms(); }
  void copy_component(std::size_t i, std::span<double> out) const override { atoms_->atoms().copy_atom(i, out); }
  void copy_posterior_component(std::size_t i, std::span<double> out) const override { posterior_->copy_mean(i, out); }
  double component_variance() const override { return posterior_->component_variance(); }
  bool has_atoms() const override { return false; }
  const EmpiricalPrior& atoms() const { return *atoms_; }
  const SmoothingKernel& kernel() const { return kernel_; }
  const SmoothedMixture& mixture(Measure measure) const { return measure == Measure::prior ? *prior_ : *posterior_; }

  LensFields fields(ConstBatchView x, double t) const override;
  std::vector<double> log_prior_density(ConstBatchView x, double t) const override;
  std::vector<double> log_posterior_density(ConstBatchView x, double t) const override;
  Matrix mode_responsibilities(ConstBatchView x, double t, const ModePartition& modes, Measure measure) const override;
  /// The nearest atom to (x − b)/a, as in the raw lens.
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
  std::shared_ptr<const EmpiricalPrior> atoms_;
  SmoothingKernel kernel_;
  AssignmentOptions options_;
  std::shared_ptr<const SmoothedMixture> prior_;
  std::shared_ptr<const SmoothedMixture> posterior_;
};

/// Atoms for a lens that no closed form smooths (another operator than an affine one): `copies` of each, x_i + N(0, H), of equal weight. Copies
/// of an atom are left out together.
/// @cost N · copies · d doubles   @throws InvalidArgument if copies is 0
std::shared_ptr<const EmpiricalPrior> jittered(const EmpiricalPrior& atoms, const SmoothingKernel& kernel, std::size_t copies,
                                               const RandomStream& stream);

}  // namespace fslens
