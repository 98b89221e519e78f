#include "density_grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fslens/core/error.hpp"
#include "mixture_law.hpp"

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

DensityGrid::DensityGrid(const Lens& exact, const GaussianMixture& prior, double t, double points_per_s) : t_(t), schedule_(exact.schedule()) {
  const std::size_t d = exact.dim();
  require(d <= 2, "dimension", fmt::format("{}", d), "must be 1 or 2: a density is had on a grid only there");
  std::vector<double> low, high;
  for (std::size_t axis = 0; axis < d; ++axis) {
    const auto [from, to] = prior_extent(prior, schedule_, t, axis);
    low.push_back(from);
    high.push_back(to);
  }
  const double spacing = schedule_.s(t) / points_per_s;
  require(RegularGrid::nodes_needed(low, high, spacing) <= static_cast<double>(kMostGridPoints), "times", fmt::format("{}", t),
          fmt::format("s(t) = {:.3g} is too small: the grid that resolves it has more than {} points", schedule_.s(t), kMostGridPoints));
  grid_ = RegularGrid(std::move(low), high, spacing);
  const Matrix all = grid_.points();
  const std::vector<double> density = exact.log_posterior_density(all, t);
  const double least = *std::ranges::max_element(density) + std::log(kNegligibleDensity);
  std::vector<double> kept;
  double mass = 0.0;
  for (std::size_t i = 0; i < all.rows(); ++i) {
    if (!(density[i] > least)) continue;
    kept_.push_back(i);
    kept.insert(kept.end(), all.row(i).begin(), all.row(i).end());
    exact_.push_back(std::exp(density[i]) * grid_.cell());
    mass += exact_.back();
  }
  require(std::abs(mass - 1.0) < kMissingMassAllowed, "times", fmt::format("{}", t),
          fmt::format("the grid of {} points holds {:.6f} of p_t(x | y): it is too coarse or the measurement lies beyond the prior", exact_.size(), mass));
  points_ = Matrix(exact_.size(), d, std::move(kept));
}

double DensityGrid::total_variation(const Lens& lens) const {
  std::vector<double> probability = lens.log_posterior_density(points_, t_);
  for (double& value : probability) value = std::exp(value) * grid_.cell();
  return total_variation_of(probability);
}

double DensityGrid::total_variation(std::span<const GaussianComponents> law) const {
  const std::vector<double> density = grid_.densities(noised(law, schedule_, t_));
  std::vector<double> probability;
  for (const std::size_t node : kept_) probability.push_back(density[node] * grid_.cell());
  return total_variation_of(probability);
}

double DensityGrid::total_variation_of(std::span<const double> probability) const {
  double difference = 0.0, exact_mass = 0.0, mass = 0.0;
  for (std::size_t i = 0; i < exact_.size(); ++i) {
    difference += std::abs(probability[i] - exact_[i]);
    exact_mass += exact_[i];
    mass += probability[i];
  }
  return 0.5 * (difference + std::abs(exact_mass - mass));
}

}  // namespace fslens
