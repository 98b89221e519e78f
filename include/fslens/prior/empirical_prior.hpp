// The empirical prior Σ π_i δ(x_i) of a finite training set, and its exact denoiser.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fslens/diffusion/denoiser.hpp"
#include "fslens/kernels/soft_assignment.hpp"

namespace fslens {

class KeptMoments;

/// Σ_i π_i δ(x_i): N atoms with optional weights and integer labels. Immutable; share it by shared_ptr.
class EmpiricalPrior {
 public:
  /// `weights` empty: 1/N each; else ≥ 0 with a positive sum, normalised here. `labels` empty or one an atom. `origins` empty, or for each
  /// atom the datum that it was made from: atoms of one origin are copies of each other.
  /// @throws InvalidArgument
  explicit EmpiricalPrior(AtomTable atoms, std::span<const double> weights = {}, std::vector<int> labels = {},
                          std::vector<std::size_t> origins = {});

  const AtomTable& atoms() const { return atoms_; }
  std::size_t num_atoms() const { return atoms_.count(); }
  std::size_t dim() const { return atoms_.dim(); }
  std::span<const double> log_weights() const { return log_weights_; }  ///< log π_i
  const std::vector<int>& labels() const { return labels_; }
  const std::vector<std::size_t>& origins() const { return origins_; }
  /// The same prior without atom i and those of its origin: their weight is 0, the others' are normalised again. The atoms keep their
  /// places and are shared.
  /// @throws InvalidArgument if there is no such atom, or no weight is left
  EmpiricalPrior without(std::size_t i) const;

 private:
  AtomTable atoms_;
  std::vector<double> log_weights_;
  std::vector<int> labels_;
  std::vector<std::size_t> origins_;
};

/// Mean Σ w_i x_i [d] and covariance Σ w_i (x_i − mean)(x_i − mean)ᵀ [d, d] of the atoms under weights w that sum to 1.
struct AtomMoments {
  std::vector<double> mean;
  Matrix covariance;
};
/// @shape log_weights [N]   @cost d² for each atom that counts
AtomMoments atom_moments(const EmpiricalPrior& prior, std::span<const double> log_weights);

/// The exact denoiser of Σ exp(log_weights_i) δ(x_i): m = Σ w_i x_i, C = Σ w_i (x_i − m)(x_i − m)ᵀ.
///
/// With the prior's weights it is the prior's denoiser; with the posterior weights ω it is that of p(x_0 | y).
class EmpiricalDenoiser final : public Denoiser {
 public:
  EmpiricalDenoiser(std::shared_ptr<const EmpiricalPrior> prior, NoiseSchedule schedule, AssignmentOptions options = {},
                    std::vector<double> log_weights = {});

  std::size_t dim() const override { return prior_->dim(); }
  const NoiseSchedule& schedule() const override { return schedule_; }
  std::shared_ptr<const Denoiser> for_other_particles() const override;
  void denoise(ConstBatchView x, double t, BatchView mean) const override;
  void covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v,
                          BatchView product) const override;
  /// From the projected atoms A x_i: one sweep, whatever m is.
  void projected_covariance(ConstBatchView x, double t, ConstBatchView mean, MatrixView<const double> projection,
                            BatchView out) const override;
  /// One sweep for the moments; the second, for the product, uses its weights again.
  void denoise_and_multiply(ConstBatchView x, double t, MatrixView<const double> projection, const Direction& direction,
                            BatchView mean, BatchView product) const override;
  /// The weights of one sweep, the factors 1 + ⟨P(x_i − m), u⟩ on them, and one sum over the atoms.
  void guided_mean(ConstBatchView x, double t, MatrixView<const double> projection, bool want_covariance, const Tilt& tilt,
                   BatchView guided) const override;

 private:
  SoftAssignmentRequest request(ConstBatchView x, double t, Matrix& shifted) const;

  std::shared_ptr<const EmpiricalPrior> prior_;
  NoiseSchedule schedule_;
  AssignmentOptions options_;
  std::shared_ptr<const std::vector<double>> log_weights_;
  std::shared_ptr<TrajectoryMemory> memory_ = std::make_shared<TrajectoryMemory>();
  std::shared_ptr<KeptMoments> moments_;  // of projected_covariance
};

/// A request for the soft assignment of x_t = x at time t; `shifted` must outlive it (it holds x − b(t) where b(t) ≠ 0).
SoftAssignmentRequest assignment_request(const AtomTable& atoms, const NoiseSchedule& schedule, ConstBatchView x, double t,
                                         const AssignmentOptions& options, Matrix& shifted);

}  // namespace fslens
