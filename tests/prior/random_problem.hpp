// Random empirical problems: clustered atoms with uneven weights, some of them 0, and a measurement of one of them.
#pragma once

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "fslens/measurement/likelihood.hpp"
#include "fslens/operators/elementwise.hpp"
#include "fslens/operators/matrix.hpp"
#include "fslens/prior/empirical_prior.hpp"
#include "fslens/rng/stream.hpp"
#include "prior/naive_posterior.hpp"

namespace fslens {

/// Every schedule, among them one with a shift: `ou` pulls towards 0.7.
inline std::vector<NoiseSchedule> every_schedule() {
  return {NoiseSchedule::vp_linear(), NoiseSchedule::vp_cosine(),      NoiseSchedule::vp_discrete(),
          NoiseSchedule::ve(),        NoiseSchedule::ve({.rho = 7.0}), NoiseSchedule::ou({.sigma = 1.1, .mean = 0.7}),
          NoiseSchedule::flow()};
}

/// The t at which a²/s² is exp(log_snr): the same amount of noise for each schedule.
inline double time_of(const NoiseSchedule& schedule, double log_snr) {
  return schedule.time_of_log_snr(log_snr, 1e-6, schedule.t_max());
}

enum class Measured { projection, correlated, squares };

/// N atoms in d dimensions, measured by A x + b (independent or correlated noise) or by x².
struct RandomProblem {
  std::size_t count, dim;
  Matrix atoms;
  std::vector<double> weights;
  std::shared_ptr<const EmpiricalPrior> prior;
  std::shared_ptr<const Likelihood> likelihood;
  naive::Vector log_likelihood;  ///< ℓ_i, by brute force
  naive::Vector log_weights;     ///< log π_i, by brute force

  RandomProblem(std::size_t n, std::size_t d, Measured measured, std::uint64_t seed)
      : count(n), dim(d), atoms(n, d), weights(n) {
    const RandomStream stream(seed);
    for (std::size_t i = 0; i < n; ++i) {
      // Every seventh atom has no weight; the others' differ 20-fold.
      weights[i] = i % 7 == 3 ? 0.0 : 0.05 + stream.uniform(0, i);
      for (std::size_t k = 0; k < d; ++k) atoms(i, k) = 2.0 * stream.normal(1, i % 4, k) + 0.3 * stream.normal(2, i, k);
    }
    prior = std::make_shared<EmpiricalPrior>(
        AtomTable(std::vector<double>(atoms.values().begin(), atoms.values().end()), n, d), weights);
    measure(measured, stream);
    naive::Real sum = 0;
    for (const double w : weights) sum += w;
    for (const double w : weights) log_weights.push_back(std::log(naive::Real(w) / sum));
  }

  naive::Square rows() const {
    naive::Square out;
    for (std::size_t i = 0; i < count; ++i) out.emplace_back(atoms.row(i).begin(), atoms.row(i).end());
    return out;
  }
  /// log π_i + ℓ_i − log p(y), and log p(y).
  std::pair<naive::Vector, naive::Real> posterior_log_weights() const {
    naive::Vector logs = log_weights;
    for (std::size_t i = 0; i < count; ++i) logs[i] += log_likelihood[i];
    const naive::Real evidence = naive::log_sum_exp(logs);
    for (naive::Real& value : logs) value -= evidence;
    return {logs, evidence};
  }
  /// B states: noised atoms, and the last one far outside.
  Matrix states(const NoiseSchedule& schedule, double t, std::size_t particles, std::uint64_t seed) const {
    const RandomStream stream(seed);
    Matrix x(particles, dim);
    for (std::size_t b = 0; b < particles; ++b)
      for (std::size_t k = 0; k < dim; ++k)
        x(b, k) = schedule.a(t) * atoms((5 * b) % count, k) + schedule.shift(t) +
                  schedule.s(t) * stream.normal(0, b, k) + (b + 1 == particles ? 12.0 : 0.0);
    return x;
  }

 private:
  void measure(Measured measured, const RandomStream& stream) {
    const std::size_t m = measured == Measured::squares ? dim : 2;
    Matrix a(m, dim);
    std::vector<double> bias(m), y(m), sigma(m);
    Matrix noise(m, m);
    for (std::size_t j = 0; j < m; ++j) {
      bias[j] = 0.3 * stream.normal(3, j);
      sigma[j] = 0.4 + 0.3 * stream.uniform(4, j);
      for (std::size_t k = 0; k < dim; ++k) a(j, k) = stream.normal(5, j, k);
      for (std::size_t l = 0; l < m; ++l)
        noise(j, l) = measured == Measured::correlated ? (j == l ? 0.3 : 0.2) : (j == l ? sigma[j] * sigma[j] : 0.0);
    }
    naive::Square covariance(m);
    for (std::size_t j = 0; j < m; ++j) covariance[j].assign(noise.row(j).begin(), noise.row(j).end());
    const auto apply = [&](std::size_t i, std::size_t j) -> naive::Real {
      if (measured == Measured::squares) return naive::Real(atoms(i, j)) * naive::Real(atoms(i, j));
      naive::Real sum = bias[j];
      for (std::size_t k = 0; k < dim; ++k) sum += naive::Real(a(j, k)) * naive::Real(atoms(i, k));
      return sum;
    };
    for (std::size_t j = 0; j < m; ++j) y[j] = static_cast<double>(apply(1, j)) + 0.5 * stream.normal(6, j);
    for (std::size_t i = 0; i < count; ++i) {
      naive::Vector residual;
      for (std::size_t j = 0; j < m; ++j) residual.push_back(naive::Real(y[j]) - apply(i, j));
      log_likelihood.push_back(naive::log_gaussian(covariance, residual));
    }
    ForwardOperatorPtr forward = std::make_shared<SquareOperator>(dim);
    if (measured != Measured::squares) forward = std::make_shared<MatrixOperator>(a, bias);
    likelihood = std::make_shared<Likelihood>(
        forward, measured == Measured::correlated ? GaussianNoise::full(noise) : GaussianNoise::per_component(sigma),
        y);
  }
};

}  // namespace fslens
