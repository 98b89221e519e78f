#include <algorithm>
#include <cmath>

#include "chain_propagation.hpp"
#include "fslens/diagnosis/chain_law.hpp"

namespace fslens {
namespace {

constexpr double kWorthSplitting = 1e-13;   // mass of a cell
constexpr std::size_t kMostFlowCells = std::size_t{1} << 20;

/// Cells of the line that keep their masses while a map moves their edges.
struct FlowCells {
  std::vector<double> edge;  ///< [n + 1], in the order of the start: a map that folds leaves them out of order
  std::vector<double> mass;  ///< [n]

  double density(std::size_t j) const { return mass[j] / std::abs(edge[j + 1] - edge[j]); }
  /// Mass of the first half of cell j, from the slope of the density over its neighbours.
  double first_half(std::size_t j) const {
    if (j == 0 || j + 1 == mass.size()) return 0.5 * mass[j];
    const double slope = 0.5 * (density(j + 1) - density(j - 1));  // across the cell, if its neighbours are as wide
    const double share = std::isfinite(slope) ? 0.5 * mass[j] - 0.125 * slope * std::abs(edge[j + 1] - edge[j]) : 0.5 * mass[j];
    return std::clamp(share, 0.0, mass[j]);
  }
};

FlowCells start_cells(double centre, double s, double width) {
  const double reach = start_reach(1);
  const auto count = static_cast<std::size_t>(std::ceil(2.0 * reach * s / width));
  FlowCells cells;
  for (std::size_t j = 0; j <= count; ++j)
    cells.edge.push_back(centre + reach * s * (2.0 * static_cast<double>(j) / static_cast<double>(count) - 1.0));
  // Upper tails of the nearer side: their differences keep their digits.
  const auto tail = [&](double z) { return 0.5 * std::erfc(std::abs(z) / std::sqrt(2.0)); };
  for (std::size_t j = 0; j < count; ++j) {
    const double z0 = (cells.edge[j] - centre) / s, z1 = (cells.edge[j + 1] - centre) / s;
    cells.mass.push_back(z0 < 0.0 && z1 > 0.0 ? 1.0 - tail(z0) - tail(z1) : std::abs(tail(z0) - tail(z1)));
  }
  return cells;
}

std::vector<double> images(ChainPropagation& chain, const std::vector<double>& edge, std::size_t k) {
  const StepLaw law = chain.law(Matrix(edge.size(), 1, std::vector<double>(edge)), k);
  const auto values = law.mean.front().values();
  return {values.begin(), values.end()};
}

/// Moves the edges through step k, after cutting the cells that it makes wider than `width` in halves, again and again.
void advance(ChainPropagation& chain, FlowCells& cells, std::size_t k, double width) {
  std::vector<double> moved = images(chain, cells.edge, k);
  for (bool split = true; split;) {
    split = false;
    FlowCells finer;
    finer.edge.push_back(cells.edge.front());
    std::vector<double> new_edges;
    for (std::size_t j = 0; j < cells.mass.size(); ++j) {
      const bool wide = cells.mass[j] > kWorthSplitting && std::abs(moved[j + 1] - moved[j]) > width;
      const double middle = 0.5 * (cells.edge[j] + cells.edge[j + 1]);
      // A jump is narrower than any cell: halving ends where the halves cannot be told apart.
      if (wide && middle != cells.edge[j] && middle != cells.edge[j + 1]) {
        const double half = cells.first_half(j);
        finer.edge.insert(finer.edge.end(), {middle, cells.edge[j + 1]});
        finer.mass.insert(finer.mass.end(), {half, cells.mass[j] - half});
        split = true;
      } else {
        finer.edge.push_back(cells.edge[j + 1]);
        finer.mass.push_back(cells.mass[j]);
      }
    }
    if (!split) break;
    if (finer.mass.size() > kMostFlowCells) throw UnresolvedLaw("the flow tears the line into too many pieces");
    cells = std::move(finer);
    moved = images(chain, cells.edge, k);
  }
  cells.edge = std::move(moved);
}

/// The cells' masses, spread evenly over each, shared out to the cells of a grid about its points.
GridDensity laid_out(const FlowCells& cells, double spacing) {
  std::vector<MassPoints> middles(1);
  std::vector<double> place;
  for (std::size_t j = 0; j < cells.mass.size(); ++j) place.push_back(0.5 * (cells.edge[j] + cells.edge[j + 1]));
  middles[0] = {Matrix(place.size(), 1, std::vector<double>(place)), cells.mass};
  GridDensity grid = grid_around(middles, 2.0 * spacing, spacing, negligible_mass(1));
  grid.value.assign(grid.size(), 0.0);
  const auto last = static_cast<double>(grid.size() - 1);
  for (std::size_t j = 0; j < cells.mass.size(); ++j) {
    const auto [from, to] = std::minmax(cells.edge[j], cells.edge[j + 1]);
    const double begin = (from - grid.low[0]) / spacing, end = (to - grid.low[0]) / spacing;  // point k owns [k − ½, k + ½]
    if (!(begin > -0.5 && end < last + 0.5)) continue;
    const double first = std::round(begin), stop = std::round(end);
    for (double point = first; point <= stop; ++point) {
      const double overlap = std::min(end, point + 0.5) - std::max(begin, point - 0.5);
      grid.value[static_cast<std::size_t>(point)] += cells.mass[j] / spacing * (end > begin ? std::max(0.0, overlap) / (end - begin) : 1.0);
    }
  }
  return grid;
}

}  // namespace

void propagate_flow(ChainPropagation& chain, const std::vector<std::size_t>& wanted, Observer& observer, const DensityVisitor& visit) {
  const std::string stage = "law of " + chain.sampler.name();
  const auto spacing = [&](std::size_t k) { return chain.schedule.s(chain.grid[k]) / (4.0 * chain.points_per_sd); };
  FlowCells cells = start_cells(chain.schedule.shift(chain.grid[0]), chain.schedule.s(chain.grid[0]), 0.25 * spacing(0));
  for (std::size_t k = 0; k < chain.grid.size(); ++k) {
    if (k > 0) advance(chain, cells, k - 1, spacing(k));
    if (std::ranges::binary_search(wanted, k)) visit(k, laid_out(cells, spacing(k)));
    report_progress(observer, stage, k, chain.grid.size() - 1);
  }
}

}  // namespace fslens
