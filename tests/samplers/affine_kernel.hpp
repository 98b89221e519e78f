// The exact law of a sampler's chain in a Gaussian problem, without sampling.
#pragma once

#include <Eigen/Dense>
#include <vector>

#include "fslens/samplers/sampler.hpp"

namespace fslens::test {

/// x_u = K x_t + k + L ε: what one step of a sampler is when its denoiser is affine in x.
struct AffineKernel {
  Eigen::MatrixXd k;
  Eigen::VectorXd offset;
  Eigen::MatrixXd l;
};

/// Reads a step's kernel off a few particles, because their noise is known: ε_j = stream.normal(step, particle, j).
inline AffineKernel probe_kernel(const PosteriorSampler& sampler, Eigen::Index d, double t, double u,
                                 std::uint64_t step) {
  const RandomStream stream(99);
  const Eigen::Index noises = 2 * d;  // the most that any integrator draws
  const Eigen::Index rows = noises + 9;
  const auto noise_of = [&](Eigen::Index particle) {
    Eigen::VectorXd noise(noises);
    for (Eigen::Index j = 0; j < noises; ++j)
      noise(j) = stream.normal(step, static_cast<std::uint64_t>(particle), static_cast<std::uint64_t>(j));
    return noise;
  };
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  Matrix at_zero(static_cast<std::size_t>(rows), static_cast<std::size_t>(d));
  sampler.step(at_zero, t, u, step, stream);
  Eigen::MatrixXd design(rows, noises + 1);
  for (Eigen::Index b = 0; b < rows; ++b) design.row(b) << 1.0, noise_of(b).transpose();
  const Eigen::MatrixXd fit =
      design.colPivHouseholderQr().solve(Eigen::MatrixXd(Eigen::Map<RowMajor>(at_zero.data(), rows, d)));

  AffineKernel kernel{Eigen::MatrixXd(d, d), fit.row(0).transpose(), fit.bottomRows(noises).transpose()};
  Matrix at_axes(static_cast<std::size_t>(d), static_cast<std::size_t>(d));
  for (std::size_t j = 0; j < at_axes.rows(); ++j) at_axes(j, j) = 1.0;
  sampler.step(at_axes, t, u, step, stream);
  for (Eigen::Index j = 0; j < d; ++j)
    kernel.k.col(j) =
        Eigen::Map<RowMajor>(at_axes.data(), d, d).row(j).transpose() - kernel.offset - kernel.l * noise_of(j);
  return kernel;
}

/// N(mean, covariance).
struct GaussianLaw {
  Eigen::VectorXd mean;
  Eigen::MatrixXd covariance;
};

inline GaussianLaw push(const AffineKernel& kernel, const GaussianLaw& law) {
  return {kernel.k * law.mean + kernel.offset,
          kernel.k * law.covariance * kernel.k.transpose() + kernel.l * kernel.l.transpose()};
}

/// The law at grid.back() of the chain that starts from `law` at grid.front().
inline GaussianLaw chain_law(const PosteriorSampler& sampler, const std::vector<double>& grid, GaussianLaw law) {
  for (std::size_t k = 0; k + 1 < grid.size(); ++k)
    law = push(probe_kernel(sampler, law.mean.size(), grid[k], grid[k + 1], k), law);
  return law;
}

}  // namespace fslens::test
