#include "fslens/metrics/mode_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

void require_target(std::span<const double> target, std::size_t num_modes) {
  require_size("target", target.size(), num_modes, "the number of modes");
  require_finite("target", target);
  require_probabilities("target", target, true);
}

std::vector<double> variances_of_columns(MatrixView<const double> x, std::span<const double> means) {
  std::vector<double> variances(x.cols(), 0.0);
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t k = 0; k < x.cols(); ++k) variances[k] += (x(b, k) - means[k]) * (x(b, k) - means[k]);
  for (double& variance : variances) variance /= static_cast<double>(x.rows() - 1);
  return variances;
}

void require_particles(std::size_t count) {
  require(count >= 2, "assignments", fmt::format("{} entries", count), "must have at least 2");
}

}  // namespace

ModeWeights mode_weights(MatrixView<const double> responsibilities) {
  require_sample("responsibilities", responsibilities, 2);
  ModeWeights result;
  result.weights = column_means(responsibilities);
  result.standard_errors = variances_of_columns(responsibilities, result.weights);
  for (double& error : result.standard_errors) error = std::sqrt(error / static_cast<double>(responsibilities.rows()));
  for (std::size_t k = 0; k < result.weights.size(); ++k)
    if (!std::isfinite(result.weights[k])) result.weights[k] = result.standard_errors[k] = kNan;
  return result;
}

std::vector<std::size_t> mode_counts(std::span<const std::size_t> assignments, std::size_t num_modes) {
  std::vector<std::size_t> counts(num_modes, 0);
  for (std::size_t b = 0; b < assignments.size(); ++b) {
    require(assignments[b] < num_modes, fmt::format("assignments[{}]", b), fmt::format("{}", assignments[b]),
            fmt::format("must be less than the number of modes, {}", num_modes));
    ++counts[assignments[b]];
  }
  return counts;
}

ModeWeights mode_weights(std::span<const std::size_t> assignments, std::size_t num_modes) {
  require_particles(assignments.size());
  const double n = static_cast<double>(assignments.size());
  ModeWeights result;
  for (const std::size_t count : mode_counts(assignments, num_modes)) {
    const double weight = static_cast<double>(count) / n;
    result.weights.push_back(weight);
    result.standard_errors.push_back(std::sqrt(weight * (1 - weight) / (n - 1)));
  }
  return result;
}

ModeWeightsDistance mode_weights_total_variation(MatrixView<const double> responsibilities,
                                                 std::span<const double> target) {
  require_sample("responsibilities", responsibilities, 2);
  require_target(target, responsibilities.cols());
  const std::vector<double> weights = column_means(responsibilities);
  if (!all_finite(weights)) return {kNan, kNan};
  double distance = 0.0;
  for (std::size_t k = 0; k < target.size(); ++k) distance += 0.5 * std::abs(weights[k] - target[k]);
  std::vector<double> influence(responsibilities.rows(), 0.0);
  for (std::size_t b = 0; b < influence.size(); ++b)
    for (std::size_t k = 0; k < target.size(); ++k)
      influence[b] += 0.5 * sign(weights[k] - target[k]) * responsibilities(b, k);
  return {distance, std::sqrt(sample_moments(influence).variance / static_cast<double>(influence.size()))};
}

ModeWeightsDistance mode_weights_total_variation(std::span<const std::size_t> assignments,
                                                 std::span<const double> target) {
  require_particles(assignments.size());
  require_target(target, target.size());
  const double n = static_cast<double>(assignments.size());
  const std::vector<std::size_t> counts = mode_counts(assignments, target.size());
  double distance = 0.0;
  double mean = 0.0;
  double mean_square = 0.0;
  for (std::size_t k = 0; k < target.size(); ++k) {
    const double weight = static_cast<double>(counts[k]) / n;
    const double side = 0.5 * sign(weight - target[k]);
    distance += 0.5 * std::abs(weight - target[k]);
    mean += side * weight;
    mean_square += side * side * weight;
  }
  return {distance, std::sqrt(std::max(0.0, mean_square - mean * mean) / (n - 1))};
}

}  // namespace fslens
