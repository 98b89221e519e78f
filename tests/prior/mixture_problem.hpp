// Random Gaussian mixtures under affine measurements, and their posterior by the joint law of (x_t, y) in long double.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "fslens/measurement/likelihood.hpp"
#include "fslens/operators/matrix.hpp"
#include "fslens/prior/gaussian_mixture.hpp"
#include "fslens/rng/stream.hpp"
#include "prior/naive_posterior.hpp"

namespace fslens {

/// K components in d dimensions with full covariances, y = A x + b + N(0, Σ_n) in m dimensions, Σ_n correlated.
struct MixtureProblem {
  Matrix means, matrix, noise;
  std::vector<Matrix> covariances;
  std::vector<double> weights, bias, y;
  std::shared_ptr<const GaussianMixture> prior;
  std::shared_ptr<const Likelihood> likelihood;

  MixtureProblem(std::size_t count, std::size_t d, std::size_t m, std::uint64_t seed)
      : means(count, d), matrix(m, d), noise(m, m), weights(count), bias(m), y(m) {
    const RandomStream stream(seed);
    for (std::size_t k = 0; k < count; ++k) {
      weights[k] = 0.2 + stream.uniform(0, k);
      covariances.push_back(random_covariance(d, stream.child("covariance", k)));
      for (std::size_t i = 0; i < d; ++i) means(k, i) = 1.5 * stream.normal(1, k, i);
    }
    noise = random_covariance(m, stream.child("noise"));
    for (std::size_t j = 0; j < m; ++j) {
      bias[j] = stream.normal(2, j);
      y[j] = bias[j] + stream.normal(3, j);
      for (std::size_t i = 0; i < d; ++i) matrix(j, i) = stream.normal(4, j, i);
    }
    prior = std::make_shared<GaussianMixture>(means, covariances, weights);
    likelihood =
        std::make_shared<Likelihood>(std::make_shared<MatrixOperator>(matrix, bias), GaussianNoise::full(noise), y);
  }

  /// B Bᵀ/d + 0.2 I with normal B.
  static Matrix random_covariance(std::size_t d, const RandomStream& stream) {
    Matrix out(d, d);
    for (std::size_t i = 0; i < d; ++i)
      for (std::size_t j = 0; j < d; ++j) {
        double sum = i == j ? 0.2 : 0.0;
        for (std::size_t k = 0; k < d; ++k)
          sum += stream.normal(0, i, k) * stream.normal(0, j, k) / static_cast<double>(d);
        out(i, j) = sum;
      }
    return out;
  }

  std::size_t dim() const { return means.cols(); }
  naive::Real log_weight(std::size_t k) const {
    naive::Real sum = 0;
    for (const double w : weights) sum += w;
    return std::log(weights[k] / sum);
  }

  /// What observing rows of z = B x_0 + c + N(0, R) with value `z` says of x_0: E, Cov and the joint weights.
  naive::State observe(const naive::Square& b, const naive::Vector& c, const naive::Square& r,
                       const naive::Vector& z) const {
    const std::size_t d = dim(), rows = z.size();
    naive::Vector log_joint;
    naive::Square component_means;
    std::vector<naive::Square> component_covariances;
    for (std::size_t k = 0; k < means.rows(); ++k) {
      naive::Square cross(d, naive::Vector(rows, 0)), s = r;  // Σ Bᵀ and B Σ Bᵀ + R
      naive::Vector residual(rows);
      for (std::size_t i = 0; i < d; ++i)
        for (std::size_t j = 0; j < rows; ++j)
          for (std::size_t l = 0; l < d; ++l) cross[i][j] += naive::Real(covariances[k](i, l)) * b[j][l];
      for (std::size_t j = 0; j < rows; ++j) {
        residual[j] = z[j] - c[j];
        for (std::size_t i = 0; i < d; ++i) residual[j] -= b[j][i] * naive::Real(means(k, i));
        for (std::size_t l = 0; l < rows; ++l)
          for (std::size_t i = 0; i < d; ++i) s[j][l] += b[j][i] * cross[i][l];
      }
      log_joint.push_back(log_weight(k) + naive::log_gaussian(s, residual));
      naive::Vector mean(means.row(k).begin(), means.row(k).end());
      naive::Square covariance(d, naive::Vector(d));
      for (std::size_t i = 0; i < d; ++i) {
        const naive::Vector gain = naive::solve(s, cross[i]).solution;
        for (std::size_t j = 0; j < rows; ++j) mean[i] += gain[j] * residual[j];
        for (std::size_t l = 0; l < d; ++l) {
          covariance[i][l] = covariances[k](i, l);
          for (std::size_t j = 0; j < rows; ++j) covariance[i][l] -= gain[j] * cross[l][j];
        }
      }
      component_means.push_back(mean);
      component_covariances.push_back(covariance);
    }
    return naive::mix(log_joint, component_means, component_covariances);
  }

  /// Given x_t = x, y or both. log_density is that of what is given.
  naive::State given(bool state, bool measurement, const NoiseSchedule& schedule, double t,
                     const naive::Vector& x) const {
    const std::size_t d = dim(), m = measurement ? y.size() : 0, top = state ? d : 0;
    naive::Square b(top + m, naive::Vector(d, 0)), r(top + m, naive::Vector(top + m, 0));
    naive::Vector c(top + m), z(top + m);
    for (std::size_t i = 0; i < top; ++i) {
      b[i][i] = schedule.a(t);
      r[i][i] = schedule.s2(t);
      c[i] = schedule.shift(t);
      z[i] = x[i];
    }
    for (std::size_t j = 0; j < m; ++j) {
      for (std::size_t i = 0; i < d; ++i) b[top + j][i] = matrix(j, i);
      for (std::size_t l = 0; l < m; ++l) r[top + j][top + l] = noise(j, l);
      c[top + j] = bias[j];
      z[top + j] = y[j];
    }
    return observe(b, c, r, z);
  }

  Matrix states(const NoiseSchedule& schedule, double t, std::size_t particles) const {
    const RandomStream stream(5);
    Matrix x(particles, dim());
    for (std::size_t p = 0; p < particles; ++p)
      for (std::size_t i = 0; i < dim(); ++i)
        x(p, i) = schedule.a(t) * (means(p % means.rows(), i) + stream.normal(0, p, i)) + schedule.shift(t) +
                  schedule.s(t) * stream.normal(1, p, i);
    return x;
  }
};

}  // namespace fslens
