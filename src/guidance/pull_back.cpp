#include "pull_back.hpp"

#include "fslens/core/error.hpp"

namespace fslens {

void require_guidance_input(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                            ConstBatchView mean) {
  denoiser.schedule().require_time("t", t);
  require_size("x.cols", x.cols(), denoiser.dim(), "the dimension of the denoiser");
  require_size("likelihood.input_dim", likelihood.input_dim(), denoiser.dim(), "the dimension of the denoiser");
  require_size("mean.rows", mean.rows(), x.rows(), "the particles of x");
  require_size("mean.cols", mean.cols(), x.cols(), "the dimension of x");
}

void pull_back(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
               ConstBatchView v, BatchView score) {
  const NoiseSchedule& schedule = denoiser.schedule();
  Matrix gradient(x.rows(), x.cols());
  likelihood.forward().vjp(mean, v, gradient);
  denoiser.covariance_product(x, t, mean, gradient, score);
  const double scale = schedule.a(t) / schedule.s2(t);
  for (std::size_t b = 0; b < score.rows(); ++b)
    for (double& value : score.row(b)) value *= scale;
}

void weigh_and_pull_back(const Guidance::ResidualWeight& weight, const Denoiser& denoiser, const Likelihood& likelihood,
                         ConstBatchView x, double t, ConstBatchView mean, BatchView score) {
  Matrix projected(x.rows(), weight.projection.rows() * weight.projection.rows());
  if (weight.projection.rows() > 0) denoiser.projected_covariance(x, t, mean, weight.projection, projected);
  Matrix residual(x.rows(), likelihood.output_dim());
  likelihood.residual(mean, residual);
  weight.apply(projected, residual);
  pull_back(denoiser, likelihood, x, t, mean, residual, score);
}

}  // namespace fslens
