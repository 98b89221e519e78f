#include "fslens/metrics/ecdf_band.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

constexpr double kNegligible = 1e-18;  // of the largest probability of a law: terms beyond cannot change a sum

/// The probabilities of a law on whole numbers, from its mode outwards to where they are negligible.
struct MassWindow {
  std::size_t first = 0;
  std::vector<double> mass;

  /// `up(k)` = P(k + 1)/P(k), for k < last.
  template <class Ratio>
  MassWindow(std::size_t mode, double log_mass, std::size_t last, const Ratio& up) {
    std::vector<double> below;
    const double peak = std::exp(log_mass);
    double p = peak;
    for (std::size_t k = mode; k > 0 && p > kNegligible * peak; --k) below.push_back(p /= up(k - 1));
    first = mode - below.size();
    mass.assign(below.rbegin(), below.rend());
    mass.push_back(p = peak);
    for (std::size_t k = mode; k < last && p > kNegligible * peak; ++k) mass.push_back(p *= up(k));
  }
  double at(std::size_t k) const { return k < first || k >= first + mass.size() ? 0.0 : mass[k - first]; }
};

MassWindow binomial(std::size_t n, double p) {
  const double count = static_cast<double>(n);
  const auto mode = std::min(n, static_cast<std::size_t>((count + 1.0) * p));
  const double k = static_cast<double>(mode);
  const double log_mass = std::lgamma(count + 1) - std::lgamma(k + 1) - std::lgamma(count - k + 1) + k * std::log(p) + (count - k) * std::log1p(-p);
  return {mode, log_mass, n, [&](std::size_t j) { return (count - static_cast<double>(j)) / (static_cast<double>(j) + 1.0) * p / (1.0 - p); }};
}

MassWindow poisson(double mean, std::size_t last) {
  const auto mode = std::min(last, static_cast<std::size_t>(mean));
  const double k = static_cast<double>(mode);
  return {mode, k * std::log(mean) - mean - std::lgamma(k + 1), last, [&](std::size_t j) { return mean / (static_cast<double>(j) + 1.0); }};
}

void require_cumulative(std::size_t n, std::span<const double> cumulative) {
  require(n > 0, "n", "0", "must be at least one draw");
  for (std::size_t i = 0; i < cumulative.size(); ++i)
    require(cumulative[i] > (i == 0 ? 0.0 : cumulative[i - 1]) && cumulative[i] < 1.0, fmt::format("cumulative[{}]", i),
            fmt::format("{}", cumulative[i]), "must ascend strictly within (0, 1)");
}

/// The laws that a band is made of, computed once for all the bands that are tried.
class BandProblem {
 public:
  BandProblem(std::size_t n, std::span<const double> cumulative) : n_(n) {
    require_cumulative(n, cumulative);
    double before = 0.0;
    for (const double value : cumulative) {
      counts_.push_back(binomial(n, value));
      steps_.push_back(poisson(static_cast<double>(n) * (value - before), n));
      before = value;
    }
    steps_.push_back(poisson(static_cast<double>(n) * (1.0 - before), n));
    all_ = poisson(static_cast<double>(n), n).at(n);
  }

  double probability(std::span<const std::size_t> low, std::span<const std::size_t> high) const {
    std::vector<double> path{1.0}, next;
    std::size_t first = 0;
    for (std::size_t i = 0; i < low.size(); ++i) {
      if (high[i] < low[i]) return 0.0;
      next.assign(std::min(high[i], n_) - low[i] + 1, 0.0);
      const MassWindow& step = steps_[i];
      for (std::size_t k = 0; k < path.size(); ++k) {
        // Where the step leads into the band: from first + k to low … high.
        const std::size_t nearest = std::max(first + k + step.first, low[i]);
        const std::size_t furthest = std::min(first + k + step.first + step.mass.size(), low[i] + next.size());
        for (std::size_t to = nearest; to < furthest; ++to) next[to - low[i]] += path[k] * step.mass[to - first - k - step.first];
      }
      path.swap(next);
      first = low[i];
    }
    double sum = 0.0;
    for (std::size_t k = 0; k < path.size() && first + k <= n_; ++k) sum += path[k] * steps_.back().at(n_ - first - k);
    return std::min(1.0, sum / all_);
  }

  /// P(N_i < low_i) ≤ gamma/2 and P(N_i > high_i) ≤ gamma/2, as narrow as that allows.
  void quantiles(double gamma, std::vector<std::size_t>& low, std::vector<std::size_t>& high) const {
    low.clear();
    high.clear();
    for (const MassWindow& count : counts_) {
      double tail = 0.0;
      std::size_t k = 0;
      while (tail + count.mass[k] <= 0.5 * gamma) tail += count.mass[k++];
      low.push_back(count.first + k);
      tail = 0.0;
      k = count.mass.size() - 1;
      while (tail + count.mass[k] <= 0.5 * gamma) tail += count.mass[k--];
      high.push_back(count.first + k);
    }
  }

 private:
  std::size_t n_;
  std::vector<MassWindow> counts_;  // N_i
  std::vector<MassWindow> steps_;   // N_{i+1} − N_i before they are made to add up, and what is left after the last point
  double all_ = 0.0;                // P(Poisson(n) = n)
};

}  // namespace

double non_crossing_probability(std::size_t n, std::span<const double> cumulative, std::span<const std::size_t> low,
                                std::span<const std::size_t> high) {
  require_size("low", low.size(), cumulative.size(), "one a point");
  require_size("high", high.size(), cumulative.size(), "one a point");
  return BandProblem(n, cumulative).probability(low, high);
}

bool EcdfBand::contains(std::span<const double> ecdf) const {
  require_size("ecdf", ecdf.size(), low.size(), "one a point of the band");
  constexpr double kRounding = 1e-12;  // both are whole numbers over n
  for (std::size_t i = 0; i < ecdf.size(); ++i)
    if (!(ecdf[i] >= low[i] - kRounding && ecdf[i] <= high[i] + kRounding)) return false;
  return true;
}

EcdfBand simultaneous_ecdf_band(std::size_t n, std::span<const double> cumulative, double confidence) {
  require_confidence(confidence);
  const BandProblem problem(n, cumulative);
  std::vector<std::size_t> low, high;
  const auto coverage_at = [&](double gamma) {
    problem.quantiles(gamma, low, high);
    return problem.probability(low, high);
  };
  // Between Bonferroni's level, which holds for certain, and that of a single point.
  double safe = std::log((1.0 - confidence) / static_cast<double>(std::max<std::size_t>(1, cumulative.size())));
  double wide = std::log(1.0 - confidence);
  constexpr double kAccuracy = 1e-4;  // relative, of gamma
  while (wide - safe > kAccuracy) {
    const double middle = 0.5 * (safe + wide);
    (coverage_at(std::exp(middle)) >= confidence ? safe : wide) = middle;
  }
  EcdfBand band;
  band.gamma = std::exp(safe);
  band.coverage = coverage_at(band.gamma);
  for (std::size_t i = 0; i < low.size(); ++i) {
    band.low.push_back(static_cast<double>(low[i]) / static_cast<double>(n));
    band.high.push_back(static_cast<double>(high[i]) / static_cast<double>(n));
  }
  return band;
}

double ecdf_deviation_quantile(std::size_t n, std::span<const double> cumulative, double probability) {
  require_between("probability", probability, 0.0, 1.0);
  const BandProblem problem(n, cumulative);
  std::vector<std::size_t> low(cumulative.size()), high(cumulative.size());
  const auto within = [&](std::size_t k) {
    const double count = static_cast<double>(n), half = static_cast<double>(k);
    for (std::size_t i = 0; i < cumulative.size(); ++i) {
      low[i] = static_cast<std::size_t>(std::max(0.0, std::ceil(count * cumulative[i] - half - 1e-9)));
      high[i] = static_cast<std::size_t>(std::min(count, std::floor(count * cumulative[i] + half + 1e-9)));
    }
    return problem.probability(low, high);
  };
  std::size_t too_few = 0, enough = n;
  if (within(0) >= probability) return 0.0;
  while (enough - too_few > 1) {
    const std::size_t middle = too_few + (enough - too_few) / 2;
    (within(middle) >= probability ? enough : too_few) = middle;
  }
  return static_cast<double>(enough) / static_cast<double>(n);
}

double dkw_half_width(std::size_t n, double confidence) {
  require(n > 0, "n", "0", "must be at least one draw");
  require_confidence(confidence);
  return std::sqrt(0.5 * std::log(2.0 / (1.0 - confidence)) / static_cast<double>(n));
}

}  // namespace fslens
