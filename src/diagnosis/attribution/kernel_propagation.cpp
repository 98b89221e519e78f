#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "chain_propagation.hpp"
#include "fslens/diagnosis/chain_law.hpp"

namespace fslens {
namespace {

constexpr double kWorthRefining = 1e-13;  // mass of a cell
/// How far apart the images of neighbouring nodes may be, in √v. In the plane as far as the sum stays right to 1e-5; on the line, where it
/// costs little and the ends of runs are corrected, half again the spacing of a map that keeps distances, so that small jumps count too.
double allowed_stretch(const ChainPropagation& chain) { return chain.dim == 1 ? 1.5 / chain.points_per_sd : 1.2; }
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

std::size_t most_nodes_per_axis(std::size_t dim) { return dim == 1 ? 64 : 8; }

/// The start N(b, s² I) on a grid that resolves it and the first kernel.
GridDensity start_density(const ChainPropagation& chain) {
  const double t = chain.grid.front();
  const double s = chain.schedule.s(t), centre = chain.schedule.shift(t);
  GridDensity start;
  start.dim = chain.dim;
  start.spacing = std::min(s, std::sqrt(chain.variances.front())) / chain.points_per_sd;
  const auto half = static_cast<std::size_t>(std::ceil(start_reach(chain.dim) * s / start.spacing));
  for (std::size_t axis = 0; axis < chain.dim; ++axis) {
    start.low[axis] = centre - start.spacing * static_cast<double>(half);
    start.count[axis] = 2 * half + 1;
  }
  if (start.size() > kMostCells) throw UnresolvedLaw("the first step is too small a part of the start's spread for a grid");
  const double peak = 1.0 / std::pow(s * std::sqrt(2.0 * std::numbers::pi), static_cast<double>(chain.dim));
  for (std::size_t i = 0; i < start.size(); ++i) {
    double square = 0.0;
    for (std::size_t axis = 0; axis < chain.dim; ++axis) {
      const double z = (start.at(axis, start.index(axis, i)) - centre) / s;
      square += z * z;
    }
    start.value.push_back(peak * std::exp(-0.5 * square));
  }
  return start;
}

/// Quadrature nodes of a density: the grid points that hold mass, or several in place of one.
class SourceNodes {
 public:
  explicit SourceNodes(const GridDensity& density) : density_(density), node_of_cell_(density.size(), kNone) {
    std::vector<double> place;
    for (std::size_t i = 0; i < density.size(); ++i) {
      if (!(density.value[i] * density.cell() > negligible_mass(density.dim))) continue;
      node_of_cell_[i] = cell_.size();
      cell_.push_back(i);
      for (std::size_t axis = 0; axis < density.dim; ++axis) place.push_back(density.at(axis, density.index(axis, i)));
    }
    position_ = Matrix(cell_.size(), density.dim, std::move(place));
  }

  const Matrix& position() const { return position_; }
  double mass(std::size_t node) const { return density_.value[cell_[node]] * density_.cell(); }

  /// Weights of the midpoint rule on a line that ends at refined cells: the sum over a run of whole cells lacks h²/24 f′ at each end,
  /// and f′ there follows from the three nodes nearest to it. Without this a jump of the mean costs O(h²) however it is refined.
  std::vector<double> end_corrections(const std::vector<bool>& refined) const {
    std::vector<double> weight(refined.size(), 1.0);
    if (density_.dim != 1) return weight;
    constexpr double kEnd[] = {2.0 / 24.0, -3.0 / 24.0, 1.0 / 24.0};
    for (std::size_t n = 0; n < refined.size(); ++n) {
      if (!refined[n]) continue;
      for (const int side : {-1, 1}) {
        std::size_t run[3];
        std::size_t length = 0;
        for (std::size_t at = neighbour(n, 0, side); at != kNone && !refined[at] && length < 3; at = neighbour(at, 0, side)) run[length++] = at;
        for (std::size_t j = 0; j < 3 && length == 3; ++j) weight[run[j]] += kEnd[j];
      }
    }
    return weight;
  }

  /// The largest distance between the images of a node and of its neighbours.
  double stretch(std::size_t node, const StepLaw& law) const {
    double largest = 0.0;
    for (std::size_t axis = 0; axis < density_.dim; ++axis)
      for (const int side : {-1, 1}) {
        const std::size_t other = neighbour(node, axis, side);
        if (other == kNone) continue;
        for (const Matrix& mean : law.mean) {
          double square = 0.0;
          for (std::size_t j = 0; j < density_.dim; ++j) square += std::pow(mean(node, j) - mean(other, j), 2);
          largest = std::max(largest, square);
        }
      }
    return std::sqrt(largest);
  }

  /// Cuts a node's cell into `parts` an axis, with the density of the parabola through it and its neighbours.
  void refine(std::size_t node, std::size_t parts, std::vector<double>& place, std::vector<double>& mass) const {
    const std::size_t d = density_.dim;
    const double here = density_.value[cell_[node]];
    const double part_cell = density_.cell() / std::pow(static_cast<double>(parts), static_cast<double>(d));
    std::size_t count = 1;
    for (std::size_t axis = 0; axis < d; ++axis) count *= parts;
    const std::size_t first = mass.size();
    for (std::size_t p = 0; p < count; ++p) {
      double value = here;
      double offset[2] = {};
      for (std::size_t axis = 0, rest = p; axis < d; ++axis, rest /= parts) {
        offset[axis] = (static_cast<double>(rest % parts) + 0.5) / static_cast<double>(parts) - 0.5;
        const double before = value_at(node, axis, -1), after = value_at(node, axis, 1);
        value += offset[axis] * 0.5 * (after - before) + 0.5 * offset[axis] * offset[axis] * (after - 2.0 * here + before);
        place.push_back(position_(node, axis) + offset[axis] * density_.spacing);
      }
      if (d == 2) value += offset[0] * offset[1] * mixed_difference(node);
      mass.push_back(std::max(0.0, value) * part_cell);
    }
    if (d == 1) return;
    // In the plane, where the ends of runs are not corrected, a cell keeps its mass: the sum over all cells is then what it was.
    double sum = 0.0;
    for (std::size_t p = first; p < mass.size(); ++p) sum += mass[p];
    for (std::size_t p = first; p < mass.size() && sum > 0.0; ++p) mass[p] *= this->mass(node) / sum;
  }

 private:
  std::size_t neighbour_cell(std::size_t cell, std::size_t axis, int side) const {
    const std::size_t j = density_.index(axis, cell);
    if (side < 0 ? j == 0 : j + 1 == density_.count[axis]) return kNone;
    const std::size_t stride = axis == 0 ? density_.count[1] : 1;
    return side < 0 ? cell - stride : cell + stride;
  }
  std::size_t neighbour(std::size_t node, std::size_t axis, int side) const {
    const std::size_t cell = neighbour_cell(cell_[node], axis, side);
    return cell == kNone ? kNone : node_of_cell_[cell];
  }
  double value_at(std::size_t node, std::size_t axis, int side) const {
    const std::size_t cell = neighbour_cell(cell_[node], axis, side);
    return cell == kNone ? 0.0 : density_.value[cell];
  }
  /// ∂²/∂x_0∂x_1 of the density, times the spacing squared.
  double mixed_difference(std::size_t node) const {
    double sum = 0.0;
    for (const int down : {-1, 1})
      for (const int along : {-1, 1}) {
        const std::size_t row = neighbour_cell(cell_[node], 0, down);
        const std::size_t cell = row == kNone ? kNone : neighbour_cell(row, 1, along);
        if (cell != kNone) sum += down * along * density_.value[cell];
      }
    return 0.25 * sum;
  }

  const GridDensity& density_;
  std::vector<std::size_t> node_of_cell_;  // kNone where a cell holds nothing
  std::vector<std::size_t> cell_;
  Matrix position_;
};

/// Weighted images of nodes, one set a component of the law.
void append_images(StepLaw&& law, const std::vector<double>& mass, std::vector<MassPoints>& images) {
  for (std::size_t q = 0; q < law.mean.size(); ++q) {
    std::vector<double> share(mass);
    for (double& m : share) m *= law.weight[q];
    images.push_back({std::move(law.mean[q]), std::move(share)});
  }
}

/// Where step k takes the density: its nodes' images, nodes added where neighbours are torn apart.
std::vector<MassPoints> push_nodes(ChainPropagation& chain, const GridDensity& density, std::size_t k) {
  const SourceNodes nodes(density);
  StepLaw law = chain.law(nodes.position(), k);
  const double sd = std::sqrt(chain.variances[k]);
  std::vector<double> mass, place, added;
  std::vector<bool> refined(nodes.position().rows(), false);
  for (std::size_t n = 0; n < refined.size(); ++n) {
    mass.push_back(nodes.mass(n));
    if (mass.back() < kWorthRefining) continue;
    const double stretch = nodes.stretch(n, law) / sd;
    if (!(stretch > allowed_stretch(chain))) continue;
    const double parts = std::ceil(chain.points_per_sd * stretch);
    const auto most = static_cast<double>(most_nodes_per_axis(density.dim));
    nodes.refine(n, static_cast<std::size_t>(std::min(parts, most)), place, added);
    mass.back() = 0.0;
    refined[n] = true;
  }
  const std::vector<double> correction = nodes.end_corrections(refined);
  for (std::size_t n = 0; n < mass.size(); ++n) mass[n] *= correction[n];
  std::vector<MassPoints> images;
  append_images(std::move(law), mass, images);
  if (!added.empty()) append_images(chain.law(Matrix(added.size(), density.dim, std::move(place)), k), added, images);
  return images;
}

}  // namespace

StepLaw ChainPropagation::law(ConstBatchView x, std::size_t k) {
  // Inner nodes get finer with the grid, more slowly because each is a pass over all of it: densities are right to 1e-3 on the coarsest
  // grid of the line and to 1e-6 on the next.
  const double node_spacing = 1.2 * std::sqrt(2.0 / points_per_sd);
  std::optional<StepLaw> law = sampler.step_law(x, grid[k], grid[k + 1], node_spacing);
  evaluations += x.rows() * law->mean.size();
  if (static_cast<double>(evaluations) > max_evaluations)
    throw UnresolvedLaw(fmt::format("more than {:.0e} evaluations of the step are needed to resolve the law", max_evaluations));
  return std::move(*law);
}

void propagate_kernels(ChainPropagation& chain, Observer& observer, const DensityVisitor& visit) {
  const std::string stage = "law of " + chain.sampler.name();
  GridDensity density = start_density(chain);
  visit(0, density);
  for (std::size_t k = 0; k < chain.variances.size(); ++k) {
    report_progress(observer, stage, k, chain.variances.size());
    const std::vector<MassPoints> images = push_nodes(chain, density, k);
    const double v = chain.variances[k];
    const double next = k + 1 < chain.variances.size() ? chain.variances[k + 1] : v;
    // s² too: the exact posterior, which the density is compared with, is smooth on that scale and may be the narrower one.
    const double spacing = std::sqrt(std::min({v, next, chain.schedule.s2(chain.grid[k + 1])})) / chain.points_per_sd;
    density = grid_around(images, kKernelReach * std::sqrt(v), spacing, negligible_mass(chain.dim));
    smooth_onto(images, v, density);
    visit(k + 1, density);
  }
  report_progress(observer, stage, chain.variances.size(), chain.variances.size());
}

}  // namespace fslens
