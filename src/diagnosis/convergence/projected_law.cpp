#include "fslens/diagnosis/projected_law.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/metrics/intervals.hpp"

namespace fslens {
namespace {

constexpr std::size_t kBins = std::size_t{1} << 14;
constexpr double kTailSds = 8.5;  // what lies beyond is below 1e-16

/// Points and weights along one direction, not yet in order.
struct Line {
  std::vector<double> points, weights;
  double bin_width = 0.0;
};

std::vector<double> along(const Matrix& centres, std::span<const double> direction) {
  std::vector<double> out(centres.rows(), 0.0);
  for (std::size_t i = 0; i < out.size(); ++i)
    for (std::size_t j = 0; j < direction.size(); ++j) out[i] += centres(i, j) * direction[j];
  return out;
}

double variance_of(const Matrix& covariance, std::span<const double> direction) {
  double out = 0.0;
  for (std::size_t i = 0; i < direction.size(); ++i)
    for (std::size_t j = 0; j < direction.size(); ++j) out += direction[i] * covariance(i, j) * direction[j];
  return out;
}

/// The mass of N(0, sd²) in the bins −reach, …, reach of a width around 0.
std::vector<double> bin_masses(double sd, double width) {
  const auto reach = static_cast<std::size_t>(std::ceil(kTailSds * sd / width)) + 1;
  std::vector<double> masses;
  for (std::size_t k = 0; k <= 2 * reach; ++k) {
    // Both ends on the side where the distribution function is small: its differences keep their digits.
    const double distance = std::abs(static_cast<double>(k) - static_cast<double>(reach));
    masses.push_back(normal_cdf(-(distance - 0.5) * width / sd) - normal_cdf(-(distance + 0.5) * width / sd));
  }
  return masses;
}

/// Weights are shared between the two nearest of nodes that are sd/32 apart, which adds less than 2.5e-4 of it to a variance, and spread from
/// there: spreading from every bin would cost their number times the kernel's.
void add_gaussians(const GaussianComponents& components, std::span<const double> centres, double sd, Line& line) {
  constexpr double kNodesPerSd = 32.0;
  const auto [lowest, highest] = std::ranges::minmax(centres);
  const double width = (highest - lowest + 2.0 * kTailSds * sd) / static_cast<double>(kBins);
  const std::size_t stride = std::max<std::size_t>(1, static_cast<std::size_t>(sd / (kNodesPerSd * width)));
  const double node_spacing = width * static_cast<double>(stride);
  std::vector<double> deposited(static_cast<std::size_t>((highest - lowest) / node_spacing) + 2, 0.0);
  for (std::size_t i = 0; i < centres.size(); ++i) {
    const double place = (centres[i] - lowest) / node_spacing;
    const std::size_t node = std::min(static_cast<std::size_t>(place), deposited.size() - 2);
    const double beyond = place - static_cast<double>(node);
    deposited[node] += components.weights[i] * (1.0 - beyond);
    deposited[node + 1] += components.weights[i] * beyond;
  }
  const std::vector<double> masses = bin_masses(sd, width);
  const std::size_t reach = masses.size() / 2;
  std::vector<double> spread((deposited.size() - 1) * stride + masses.size(), 0.0);
  for (std::size_t node = 0; node < deposited.size(); ++node) {
    if (deposited[node] == 0.0) continue;
    for (std::size_t k = 0; k < masses.size(); ++k) spread[node * stride + k] += deposited[node] * masses[k];
  }
  for (std::size_t k = 0; k < spread.size(); ++k) {
    if (spread[k] == 0.0) continue;
    line.points.push_back(lowest + width * (static_cast<double>(k) - static_cast<double>(reach)));
    line.weights.push_back(spread[k]);
  }
  line.bin_width = std::max(line.bin_width, width);
}

Line line_of(std::span<const GaussianComponents> law, std::span<const double> direction) {
  Line line;
  for (const GaussianComponents& components : law) {
    const std::vector<double> centres = along(components.centres, direction);
    if (components.covariance.empty()) {
      line.points.insert(line.points.end(), centres.begin(), centres.end());
      line.weights.insert(line.weights.end(), components.weights.begin(), components.weights.end());
    } else {
      add_gaussians(components, centres, std::sqrt(variance_of(components.covariance, direction)), line);
    }
  }
  return line;
}

}  // namespace

ProjectedLaw project(std::span<const GaussianComponents> law, const SlicedProjections& projections) {
  require(!law.empty(), "law", "empty", "must have a component");
  for (const GaussianComponents& components : law) {
    require(components.centres.rows() > 0, "centres", "0", "must be at least 1");
    require_size("centres", components.centres.cols(), projections.dim(), "columns, the dimension of the projections");
    require_size("weights", components.weights.size(), components.centres.rows(), "one a centre");
  }
  ProjectedLaw out{std::vector<WeightedPoints>(projections.count()), 0.0};
  std::vector<double> widths(projections.count());
  parallel_for(projections.count(), [&](std::size_t k) {
    const Line line = line_of(law, projections.directions().row(k));
    out.lines[k] = weighted_points(line.points, line.weights);
    widths[k] = line.bin_width;
  });
  for (const double width : widths) out.bin_error += 0.25 * width * width / static_cast<double>(widths.size());
  out.bin_error = std::sqrt(out.bin_error);
  return out;
}

}  // namespace fslens
