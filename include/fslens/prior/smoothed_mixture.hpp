// The smoothed prior Σ π_i N(x_i, H), its posterior under an affine measurement, and their exact denoiser.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "fslens/diffusion/denoiser.hpp"
#include "fslens/prior/empirical_prior.hpp"
#include "fslens/prior/smoothing_kernel.hpp"
#include "fslens/rng/categorical.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {

class SharedCovariance;
struct ConditionedSmoothedMixture;
class SmoothedDenoiser;

/// Σ_i w_i N(μ_i, Λ) with as many components as there are atoms: μ_i = M x_i + c, and one covariance Λ for all. The prior has M = I, c = 0,
/// Λ = H; its posterior under y = A x + b + N(0, Σ_n) has M = I − K A, c = K (y − b), Λ = H − K A H, K = H Aᵀ S⁻¹, S = A H Aᵀ + Σ_n, and
/// w_i ∝ π_i N(y; A x_i + b, S). Immutable; the atoms are shared, in the type that they have.
///
/// At time t the marginal is Σ w_i N(a μ_i + b, G), G = a² Λ + s² I. In logits −½ ‖x − b − a μ_i‖²_{G⁻¹} the atoms appear through a product
/// with Mᵀ G⁻¹ (x − b − …) and a quadratic form of their own: so it is one soft assignment of transformed states to the atoms as they lie,
/// whose log-weights depend on t. With an isotropic prior they do not, and nothing differs from the raw lens but s².
/// mathematics.md, section 2b.
class SmoothedMixture {
 public:
  SmoothedMixture(std::shared_ptr<const EmpiricalPrior> atoms, const SmoothingKernel& kernel);

  std::size_t num_components() const { return atoms_->num_atoms(); }
  std::size_t dim() const { return atoms_->dim(); }
  const EmpiricalPrior& atoms() const { return *atoms_; }
  std::span<const double> log_weights() const { return *log_weights_; }
  /// out ← μ_i. @shape out [d]   @cost d K, or d² with a covariance kernel after a measurement
  void copy_mean(std::size_t i, std::span<double> out) const;
  double component_variance() const;  ///< Tr Λ
  /// Λ [d, d]
  Matrix component_covariance() const;
  /// μ_i = M x_i + c [N, d]
  Matrix component_means() const;
  /// Mean and covariance of x_0.
  AtomMoments moments() const;

  /// p(x_0 | y) for y = A x_0 + b + N(0, Σ_n). For the prior only: a posterior is not conditioned again.
  /// @shape matrix [m, d], bias, y [m], noise_covariance [m, m]   @throws InvalidArgument if no component explains y
  /// @cost m² d + N m (d + m); kernel `covariance`: d³ more
  ConditionedSmoothedMixture condition(MatrixView<const double> matrix, std::span<const double> bias,
                                       MatrixView<const double> noise_covariance, std::span<const double> y) const;

  /// What is known at (x, t), row by row.
  struct Fields {
    std::vector<double> log_density;  ///< log p_t(x) [B]
    Matrix mean;                      ///< m(x, t) [B, d]
    std::vector<double> variance;     ///< Tr C(x, t) [B]
  };
  Fields fields(const NoiseSchedule& schedule, ConstBatchView x, double t, const AssignmentOptions& options) const;
  std::vector<double> log_density(const NoiseSchedule& schedule, ConstBatchView x, double t, const AssignmentOptions& options) const;
  /// Σ_i w_i(x, t) φ_i for values φ of the components. @shape result [B, features.size]
  Matrix feature_means(const NoiseSchedule& schedule, ConstBatchView x, double t, const AtomFeatures& features,
                       const AssignmentOptions& options) const;
  /// Each row r ← Λ^{1/2} r: rows of N(0, I) become rows of N(0, Λ). @shape rows [B, d]
  void color(Matrix& rows) const;
  /// Draws of x_0 and the component of each: particle b uses the draws of (step, b).
  Matrix sample(std::size_t count, const RandomStream& stream, std::uint64_t step, std::vector<std::size_t>& component) const;

 private:
  friend class SmoothedDenoiser;
  struct Assignment;    // a soft assignment at one time, and the way back from it
  struct TimedWeights;  // log-weights at the times asked for last
  SmoothedMixture(const SmoothedMixture& prior, std::vector<double> log_weights);
  Assignment assignment(const NoiseSchedule& schedule, ConstBatchView x, double t, const AssignmentOptions& options) const;
  bool weights_depend_on_time() const;
  double query_variance(double a, double s2) const;
  std::shared_ptr<const std::vector<double>> weights_at(double a, double s2) const;
  void store_squares();
  void map(Matrix& rows) const;             // each row r ← M r
  void map_transposed(Matrix& rows) const;  // each row r ← Mᵀ r

  std::shared_ptr<const EmpiricalPrior> atoms_;
  std::shared_ptr<const std::vector<double>> log_weights_;
  std::shared_ptr<const SharedCovariance> covariance_;  // Λ = Q diag(λ) Qᵀ
  std::vector<double> shrink_;                          // M = Q diag(shrink) Qᵀ, 1 outside of Q …
  Matrix map_;                                          // … or, if this is not empty, M itself [d, d]
  std::vector<double> center_;                          // M x̄ + c [d]
  // ⟨q_k, x_i − x̄⟩² [N, K], or ⟨q_k, M (x_i − x̄)⟩² with a map_, and their means over the atoms.
  std::vector<double> squares_;
  std::vector<double> mean_squares_;
  std::shared_ptr<const Categorical> choose_;
  std::shared_ptr<TimedWeights> timed_;
};

/// p(x_0 | y), and log p(y).
struct ConditionedSmoothedMixture {
  SmoothedMixture posterior;
  double log_evidence;
};

/// The exact denoiser of a smoothed mixture: m = Σ w_i [μ_i + a Λ G⁻¹ (x − b − a μ_i)], C = s² Λ G⁻¹ + T (Σ w_i (x_i − x̄_w)(x_i − x̄_w)ᵀ) Tᵀ
/// with T = s² G⁻¹ M and x̄_w = Σ w_i x_i. At the cost of the raw lens's, and d K for each state, K ≤ d the directions in which Λ is not
/// isotropic.
class SmoothedDenoiser final : public Denoiser {
 public:
  SmoothedDenoiser(std::shared_ptr<const SmoothedMixture> mixture, NoiseSchedule schedule, AssignmentOptions options = {});

  std::size_t dim() const override { return mixture_->dim(); }
  const NoiseSchedule& schedule() const override { return schedule_; }
  std::shared_ptr<const Denoiser> for_other_particles() const override;
  void denoise(ConstBatchView x, double t, BatchView mean) const override;
  void covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v, BatchView product) const override;
  void projected_covariance(ConstBatchView x, double t, ConstBatchView mean, MatrixView<const double> projection,
                            BatchView out) const override;
  void denoise_and_multiply(ConstBatchView x, double t, MatrixView<const double> projection, const Direction& direction,
                            BatchView mean, BatchView product) const override;

 private:
  SmoothedMixture::Assignment assignment(ConstBatchView x, double t) const;

  std::shared_ptr<const SmoothedMixture> mixture_;
  NoiseSchedule schedule_;
  AssignmentOptions options_;
  std::shared_ptr<TrajectoryMemory> memory_ = std::make_shared<TrajectoryMemory>();
};

}  // namespace fslens
