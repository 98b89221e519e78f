#include "fslens/metrics/pareto_shape.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace fslens {
namespace {

/// Exceedances ascend and are positive. The posterior mean of θ under Zhang and Stephens' prior, then k(θ) = mean log(1 − θ x).
double fitted_shape(const std::vector<double>& exceedances) {
  const std::size_t n = exceedances.size();
  const double count = static_cast<double>(n);
  const double quartile = exceedances[static_cast<std::size_t>(std::floor(count / 4.0 + 0.5)) - 1];
  const double largest = exceedances.back();
  const auto candidates = static_cast<std::size_t>(20.0 + std::floor(std::sqrt(count)));
  const auto shape_of = [&](double theta) {
    double sum = 0.0;
    for (const double x : exceedances) sum += std::log1p(-theta * x);
    return sum / count;
  };
  std::vector<double> thetas, log_likelihoods;
  for (std::size_t j = 1; j <= candidates; ++j) {
    const double theta =
        1.0 / largest + (1.0 - std::sqrt(static_cast<double>(candidates) / (static_cast<double>(j) - 0.5))) / (3.0 * quartile);
    const double shape = shape_of(theta);
    thetas.push_back(theta);
    log_likelihoods.push_back(count * (std::log(-theta / shape) - shape - 1.0));
  }
  const double best = *std::ranges::max_element(log_likelihoods);
  double weighted = 0.0, weights = 0.0;
  for (std::size_t j = 0; j < thetas.size(); ++j) {
    const double weight = std::exp(log_likelihoods[j] - best);
    weighted += weight * thetas[j];
    weights += weight;
  }
  return shape_of(weighted / weights);
}

}  // namespace

std::optional<double> pareto_shape(std::span<const double> log_ratios) {
  constexpr std::size_t kFewest = 5;
  std::vector<double> sorted(log_ratios.begin(), log_ratios.end());
  std::ranges::sort(sorted);
  const double n = static_cast<double>(sorted.size());
  const auto tail = static_cast<std::size_t>(std::ceil(std::min(0.2 * n, 3.0 * std::sqrt(n))));
  if (tail < kFewest || tail + 1 > sorted.size()) return std::nullopt;
  const double top = sorted.back(), cutoff = std::exp(sorted[sorted.size() - tail - 1] - top);
  std::vector<double> exceedances;
  for (std::size_t j = sorted.size() - tail; j < sorted.size(); ++j)
    if (const double x = std::exp(sorted[j] - top) - cutoff; x > 0.0) exceedances.push_back(x);
  if (exceedances.size() < kFewest) return std::nullopt;
  const double count = static_cast<double>(exceedances.size());
  constexpr double kPriorCount = 10.0;
  const double shape = (count * fitted_shape(exceedances) + 0.5 * kPriorCount) / (count + kPriorCount);
  return std::isfinite(shape) ? std::optional(shape) : std::nullopt;
}

}  // namespace fslens
