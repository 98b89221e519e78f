// Gaussian and Gaussian-mixture priors: everything is closed form at every diffusion time.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "fslens/diffusion/denoiser.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {

struct ConditionedMixture;

/// Σ_k π_k N(μ_k, Σ_k) with full covariances; one component is a Gaussian. Immutable.
///
/// At time t the marginal is Σ_k π_k N(a μ_k + b, G_k), G_k = a² Σ_k + s² I, and given x_t = x component k has
/// mean m_k = μ_k + a Σ_k G_k⁻¹ (x − b − a μ_k) and covariance C_k = Σ_k − a² Σ_k G_k⁻¹ Σ_k.
class GaussianMixture {
 public:
  /// @shape means [K, d]; covariances K of [d, d], symmetric positive definite; weights [K] or empty (1/K).
  /// @throws InvalidArgument
  GaussianMixture(Matrix means, std::vector<Matrix> covariances, std::span<const double> weights = {});

  std::size_t num_components() const { return means_.rows(); }
  std::size_t dim() const { return means_.cols(); }
  const Matrix& means() const { return means_; }
  const Matrix& covariance(std::size_t k) const { return covariances_[k]; }
  std::span<const double> log_weights() const { return log_weights_; }

  /// What is known at (x, t), row by row.
  struct Fields {
    std::vector<double> log_density;  ///< log p_t(x) [B]
    Matrix mean;                      ///< m(x, t) [B, d]
    std::vector<double> variance;     ///< Tr C(x, t) [B]
    Matrix responsibilities;          ///< p(component | x_t = x) [B, K]
  };
  Fields fields(const NoiseSchedule& schedule, ConstBatchView x, double t) const;
  /// C(x, t) in full, row-major. @shape x [B, d], result [B, d·d]
  Matrix denoiser_covariance(const NoiseSchedule& schedule, ConstBatchView x, double t) const;

  /// Mean and covariance of x_0.
  std::vector<double> mean() const;
  Matrix covariance() const;
  /// Draws of x_0 and the component of each: particle b uses the draws of (step, b).
  Matrix sample(std::size_t count, const RandomStream& stream, std::uint64_t step, std::vector<std::size_t>& component) const;

 private:
  friend class GaussianMixtureDenoiser;
  friend ConditionedMixture condition(const GaussianMixture&, MatrixView<const double>, std::span<const double>,
                                      MatrixView<const double>, std::span<const double>);
  struct Spectrum;  // Σ_k = Q Λ Qᵀ
  Matrix means_;
  std::vector<Matrix> covariances_;
  std::vector<double> log_weights_;
  std::vector<std::shared_ptr<const Spectrum>> spectra_;
};

/// p(x_0 | y) for y = A x_0 + b + N(0, Σ_n), and log p(y).
struct ConditionedMixture {
  GaussianMixture posterior;
  double log_evidence;
};
/// @shape matrix [m, d], bias and y [m], noise_covariance [m, m]
ConditionedMixture condition(const GaussianMixture& prior, MatrixView<const double> matrix, std::span<const double> bias,
                             MatrixView<const double> noise_covariance, std::span<const double> y);

class GaussianMixtureDenoiser final : public Denoiser {
 public:
  GaussianMixtureDenoiser(std::shared_ptr<const GaussianMixture> mixture, NoiseSchedule schedule)
      : mixture_(std::move(mixture)), schedule_(std::move(schedule)) {}
  std::size_t dim() const override { return mixture_->dim(); }
  const NoiseSchedule& schedule() const override { return schedule_; }
  void denoise(ConstBatchView x, double t, BatchView mean) const override;
  void covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v,
                          BatchView product) const override;

 private:
  std::shared_ptr<const GaussianMixture> mixture_;
  NoiseSchedule schedule_;
};

}  // namespace fslens
