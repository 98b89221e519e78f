// Denoisers in closed form, for tests: a Gaussian prior and a handful of atoms, written as plainly as possible.
#pragma once

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/diffusion/denoiser.hpp"

namespace fslens::test {

/// Prior N(μ, V): m = μ + a V G⁻¹ (x − a μ − b), C = s² V G⁻¹, G = a² V + s² I.
class GaussianDenoiser final : public Denoiser {
 public:
  GaussianDenoiser(NoiseSchedule schedule, Eigen::VectorXd mean, Eigen::MatrixXd covariance)
      : schedule_(std::move(schedule)), mean_(std::move(mean)), covariance_(std::move(covariance)) {}

  std::size_t dim() const override { return static_cast<std::size_t>(mean_.size()); }
  const NoiseSchedule& schedule() const override { return schedule_; }

  void denoise(ConstBatchView x, double t, BatchView mean) const override {
    const double a = schedule_.a(t);
    const Eigen::MatrixXd gain = a * shrink(t);
    for (std::size_t b = 0; b < x.rows(); ++b) {
      Eigen::VectorXd state = Eigen::Map<const Eigen::VectorXd>(x.row(b).data(), mean_.size());
      state.array() -= schedule_.shift(t);
      Eigen::Map<Eigen::VectorXd>(mean.row(b).data(), mean_.size()) = mean_ + gain * (state - a * mean_);
    }
  }

  void covariance_product(ConstBatchView x, double t, ConstBatchView, ConstBatchView v,
                          BatchView product) const override {
    const Eigen::MatrixXd posterior = covariance_at(t);
    for (std::size_t b = 0; b < x.rows(); ++b)
      Eigen::Map<Eigen::VectorXd>(product.row(b).data(), mean_.size()) =
          posterior * Eigen::Map<const Eigen::VectorXd>(v.row(b).data(), mean_.size());
  }

  /// C(t), the same for every x.
  Eigen::MatrixXd covariance_at(double t) const { return schedule_.s2(t) * shrink(t); }

 private:
  /// V G⁻¹, symmetric because V and G commute.
  Eigen::MatrixXd shrink(double t) const {
    const double a = schedule_.a(t);
    const auto d = mean_.size();
    const Eigen::MatrixXd marginal = a * a * covariance_ + schedule_.s2(t) * Eigen::MatrixXd::Identity(d, d);
    return marginal.llt().solve(covariance_);
  }

  NoiseSchedule schedule_;
  Eigen::VectorXd mean_;
  Eigen::MatrixXd covariance_;
};

/// Prior Σ π_i δ(x_i), by the textbook sums; the weights need not be normalised.
class AtomDenoiser final : public Denoiser {
 public:
  AtomDenoiser(NoiseSchedule schedule, Matrix atoms, std::vector<double> log_weights)
      : schedule_(std::move(schedule)), atoms_(std::move(atoms)), log_weights_(std::move(log_weights)) {}

  std::size_t dim() const override { return atoms_.cols(); }
  const NoiseSchedule& schedule() const override { return schedule_; }

  std::vector<double> responsibilities(std::span<const double> x, double t) const {
    std::vector<double> w(log_weights_);
    for (std::size_t i = 0; i < w.size(); ++i)
      for (std::size_t j = 0; j < x.size(); ++j) {
        const double gap = x[j] - schedule_.a(t) * atoms_(i, j) - schedule_.shift(t);
        w[i] -= gap * gap / (2.0 * schedule_.s2(t));
      }
    const double largest = *std::ranges::max_element(w);
    double sum = 0.0;
    for (double& value : w) sum += value = std::exp(value - largest);
    for (double& value : w) value /= sum;
    return w;
  }

  void denoise(ConstBatchView x, double t, BatchView mean) const override {
    for (std::size_t b = 0; b < x.rows(); ++b) {
      const auto w = responsibilities(x.row(b), t);
      std::ranges::fill(mean.row(b), 0.0);
      for (std::size_t i = 0; i < w.size(); ++i)
        for (std::size_t j = 0; j < x.cols(); ++j) mean(b, j) += w[i] * atoms_(i, j);
    }
  }

  void covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v,
                          BatchView product) const override {
    for (std::size_t b = 0; b < x.rows(); ++b) {
      const auto w = responsibilities(x.row(b), t);
      std::vector<double> sum(x.cols(), 0.0);
      for (std::size_t i = 0; i < w.size(); ++i) {
        double inner = 0.0;
        for (std::size_t j = 0; j < x.cols(); ++j) inner += (atoms_(i, j) - mean(b, j)) * v(b, j);
        for (std::size_t j = 0; j < x.cols(); ++j) sum[j] += w[i] * inner * (atoms_(i, j) - mean(b, j));
      }
      std::ranges::copy(sum, product.row(b).begin());
    }
  }

 private:
  NoiseSchedule schedule_;
  Matrix atoms_;
  std::vector<double> log_weights_;
};

}  // namespace fslens::test
