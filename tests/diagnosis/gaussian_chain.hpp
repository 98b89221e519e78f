// A Gaussian prior on the line under Euler–Maruyama: chain, exact posterior and exact transitions in closed form, by hand.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "fslens/diffusion/schedule.hpp"

namespace fslens::test {

struct LineGaussian {
  double mean = 0.0, variance = 0.0;
};

inline double gaussian_kl(const LineGaussian& p, const LineGaussian& q) {
  const double gap = p.mean - q.mean;
  return 0.5 * (p.variance / q.variance - 1.0 - std::log(p.variance / q.variance) + gap * gap / q.variance);
}

/// x_u = slope x + offset + √variance ε.
struct LineStep {
  double slope = 0.0, offset = 0.0, variance = 0.0;
};

/// Prior N(0.5, 0.6), y = 1.2 x_0 − 0.1 + N(0, 0.25²) = 0.8: kGaussian, and gaussian-1d.
struct LineProblem {
  NoiseSchedule schedule = NoiseSchedule::vp_linear();
  double prior_mean = 0.5, prior_variance = 0.6, gain = 1.2, bias = -0.1, noise = 0.0625, y = 0.8;

  LineGaussian posterior() const {
    const double precision = 1.0 / prior_variance + gain * gain / noise;
    return {(prior_mean / prior_variance + gain * (y - bias) / noise) / precision, 1.0 / precision};
  }
  LineGaussian exact(double t) const {
    const double a = schedule.a(t);
    return {a * posterior().mean, a * a * posterior().variance + schedule.s2(t)};
  }
  /// p(x_u | x_t, y), by conditioning the Gaussian (x_u, x_t) given y: x_t = (a_t/a_u) x_u + independent noise.
  LineStep exact_step(double t, double u) const {
    const double ratio = schedule.a(t) / schedule.a(u), cross = ratio * exact(u).variance;
    const double slope = cross / exact(t).variance;
    return {slope, exact(u).mean - slope * exact(t).mean, exact(u).variance - slope * cross};
  }
  /// One Euler–Maruyama step of "lens-sde", "tmpd", "pigdm" (flat) or "dps-sigma": x + (β/2 x + β score) Δ + √(βΔ) ε.
  LineStep step(const std::string& method, double t, double u) const {
    const double a = schedule.a(t), s2 = schedule.s2(t), beta = 0.01 + 19.99 * t, delta = t - u;
    const double marginal = a * a * prior_variance + s2;
    double slope = -1.0 / marginal, offset = a * prior_mean / marginal;  // of the score
    if (method == "lens-sde") {
      slope = -1.0 / exact(t).variance, offset = exact(t).mean / exact(t).variance;
    } else {
      const double jacobian = a * prior_variance / marginal;
      const double covariance = s2 * prior_variance / marginal;
      const double spread = noise + gain * gain * (method == "tmpd" ? covariance : method == "pigdm" ? s2 / (a * a) : 0.0);
      const double weight = jacobian * gain / spread;
      slope -= weight * gain * jacobian;
      offset += weight * (y - bias - gain * (prior_mean - jacobian * a * prior_mean));
    }
    return {1.0 + (0.5 * beta + beta * slope) * delta, beta * offset * delta, beta * delta};
  }
  LineGaussian chain(const std::string& method, const std::vector<double>& grid, std::size_t steps) const {
    LineGaussian law{0.0, schedule.s2(grid[0])};
    for (std::size_t k = 0; k < steps; ++k) {
      const LineStep kernel = step(method, grid[k], grid[k + 1]);
      law = {kernel.slope * law.mean + kernel.offset, kernel.slope * kernel.slope * law.variance + kernel.variance};
    }
    return law;
  }
  /// KL of the start, then of every step, expected under the exact path.
  std::vector<double> path_kl(const std::string& method, const std::vector<double>& grid) const {
    std::vector<double> total{gaussian_kl(exact(grid[0]), {0.0, schedule.s2(grid[0])})};
    for (std::size_t k = 0; k + 1 < grid.size(); ++k) {
      const LineStep own = step(method, grid[k], grid[k + 1]), true_step = exact_step(grid[k], grid[k + 1]);
      const LineGaussian x = exact(grid[k]);
      const double slope = own.slope - true_step.slope, gap = slope * x.mean + own.offset - true_step.offset;
      const double square = gap * gap + slope * slope * x.variance;
      total.push_back(total.back() + gaussian_kl({0.0, true_step.variance}, {0.0, own.variance}) + 0.5 * square / own.variance);
    }
    return total;
  }
};

}  // namespace fslens::test
