// An oracle for the lenses: densities of Gaussians written out in long double, without any of the library's kernels.
#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <vector>

#include "fslens/diffusion/schedule.hpp"

namespace fslens::naive {

using Real = long double;
using Vector = std::vector<Real>;
using Square = std::vector<Vector>;

inline const Real kLog2Pi = std::log(2 * std::numbers::pi_v<Real>);

inline Real log_sum_exp(const Vector& logs) {
  Real best = -std::numeric_limits<Real>::infinity();
  for (const Real value : logs) best = std::max(best, value);
  if (!std::isfinite(best)) return best;
  Real sum = 0;
  for (const Real value : logs) sum += std::exp(value - best);
  return best + std::log(sum);
}

/// S⁻¹ r and log det S of a symmetric positive definite S, by elimination.
struct Solved {
  Vector solution;
  Real log_determinant = 0;
};
inline Solved solve(Square s, Vector r) {
  const std::size_t n = r.size();
  Solved out;
  for (std::size_t i = 0; i < n; ++i) {
    out.log_determinant += std::log(s[i][i]);
    for (std::size_t j = i + 1; j < n; ++j) {
      const Real factor = s[j][i] / s[i][i];
      for (std::size_t k = i; k < n; ++k) s[j][k] -= factor * s[i][k];
      r[j] -= factor * r[i];
    }
  }
  out.solution.assign(n, 0);
  for (std::size_t i = n; i-- > 0;) {
    Real sum = r[i];
    for (std::size_t k = i + 1; k < n; ++k) sum -= s[i][k] * out.solution[k];
    out.solution[i] = sum / s[i][i];
  }
  return out;
}

/// log N(r; 0, S).
inline Real log_gaussian(const Square& s, const Vector& r) {
  const Solved solved = solve(s, r);
  Real quadratic = 0;
  for (std::size_t i = 0; i < r.size(); ++i) quadratic += r[i] * solved.solution[i];
  return -(quadratic + solved.log_determinant + static_cast<Real>(r.size()) * kLog2Pi) / 2;
}

/// What is known at one state.
struct State {
  Real log_density = 0;   ///< of the components' joint weights: log Σ e^{log_joint}
  Vector responsibility;  ///< of each component
  Vector mean;            ///< E[x_0 | …]
  Square covariance;      ///< Cov[x_0 | …]
};

/// Σ_k e^{log_joint_k} δ or N(mean_k, covariance_k), normalised. `covariances` empty: points.
inline State mix(const Vector& log_joint, const Square& means, const std::vector<Square>& covariances) {
  const std::size_t d = means[0].size();
  State out;
  out.log_density = log_sum_exp(log_joint);
  out.mean.assign(d, 0);
  out.covariance.assign(d, Vector(d, 0));
  for (std::size_t k = 0; k < means.size(); ++k) {
    out.responsibility.push_back(std::exp(log_joint[k] - out.log_density));
    for (std::size_t i = 0; i < d; ++i) out.mean[i] += out.responsibility[k] * means[k][i];
  }
  for (std::size_t k = 0; k < means.size(); ++k)
    for (std::size_t i = 0; i < d; ++i)
      for (std::size_t j = 0; j < d; ++j)
        out.covariance[i][j] += out.responsibility[k] * ((means[k][i] - out.mean[i]) * (means[k][j] - out.mean[j]) +
                                                         (covariances.empty() ? Real(0) : covariances[k][i][j]));
  return out;
}

inline Real trace(const Square& s) {
  Real sum = 0;
  for (std::size_t i = 0; i < s.size(); ++i) sum += s[i][i];
  return sum;
}

/// Atoms x_i with log-weights, e.g. log π_i or log π_i + ℓ_i, seen from x_t = x.
inline State atoms_at(const Square& atoms, const Vector& log_weights, const NoiseSchedule& schedule, double t,
                      const Vector& x) {
  const Real a = schedule.a(t), s2 = schedule.s2(t), shift = schedule.shift(t);
  Vector log_joint;
  for (std::size_t i = 0; i < atoms.size(); ++i) {
    Real sum = log_weights[i];
    for (std::size_t k = 0; k < x.size(); ++k) {
      const Real r = x[k] - shift - a * atoms[i][k];
      sum += -r * r / (2 * s2) - (kLog2Pi + std::log(s2)) / 2;
    }
    log_joint.push_back(sum);
  }
  return mix(log_joint, atoms, {});
}

}  // namespace fslens::naive
