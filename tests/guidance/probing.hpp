// What every test of a guidance does with it: evaluate it, and differentiate its density.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "fslens/guidance/guidance.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens::test {

inline Matrix states(const NoiseSchedule& schedule, double t, std::size_t particles, std::size_t dim,
                     std::uint64_t seed = 5) {
  Matrix x(particles, dim);
  RandomStream(seed).fill_normal(0, x);
  for (double& value : x.values()) value = schedule.shift(t) + value * std::hypot(schedule.a(t), schedule.s(t));
  return x;
}

inline Matrix score_of(const Guidance& guidance, const Denoiser& denoiser, const Likelihood& likelihood,
                       const Matrix& x, double t) {
  Matrix mean(x.rows(), x.cols());
  Matrix score(x.rows(), x.cols());
  denoiser.denoise(x, t, mean);
  guidance.score(denoiser, likelihood, x, t, mean, score);
  return score;
}

inline std::optional<std::vector<double>> density_of(const Guidance& guidance, const Denoiser& denoiser,
                                                     const Likelihood& likelihood, const Matrix& x, double t) {
  Matrix mean(x.rows(), x.cols());
  denoiser.denoise(x, t, mean);
  return guidance.log_likelihood(denoiser, likelihood, x, t, mean);
}

inline double largest_difference(const Matrix& a, const Matrix& b) {
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a.values()[i] - b.values()[i]));
  return largest;
}

inline double largest(const Matrix& a) { return largest_difference(a, Matrix(a.rows(), a.cols())); }

/// The score must be the central difference of the guidance's own log-density.
inline void expect_score_is_gradient(const Guidance& guidance, const Denoiser& denoiser, const Likelihood& likelihood,
                                     const Matrix& x, double t, double relative_tolerance = 1e-6) {
  const Matrix score = score_of(guidance, denoiser, likelihood, x, t);
  const double step = 1e-5;
  for (std::size_t j = 0; j < x.cols(); ++j) {
    Matrix above = x;
    Matrix below = x;
    for (std::size_t b = 0; b < x.rows(); ++b) {
      above(b, j) += step;
      below(b, j) -= step;
    }
    const auto high = density_of(guidance, denoiser, likelihood, above, t);
    const auto low = density_of(guidance, denoiser, likelihood, below, t);
    ASSERT_TRUE(high && low) << guidance.name();
    for (std::size_t b = 0; b < x.rows(); ++b)
      EXPECT_NEAR(score(b, j), ((*high)[b] - (*low)[b]) / (2 * step), relative_tolerance * (1.0 + largest(score)))
          << guidance.name() << " particle " << b << " coordinate " << j << " t " << t;
  }
}

}  // namespace fslens::test
