#include "fslens/prior/modes.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "fslens/core/error.hpp"

namespace fslens {

std::vector<double> ModePartition::weights(std::span<const double> log_weights) const {
  std::vector<double> out(num_modes(), 0.0);
  for (std::size_t i = 0; i < log_weights.size(); ++i) out[mode_of_component[i]] += std::exp(log_weights[i]);
  return out;
}

namespace {

/// Two components or attractors may print alike: the later one gets its number.
void make_unique(std::vector<std::string>& labels) {
  std::set<std::string> seen;
  for (std::size_t k = 0; k < labels.size(); ++k)
    if (!seen.insert(labels[k]).second) seen.insert(labels[k] += fmt::format(" #{}", k));
}

}  // namespace

ModePartition modes_from_labels(const std::vector<int>& labels) {
  std::map<int, std::size_t> mode;
  for (const int label : labels) mode.emplace(label, 0);
  ModePartition partition;
  for (auto& [label, index] : mode) {
    index = partition.labels.size();
    partition.labels.push_back(fmt::format("{}", label));
  }
  for (const int label : labels) partition.mode_of_component.push_back(mode.at(label));
  return partition;
}

ModePartition modes_from_components(ConstBatchView components) {
  ModePartition partition;
  for (std::size_t i = 0; i < components.rows(); ++i) {
    partition.mode_of_component.push_back(i);
    partition.labels.push_back(components.cols() == 1 ? fmt::format("{:.4g}", components(i, 0)) : fmt::format("{}", i));
  }
  make_unique(partition.labels);
  return partition;
}

ModePartition modes_by_mean_shift(const Denoiser& denoiser, ConstBatchView components, const MeanShiftOptions& options,
                                  Observer& observer) {
  const NoiseSchedule& schedule = denoiser.schedule();
  schedule.require_time("modes.t", options.t);
  const double a = schedule.a(options.t);
  const double bandwidth = schedule.s(options.t) / a;
  Matrix points(components);
  Matrix noised(points.rows(), points.cols());
  Matrix next(points.rows(), points.cols());
  bool moving = true;
  for (std::size_t iteration = 0; moving && iteration < options.max_iterations; ++iteration) {
    observer.progress("mean shift", iteration, options.max_iterations);
    if (observer.interrupted()) throw Interrupted();
    for (std::size_t i = 0; i < points.size(); ++i)
      noised.values()[i] = a * points.values()[i] + schedule.shift(options.t);
    denoiser.denoise(noised, options.t, next);
    double largest = 0.0;
    for (std::size_t i = 0; i < points.size(); ++i)
      largest = std::max(largest, std::abs(next.values()[i] - points.values()[i]));
    moving = largest > options.tolerance * bandwidth;
    std::swap(points, next);
  }
  require(!moving, "modes.t", fmt::format("{}", options.t),
          fmt::format("mean shift did not settle in {} iterations; choose a larger t", options.max_iterations));

  ModePartition partition;
  std::vector<std::size_t> representatives;
  const double radius2 = std::pow(options.merge_radius * bandwidth, 2);
  for (std::size_t i = 0; i < points.rows(); ++i) {
    std::size_t mode = 0;
    for (; mode < representatives.size(); ++mode) {
      double distance = 0.0;
      for (std::size_t k = 0; k < points.cols(); ++k)
        distance += std::pow(points(i, k) - points(representatives[mode], k), 2);
      if (distance < radius2) break;
    }
    if (mode == representatives.size()) {
      representatives.push_back(i);
      partition.labels.push_back(points.cols() == 1 ? fmt::format("{:.3g}", points(i, 0)) : fmt::format("mode {}", mode));
    }
    partition.mode_of_component.push_back(mode);
  }
  make_unique(partition.labels);
  return partition;
}

}  // namespace fslens
