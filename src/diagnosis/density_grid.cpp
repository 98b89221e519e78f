#include "density_grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fslens/core/error.hpp"

namespace fslens {
namespace {

constexpr std::size_t kMostGridPoints = std::size_t{1} << 22;
constexpr double kRoomSds = 8.0;
constexpr double kNegligibleDensity = 1e-7;
constexpr double kMissingMassAllowed = 1e-5;

/// The ends of the prior's extent at t along one axis.
std::pair<double, double> prior_extent(const GaussianMixture& prior, const NoiseSchedule& schedule, double t, std::size_t axis) {
  const double a = schedule.a(t);
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (std::size_t k = 0; k < prior.num_components(); ++k) {
    const double centre = a * prior.means()(k, axis) + schedule.shift(t);
    const double sd = std::sqrt(a * a * prior.covariance(k)(axis, axis) + schedule.s2(t));
    low = std::min(low, centre - kRoomSds * sd);
    high = std::max(high, centre + kRoomSds * sd);
  }
  return {low, high};
}

}  // namespace

DensityGrid::DensityGrid(const Lens& exact, const GaussianMixture& prior, double t, double points_per_s) : t_(t) {
  const std::size_t d = exact.dim();
  require(d <= 2, "dimension", fmt::format("{}", d), "must be 1 or 2: a density is had on a grid only there");
  const double spacing = exact.schedule().s(t) / points_per_s;
  double low[2] = {0.0, 0.0};
  double counts[2] = {1.0, 1.0};
  for (std::size_t axis = 0; axis < d; ++axis) {
    const auto [from, to] = prior_extent(prior, exact.schedule(), t, axis);
    low[axis] = from;
    counts[axis] = std::ceil((to - from) / spacing) + 1.0;
    cell_ *= spacing;
  }
  require(counts[0] * counts[1] <= static_cast<double>(kMostGridPoints), "times", fmt::format("{}", t),
          fmt::format("s(t) = {:.3g} is too small: the grid that resolves it has more than {} points", exact.schedule().s(t), kMostGridPoints));
  const auto columns = static_cast<std::size_t>(counts[1]);
  Matrix all(static_cast<std::size_t>(counts[0]) * columns, d);
  for (std::size_t i = 0; i < all.rows(); ++i) {
    all(i, 0) = low[0] + spacing * static_cast<double>(i / columns);
    if (d == 2) all(i, 1) = low[1] + spacing * static_cast<double>(i % columns);
  }
  const std::vector<double> density = exact.log_posterior_density(all, t);
  const double least = *std::ranges::max_element(density) + std::log(kNegligibleDensity);
  std::vector<double> kept;
  double mass = 0.0;
  for (std::size_t i = 0; i < all.rows(); ++i) {
    if (!(density[i] > least)) continue;
    kept.insert(kept.end(), all.row(i).begin(), all.row(i).end());
    exact_.push_back(std::exp(density[i]) * cell_);
    mass += exact_.back();
  }
  require(std::abs(mass - 1.0) < kMissingMassAllowed, "times", fmt::format("{}", t),
          fmt::format("the grid of {} points holds {:.6f} of p_t(x | y): it is too coarse or the measurement lies beyond the prior", exact_.size(), mass));
  points_ = Matrix(exact_.size(), d, std::move(kept));
}

double DensityGrid::total_variation(const Lens& lens) const {
  const std::vector<double> density = lens.log_posterior_density(points_, t_);
  double difference = 0.0, exact_mass = 0.0, mass = 0.0;
  for (std::size_t i = 0; i < exact_.size(); ++i) {
    const double probability = std::exp(density[i]) * cell_;
    difference += std::abs(probability - exact_[i]);
    exact_mass += exact_[i];
    mass += probability;
  }
  return 0.5 * (difference + std::abs(exact_mass - mass));
}

}  // namespace fslens
