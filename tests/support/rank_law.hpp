// What ranks are distributed as where truth and draws are Gaussian: an oracle for calibration.
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

namespace fslens::test {

/// P(rank = r), r = 0 … L, of a truth among L draws where truth − mean of the draws is N(offset, variance) in units of the draws' standard
/// deviation: given the truth the rank is binomial with p = Φ(truth), so P(r) = E[C(L, r) p^r (1 − p)^{L−r}], by the trapezoid rule.
inline std::vector<double> rank_law(std::size_t draws, double offset, double variance) {
  std::vector<double> law(draws + 1, 0.0);
  constexpr int kPoints = 4000;
  constexpr double kReach = 9.0;
  const double sd = std::sqrt(variance), count = static_cast<double>(draws);
  for (int i = 0; i <= kPoints; ++i) {
    const double u = kReach * (2.0 * i / kPoints - 1.0), z = offset + sd * u;
    const double weight = std::exp(-0.5 * u * u) / std::sqrt(2.0 * std::numbers::pi) * 2.0 * kReach / kPoints;
    const double log_p = std::log(0.5 * std::erfc(-z / std::numbers::sqrt2)), log_q = std::log(0.5 * std::erfc(z / std::numbers::sqrt2));
    for (std::size_t r = 0; r <= draws; ++r) {
      const double k = static_cast<double>(r);
      const double log_binomial = std::lgamma(count + 1) - std::lgamma(k + 1) - std::lgamma(count - k + 1);
      law[r] += weight * std::exp(log_binomial + (r > 0 ? k * log_p : 0.0) + (r < draws ? (count - k) * log_q : 0.0));
    }
  }
  return law;
}

}  // namespace fslens::test
