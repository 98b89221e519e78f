// What a sampler knows of the prior: its denoiser.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "fslens/core/matrix.hpp"
#include "fslens/diffusion/schedule.hpp"

namespace fslens {

/// The denoiser of some prior under a noise schedule: m(x, t) = E[x_0 | x_t = x], and products with its covariance
/// C(x, t) = Cov[x_0 | x_t = x]. The Jacobian of m is symmetric, J = ∂m/∂x = (a/s²) C, so no autodiff is needed.
///
/// Samplers and guidance see a prior through this interface only, whatever stands behind it: atoms, a Gaussian mixture,
/// a network. Every call is batched and const, and may be made from several threads at once;
/// implementations run their own parallel loops. Batches are [num_particles, dim()].
class Denoiser {
 public:
  virtual ~Denoiser() = default;
  virtual std::size_t dim() const = 0;
  virtual const NoiseSchedule& schedule() const = 0;

  /// The same denoiser for the particles of one run, where one remembers something of its particles from call to call: batches that take
  /// turns would disturb each other. Null: this one remembers nothing and serves them all.
  virtual std::shared_ptr<const Denoiser> for_other_particles() const { return nullptr; }

  /// mean ← m(x, t). @shape x, mean [B, d]
  virtual void denoise(ConstBatchView x, double t, BatchView mean) const = 0;

  /// product ← C(x, t) v, row by row; `mean` must be what denoise(x, t) gave. Jᵀv = (a/s²) C v. @shape all [B, d]
  virtual void covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v,
                                  BatchView product) const = 0;

  /// out.row(b) ← A C(x_b, t) Aᵀ, row-major m×m. @shape projection [m, d], out [B, m·m]
  /// The default asks for m covariance products; priors that can do better override it.
  virtual void projected_covariance(ConstBatchView x, double t, ConstBatchView mean, MatrixView<const double> projection,
                                    BatchView out) const;

  /// Makes v from the moments of a block of particles: rows of the batch, their means [P, d] and A C Aᵀ [P, m·m] (no columns
  /// without a projection). May be called from several threads at once.
  using Direction = std::function<void(std::span<const std::size_t> rows, ConstBatchView means, ConstBatchView projected,
                                       BatchView directions)>;
  /// A guided step in one call: mean ← m(x, t), then product ← C(x, t) v with the v that `direction` makes of it. The default
  /// makes the calls above one after the other; a prior that can share work between them overrides it.
  /// @shape projection [m, d] or empty; x, mean, product [B, d]
  virtual void denoise_and_multiply(ConstBatchView x, double t, MatrixView<const double> projection, const Direction& direction,
                                    BatchView mean, BatchView product) const;

  /// What a guided mean's direction is made of, for a block of particles: rows of the batch, P m [n, q], and P C Pᵀ [n, q·q], which has
  /// no columns unless it was asked for. May be called from several threads at once.
  using Tilt = std::function<void(std::span<const std::size_t> rows, ConstBatchView projected_means, ConstBatchView projected_covariances,
                                  BatchView tilts)>;
  /// guided ← m(x, t) + C(x, t) Pᵀ u with the u that `tilt` makes: a guided step along the few rows of P. The default makes it of
  /// denoise_and_multiply; a prior that need not know m itself overrides it. @shape projection [q, d]; x, guided [B, d]
  virtual void guided_mean(ConstBatchView x, double t, MatrixView<const double> projection, bool want_covariance, const Tilt& tilt,
                           BatchView guided) const;
};

}  // namespace fslens
