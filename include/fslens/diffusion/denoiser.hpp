// What a sampler knows of the prior: its denoiser.
#pragma once

#include <cstddef>

#include "fslens/core/matrix.hpp"
#include "fslens/diffusion/schedule.hpp"

namespace fslens {

/// The denoiser of some prior under a noise schedule: m(x, t) = E[x_0 | x_t = x], and products with its covariance
/// C(x, t) = Cov[x_0 | x_t = x]. The Jacobian of m is symmetric, J = ∂m/∂x = (a/s²) C, so no autodiff is needed.
///
/// Samplers and guidance see a prior through this interface only, whatever stands behind it: atoms, a Gaussian mixture,
/// a network. Every call is batched and const, and may be made from one thread at a time per object of the caller's;
/// implementations run their own parallel loops. Batches are [num_particles, dim()].
class Denoiser {
 public:
  virtual ~Denoiser() = default;
  virtual std::size_t dim() const = 0;
  virtual const NoiseSchedule& schedule() const = 0;

  /// mean ← m(x, t). @shape x, mean [B, d]
  virtual void denoise(ConstBatchView x, double t, BatchView mean) const = 0;

  /// product ← C(x, t) v, row by row; `mean` must be what denoise(x, t) gave. Jᵀv = (a/s²) C v. @shape all [B, d]
  virtual void covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v,
                                  BatchView product) const = 0;

  /// out.row(b) ← A C(x_b, t) Aᵀ, row-major m×m. @shape projection [m, d], out [B, m·m]
  /// The default asks for m covariance products; priors that can do better override it.
  virtual void projected_covariance(ConstBatchView x, double t, ConstBatchView mean, MatrixView<const double> projection,
                                    BatchView out) const;
};

}  // namespace fslens
