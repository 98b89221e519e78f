// A linear-Gaussian inverse problem with its posterior in closed form.
#pragma once

#include <Eigen/Dense>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "diffusion/analytic_denoisers.hpp"
#include "fslens/measurement/likelihood.hpp"
#include "fslens/operators/matrix.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens::test {

inline Matrix to_matrix(const Eigen::MatrixXd& values) {
  Matrix out(static_cast<std::size_t>(values.rows()), static_cast<std::size_t>(values.cols()));
  for (Eigen::Index i = 0; i < values.rows(); ++i)
    for (Eigen::Index j = 0; j < values.cols(); ++j)
      out(static_cast<std::size_t>(i), static_cast<std::size_t>(j)) = values(i, j);
  return out;
}

inline std::vector<double> to_vector(const Eigen::VectorXd& values) { return {values.begin(), values.end()}; }

inline Eigen::MatrixXd random_matrix(const RandomStream& stream, std::uint64_t step, Eigen::Index rows,
                                     Eigen::Index cols) {
  Eigen::MatrixXd out(rows, cols);
  for (Eigen::Index i = 0; i < rows; ++i)
    for (Eigen::Index j = 0; j < cols; ++j)
      out(i, j) = stream.normal(step, static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(j));
  return out;
}

enum class NoiseShape { scalar, diagonal, full };

/// Prior N(μ, V), y = A x + b + N(0, Σ_n).
struct GaussianProblem {
  NoiseSchedule schedule = NoiseSchedule::vp_linear();
  Eigen::VectorXd prior_mean;
  Eigen::MatrixXd prior_covariance;
  Eigen::MatrixXd a;
  Eigen::VectorXd bias;
  NoiseShape shape = NoiseShape::scalar;
  Eigen::MatrixXd noise;
  Eigen::VectorXd y;

  std::shared_ptr<GaussianDenoiser> denoiser() const {
    return std::make_shared<GaussianDenoiser>(schedule, prior_mean, prior_covariance);
  }
  std::shared_ptr<GaussianDenoiser> posterior_denoiser() const {
    return std::make_shared<GaussianDenoiser>(schedule, posterior_mean(), posterior_covariance());
  }
  std::shared_ptr<Likelihood> likelihood() const {
    GaussianNoise gaussian =
        shape == NoiseShape::scalar ? GaussianNoise::scalar(static_cast<std::size_t>(y.size()), std::sqrt(noise(0, 0)))
        : shape == NoiseShape::diagonal ? GaussianNoise::per_component(to_vector(noise.diagonal().cwiseSqrt()))
                                        : GaussianNoise::full(to_matrix(noise));
    return std::make_shared<Likelihood>(std::make_shared<MatrixOperator>(to_matrix(a), to_vector(bias)),
                                        std::move(gaussian), to_vector(y));
  }
  Eigen::MatrixXd gain() const {
    const Eigen::MatrixXd s = a * prior_covariance * a.transpose() + noise;
    return s.llt().solve(a * prior_covariance).transpose();
  }
  Eigen::VectorXd posterior_mean() const { return prior_mean + gain() * (y - a * prior_mean - bias); }
  Eigen::MatrixXd posterior_covariance() const {
    const Eigen::MatrixXd c = prior_covariance - gain() * a * prior_covariance;
    return 0.5 * (c + c.transpose());
  }
  /// Of p_t(x | y).
  Eigen::VectorXd marginal_mean(double t) const {
    return (schedule.a(t) * posterior_mean()).array() + schedule.shift(t);
  }
  Eigen::MatrixXd marginal_covariance(double t) const {
    const auto d = prior_mean.size();
    return std::pow(schedule.a(t), 2) * posterior_covariance() + schedule.s2(t) * Eigen::MatrixXd::Identity(d, d);
  }
};

inline GaussianProblem random_problem(std::size_t dim, std::size_t measurements, NoiseShape shape, std::uint64_t seed,
                                      NoiseSchedule schedule = NoiseSchedule::vp_linear()) {
  const auto d = static_cast<Eigen::Index>(dim);
  const auto m = static_cast<Eigen::Index>(measurements);
  const RandomStream stream(seed);
  GaussianProblem problem;
  problem.schedule = std::move(schedule);
  problem.prior_mean = random_matrix(stream, 0, d, 1);
  const Eigen::MatrixXd root = random_matrix(stream, 1, d, d) / std::sqrt(static_cast<double>(d));
  problem.prior_covariance = root * root.transpose() + 0.2 * Eigen::MatrixXd::Identity(d, d);
  problem.a = random_matrix(stream, 2, m, d) / std::sqrt(static_cast<double>(d));
  problem.bias = random_matrix(stream, 3, m, 1);
  problem.shape = shape;
  const Eigen::MatrixXd noise_root = 0.3 * random_matrix(stream, 4, m, m);
  problem.noise = noise_root * noise_root.transpose() + 0.1 * Eigen::MatrixXd::Identity(m, m);
  if (shape == NoiseShape::scalar) problem.noise = 0.09 * Eigen::MatrixXd::Identity(m, m);
  if (shape == NoiseShape::diagonal) problem.noise = problem.noise.diagonal().asDiagonal().toDenseMatrix();
  problem.y = problem.a * (problem.prior_mean + root * random_matrix(stream, 5, d, 1)) + problem.bias +
              random_matrix(stream, 6, m, 1);
  return problem;
}

/// The one-dimensional Gaussian oracle: prior variance 0.6, y = 1.2 x + n, σ = 0.25.
inline GaussianProblem scalar_oracle() {
  GaussianProblem problem;
  problem.prior_mean = Eigen::VectorXd::Constant(1, 0.4);
  problem.prior_covariance = Eigen::MatrixXd::Constant(1, 1, 0.6);
  problem.a = Eigen::MatrixXd::Constant(1, 1, 1.2);
  problem.bias = Eigen::VectorXd::Constant(1, 0.0);
  problem.noise = Eigen::MatrixXd::Constant(1, 1, 0.0625);
  problem.y = Eigen::VectorXd::Constant(1, 0.9);
  return problem;
}

}  // namespace fslens::test
