#include "grid_density.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/chain_law.hpp"

namespace fslens {
namespace {

constexpr std::ptrdiff_t kNarrowReach = 7;  // of the Gaussian of one spacing, in spacings
constexpr std::size_t kRowsPerBand = 32;

/// w_k ∝ e^{−k²/2r²} for |k| ≤ reach, summing to 1: sampled at a spacing below r that is the Gaussian's own normaliser to 1e-8.
std::vector<double> sampled_gaussian(double r, std::ptrdiff_t reach) {
  std::vector<double> weight;
  double sum = 0.0;
  for (std::ptrdiff_t k = -reach; k <= reach; ++k) {
    weight.push_back(std::exp(-0.5 * static_cast<double>(k * k) / (r * r)));
    sum += weight.back();
  }
  for (double& w : weight) w /= sum;
  return weight;
}

/// The narrow Gaussian of one point along one axis: values at the grid indices first, first + 1, …
struct NarrowKernel {
  std::ptrdiff_t first = 0;
  std::array<double, 2 * kNarrowReach + 1> value{};

  NarrowKernel(const GridDensity& grid, std::size_t axis, double position) {
    const double place = (position - grid.low[axis]) / grid.spacing;
    first = static_cast<std::ptrdiff_t>(std::lround(place)) - kNarrowReach;
    const double scale = 1.0 / (grid.spacing * std::sqrt(2.0 * std::numbers::pi));
    for (std::size_t k = 0; k < value.size(); ++k) {
      const double z = static_cast<double>(first) + static_cast<double>(k) - place;
      value[k] = scale * std::exp(-0.5 * z * z);
    }
  }
};

bool within(const GridDensity& grid, std::span<const double> position) {
  for (std::size_t axis = 0; axis < grid.dim; ++axis) {
    const double place = (position[axis] - grid.low[axis]) / grid.spacing;
    if (!(place > -0.5 && place < static_cast<double>(grid.count[axis]) - 0.5)) return false;
  }
  return true;
}

void add_along(double mass, const NarrowKernel& kernel, std::span<double> row) {
  const auto size = static_cast<std::ptrdiff_t>(row.size());
  const std::ptrdiff_t begin = std::max<std::ptrdiff_t>(0, -kernel.first);
  const std::ptrdiff_t end = std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(kernel.value.size()), size - kernel.first);
  for (std::ptrdiff_t k = begin; k < end; ++k)
    row[static_cast<std::size_t>(kernel.first + k)] += mass * kernel.value[static_cast<std::size_t>(k)];
}

void spread_line(const std::vector<MassPoints>& points, GridDensity& grid) {
  for (const MassPoints& set : points)
    for (std::size_t j = 0; j < set.mass.size(); ++j)
      if (within(grid, set.position.row(j))) add_along(set.mass[j], NarrowKernel(grid, 0, set.position(j, 0)), grid.value);
}

/// A band of rows takes what reaches it from the points near it, in the order of the points: no two bands write to one place.
void spread_plane(const std::vector<MassPoints>& points, GridDensity& grid) {
  const std::size_t bands = (grid.count[0] + kRowsPerBand - 1) / kRowsPerBand;
  struct Address {
    std::size_t set, point;
  };
  std::vector<std::vector<Address>> of_band(bands);
  for (std::size_t s = 0; s < points.size(); ++s)
    for (std::size_t j = 0; j < points[s].mass.size(); ++j) {
      if (!within(grid, points[s].position.row(j))) continue;
      const auto row = static_cast<std::ptrdiff_t>(std::lround((points[s].position(j, 0) - grid.low[0]) / grid.spacing));
      const auto last_row = static_cast<std::ptrdiff_t>(grid.count[0]) - 1;
      const std::size_t first = static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, row - kNarrowReach)) / kRowsPerBand;
      const std::size_t last = static_cast<std::size_t>(std::min(last_row, row + kNarrowReach)) / kRowsPerBand;
      for (std::size_t band = first; band <= last; ++band) of_band[band].push_back({s, j});
    }
  parallel_for(bands, [&](std::size_t band) {
    const auto begin = static_cast<std::ptrdiff_t>(band * kRowsPerBand);
    const auto end = static_cast<std::ptrdiff_t>(std::min(grid.count[0], (band + 1) * kRowsPerBand));
    for (const auto& [s, j] : of_band[band]) {
      const NarrowKernel down(grid, 0, points[s].position(j, 0));
      const NarrowKernel along(grid, 1, points[s].position(j, 1));
      for (std::size_t k = 0; k < down.value.size(); ++k) {
        const std::ptrdiff_t row = down.first + static_cast<std::ptrdiff_t>(k);
        if (row < begin || row >= end) continue;
        add_along(points[s].mass[j] * down.value[k], along,
                  {grid.value.data() + static_cast<std::size_t>(row) * grid.count[1], grid.count[1]});
      }
    }
  });
}

/// out_j ← Σ_k w_k in_{j+k} along one axis.
void convolve(const std::vector<double>& weight, GridDensity& grid, std::size_t axis) {
  const auto reach = static_cast<std::ptrdiff_t>(weight.size() / 2);
  const std::size_t columns = grid.dim == 1 ? grid.count[0] : grid.count[1];
  const std::size_t rows = grid.dim == 1 ? 1 : grid.count[0];
  const bool down = grid.dim == 2 && axis == 0;
  std::vector<double> out(grid.value.size(), 0.0);
  parallel_for(rows, [&](std::size_t i) {
    double* to = out.data() + i * columns;
    for (std::ptrdiff_t k = -reach; k <= reach; ++k) {
      const double w = weight[static_cast<std::size_t>(k + reach)];
      if (down) {
        const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(i) + k;
        if (row < 0 || row >= static_cast<std::ptrdiff_t>(rows)) continue;
        const double* from = grid.value.data() + static_cast<std::size_t>(row) * columns;
        for (std::size_t j = 0; j < columns; ++j) to[j] += w * from[j];
      } else {
        const double* from = grid.value.data() + i * columns;
        const std::size_t begin = static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, -k));
        const std::size_t end = columns - static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(k, 0, static_cast<std::ptrdiff_t>(columns)));
        for (std::size_t j = begin; j < end; ++j) to[j] += w * from[static_cast<std::size_t>(static_cast<std::ptrdiff_t>(j) + k)];
      }
    }
  });
  grid.value = std::move(out);
}

}  // namespace

double GridDensity::mass() const {
  double sum = 0.0;
  for (const double v : value) sum += v;
  return sum * cell();
}

GridDensity grid_around(const std::vector<MassPoints>& points, double margin, double spacing, double negligible) {
  GridDensity grid;
  grid.dim = points.front().position.cols();
  grid.spacing = spacing;
  for (; negligible <= kMostLeftOut; negligible *= 1e4) {
    double high[2] = {};
    for (std::size_t axis = 0; axis < grid.dim; ++axis)
      grid.low[axis] = std::numeric_limits<double>::infinity(), high[axis] = -grid.low[axis];
    double cells = 1.0;
    for (const MassPoints& set : points)
      for (std::size_t j = 0; j < set.mass.size(); ++j)
        for (std::size_t axis = 0; axis < grid.dim && set.mass[j] > negligible; ++axis) {
          grid.low[axis] = std::min(grid.low[axis], set.position(j, axis));
          high[axis] = std::max(high[axis], set.position(j, axis));
          if (!std::isfinite(set.position(j, axis))) cells = std::numeric_limits<double>::infinity();
        }
    for (std::size_t axis = 0; axis < grid.dim; ++axis) {
      grid.low[axis] -= margin;
      cells *= std::ceil((high[axis] + margin - grid.low[axis]) / spacing) + 1.0;
    }
    if (!(cells <= static_cast<double>(kMostCells))) continue;
    for (std::size_t axis = 0; axis < grid.dim; ++axis)
      grid.count[axis] = static_cast<std::size_t>(std::ceil((high[axis] + margin - grid.low[axis]) / spacing)) + 1;
    return grid;
  }
  throw UnresolvedLaw(fmt::format("the law spreads too far for a grid of {} cells with the spacing {:.3g} that a step asks for", kMostCells,
                                  spacing));
}

void smooth_onto(const std::vector<MassPoints>& points, double variance, GridDensity& grid) {
  grid.value.assign(grid.size(), 0.0);
  if (grid.dim == 1) {
    spread_line(points, grid);
  } else {
    spread_plane(points, grid);
  }
  const double wide = std::sqrt(variance / (grid.spacing * grid.spacing) - 1.0);  // in spacings
  const std::vector<double> weight = sampled_gaussian(wide, static_cast<std::ptrdiff_t>(std::ceil(kKernelReach * wide)));
  for (std::size_t axis = 0; axis < grid.dim; ++axis) convolve(weight, grid, axis);
}

}  // namespace fslens
