#include "fslens/metrics/total_variation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "fslens/core/error.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

std::optional<std::size_t> bin_of(double value, std::span<const double> edges) {
  if (value < edges.front() || value > edges.back()) return std::nullopt;
  const auto above = std::upper_bound(edges.begin(), edges.end(), value);
  const auto bin = static_cast<std::size_t>(above - edges.begin()) - 1;
  return std::min(bin, edges.size() - 2);
}

// `counts` have the outside as their last entry; its probability is what the bins lack of 1.
HistogramTotalVariation compare(std::span<const std::size_t> counts, std::span<const double> bin_probabilities,
                                std::size_t sample_size) {
  std::vector<double> probabilities(bin_probabilities.begin(), bin_probabilities.end());
  probabilities.push_back(std::max(0.0, 1.0 - std::accumulate(probabilities.begin(), probabilities.end(), 0.0)));
  const double n = static_cast<double>(sample_size);
  double distance = 0.0;
  double mean = 0.0;
  double mean_square = 0.0;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const double fraction = static_cast<double>(counts[k]) / n;
    const double difference = fraction - probabilities[k];
    distance += std::abs(difference);
    mean += 0.5 * sign(difference) * fraction;
    mean_square += 0.25 * std::abs(sign(difference)) * fraction;
  }
  const double variance = std::max(0.0, mean_square - mean * mean) * n / (n - 1);
  return {0.5 * distance, std::sqrt(variance / n), static_cast<double>(counts.back()) / n};
}

HistogramTotalVariation compare_with_bins(ConstBatchView x, std::span<const double> bin_probabilities,
                                          std::span<const std::span<const double>> edges) {
  require_sample("x", x, 2);
  require_size("x columns", x.cols(), edges.size(), "one for every list of edges");
  std::size_t bins = 1;
  for (std::size_t j = 0; j < edges.size(); ++j) {
    require_ascending(fmt::format("edges{}", j), edges[j]);
    bins *= edges[j].size() - 1;
  }
  require_size("bin_probabilities", bin_probabilities.size(), bins, "the number of bins");
  require_probabilities("bin_probabilities", bin_probabilities, false);
  if (!all_finite(x) || !all_finite(bin_probabilities)) return {kNan, kNan, kNan};

  std::vector<std::size_t> counts(bins + 1, 0);
  for (std::size_t b = 0; b < x.rows(); ++b) {
    std::size_t place = 0;
    bool inside = true;
    for (std::size_t j = 0; j < edges.size(); ++j) {
      const auto bin = bin_of(x(b, j), edges[j]);
      inside = inside && bin;
      place = place * (edges[j].size() - 1) + bin.value_or(0);
    }
    ++counts[inside ? place : bins];
  }
  return compare(counts, bin_probabilities, x.rows());
}

std::vector<double> trapezoid_weights(std::span<const double> points) {
  std::vector<double> weights(points.size(), 0.0);
  for (std::size_t i = 1; i < points.size(); ++i) {
    const double half = 0.5 * (points[i] - points[i - 1]);
    weights[i - 1] += half;
    weights[i] += half;
  }
  return weights;
}

void require_density(std::string_view name, MatrixView<const double> values) {
  for (std::size_t i = 0; i < values.rows(); ++i)
    for (std::size_t j = 0; j < values.cols(); ++j)
      require(!(values(i, j) < 0), fmt::format("{}[{}, {}]", name, i, j), fmt::format("{}", values(i, j)),
              "must not be negative");
}

DensityTotalVariation integrate(MatrixView<const double> p, MatrixView<const double> q,
                                std::span<const double> weights0, std::span<const double> weights1) {
  require_density("p", p);
  require_density("q", q);
  DensityTotalVariation result;
  for (std::size_t i = 0; i < weights0.size(); ++i)
    for (std::size_t j = 0; j < weights1.size(); ++j) {
      const double weight = weights0[i] * weights1[j];
      result.value += 0.5 * weight * std::abs(p(i, j) - q(i, j));
      result.mass_p += weight * p(i, j);
      result.mass_q += weight * q(i, j);
    }
  return result;
}

}  // namespace

double total_variation(std::span<const double> p, std::span<const double> q) {
  require(!p.empty(), "p", "0 entries", "must have at least 1");
  require_size("q", q.size(), p.size(), "the size of p");
  require_probabilities("p", p, true);
  require_probabilities("q", q, true);
  double distance = 0.0;
  for (std::size_t k = 0; k < p.size(); ++k) distance += std::abs(p[k] - q[k]);
  return 0.5 * distance;
}

HistogramTotalVariation histogram_total_variation(ConstBatchView x, std::span<const double> bin_probabilities,
                                                  std::span<const double> edges) {
  return compare_with_bins(x, bin_probabilities, std::span(&edges, 1));
}

HistogramTotalVariation sorted_histogram_total_variation(std::span<const double> ascending,
                                                         std::span<const double> bin_probabilities,
                                                         std::span<const double> edges) {
  require(ascending.size() >= 2, "ascending", fmt::format("{} values", ascending.size()), "must have at least 2");
  require_ascending("edges", edges);
  require_size("bin_probabilities", bin_probabilities.size(), edges.size() - 1, "the number of bins");
  require_probabilities("bin_probabilities", bin_probabilities, false);
  std::vector<std::size_t> counts(edges.size(), 0);
  counts.back() = ascending.size();
  auto from = std::lower_bound(ascending.begin(), ascending.end(), edges.front());
  for (std::size_t k = 0; k + 1 < edges.size(); ++k) {
    const bool closed = k + 2 == edges.size();
    const auto to = closed ? std::upper_bound(from, ascending.end(), edges[k + 1])
                           : std::lower_bound(from, ascending.end(), edges[k + 1]);
    counts[k] = static_cast<std::size_t>(to - from);
    counts.back() -= counts[k];
    from = to;
  }
  return compare(counts, bin_probabilities, ascending.size());
}

HistogramTotalVariation histogram_total_variation(ConstBatchView x, std::span<const double> bin_probabilities,
                                                  std::span<const double> edges0, std::span<const double> edges1) {
  const std::span<const double> edges[] = {edges0, edges1};
  return compare_with_bins(x, bin_probabilities, edges);
}

DensityTotalVariation density_total_variation(std::span<const double> p, std::span<const double> q,
                                              std::span<const double> points) {
  require_ascending("points", points);
  require_size("p", p.size(), points.size(), "the number of points");
  require_size("q", q.size(), points.size(), "the number of points");
  const double one = 1.0;
  return integrate({p.data(), p.size(), 1}, {q.data(), q.size(), 1}, trapezoid_weights(points), std::span(&one, 1));
}

DensityTotalVariation density_total_variation(MatrixView<const double> p, MatrixView<const double> q,
                                              std::span<const double> points0, std::span<const double> points1) {
  require_ascending("points0", points0);
  require_ascending("points1", points1);
  for (const auto& [name, density] : {std::pair{"p", p}, std::pair{"q", q}}) {
    require_size(fmt::format("{} rows", name), density.rows(), points0.size(), "the number of points0");
    require_size(fmt::format("{} columns", name), density.cols(), points1.size(), "the number of points1");
  }
  return integrate(p, q, trapezoid_weights(points0), trapezoid_weights(points1));
}

}  // namespace fslens
