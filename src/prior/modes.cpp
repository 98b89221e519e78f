#include "fslens/prior/modes.hpp"

#include <fmt/format.h>

#include <algorithm>
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

namespace {

/// Points in one block: three matrices of at most 16 MiB each.
std::size_t points_per_block(std::size_t dim) {
  constexpr std::size_t kNumbersPerBlock = std::size_t{1} << 21;
  return std::clamp<std::size_t>(kNumbersPerBlock / dim, 64, 4096);
}

/// Follows the points to where they come to rest. on_iteration(points at rest) is called before each.
void follow(const Denoiser& denoiser, const MeanShiftOptions& options, Matrix& points,
            const std::function<void(std::size_t)>& on_iteration) {
  const NoiseSchedule& schedule = denoiser.schedule();
  const double a = schedule.a(options.t);
  const double shift = schedule.shift(options.t);
  const double at_rest = options.tolerance * schedule.s(options.t) / a;
  Matrix noised(points.rows(), points.cols());
  Matrix next(points.rows(), points.cols());
  std::size_t resting = 0;
  for (std::size_t iteration = 0; resting < points.rows() && iteration < options.max_iterations; ++iteration) {
    on_iteration(resting);
    for (std::size_t i = 0; i < points.size(); ++i) noised.values()[i] = a * points.values()[i] + shift;
    denoiser.denoise(noised, options.t, next);
    resting = 0;
    for (std::size_t b = 0; b < points.rows(); ++b) {
      double largest = 0.0;
      for (std::size_t k = 0; k < points.cols(); ++k) largest = std::max(largest, std::abs(next(b, k) - points(b, k)));
      if (largest <= at_rest) ++resting;
    }
    std::swap(points, next);
  }
  require(resting == points.rows(), "modes.t", fmt::format("{}", options.t),
          fmt::format("mean shift did not settle in {} iterations; choose a larger t", options.max_iterations));
}

/// The attractors found so far, one point each.
class Attractors {
 public:
  explicit Attractors(double merge_radius) : radius2_(merge_radius * merge_radius) {}

  /// The attractor that the point came to rest at, or a new one.
  std::size_t index_of(std::span<const double> point) {
    for (std::size_t mode = 0; mode < points_.size(); ++mode) {
      double distance = 0.0;
      for (std::size_t k = 0; k < point.size(); ++k) distance += std::pow(point[k] - points_[mode][k], 2);
      if (distance < radius2_) return mode;
    }
    points_.emplace_back(point.begin(), point.end());
    return points_.size() - 1;
  }
  std::vector<std::string> labels() const {
    std::vector<std::string> labels;
    for (std::size_t mode = 0; mode < points_.size(); ++mode)
      labels.push_back(points_[mode].size() == 1 ? fmt::format("{:.3g}", points_[mode][0]) : fmt::format("mode {}", mode));
    make_unique(labels);
    return labels;
  }

 private:
  double radius2_;
  std::vector<std::vector<double>> points_;
};

}  // namespace

ModePartition modes_by_mean_shift(const Denoiser& denoiser, std::size_t count, const ComponentReader& component,
                                  const MeanShiftOptions& options, Observer& observer) {
  const NoiseSchedule& schedule = denoiser.schedule();
  schedule.require_time("modes.t", options.t);
  Attractors attractors(options.merge_radius * schedule.s(options.t) / schedule.a(options.t));
  const std::size_t block = points_per_block(denoiser.dim());
  ModePartition partition;
  partition.mode_of_component.reserve(count);
  std::size_t furthest = 0;  // a point may begin to move again
  for (std::size_t first = 0; first < count; first += block) {
    Matrix points(std::min(block, count - first), denoiser.dim());
    for (std::size_t i = 0; i < points.rows(); ++i) component(first + i, points.row(i));
    follow(denoiser, options, points, [&](std::size_t resting) {
      furthest = std::max(furthest, first + resting);
      report_progress(observer, "mean shift", furthest, count);
    });
    for (std::size_t i = 0; i < points.rows(); ++i) partition.mode_of_component.push_back(attractors.index_of(points.row(i)));
  }
  partition.labels = attractors.labels();
  return partition;
}

ModePartition modes_by_mean_shift(const Denoiser& denoiser, ConstBatchView components, const MeanShiftOptions& options,
                                  Observer& observer) {
  const auto copy_row = [&](std::size_t i, std::span<double> out) { std::ranges::copy(components.row(i), out.begin()); };
  return modes_by_mean_shift(denoiser, components.rows(), copy_row, options, observer);
}

}  // namespace fslens
