#include "fslens/diagnosis/chain_law.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "chain_propagation.hpp"

namespace fslens {
namespace {

constexpr double kMostOutside = 1e-5;  // of the exact posterior: ten standard deviations out it adds about 50 times as much to the KL
constexpr std::size_t kPointsAtOnce = 1 << 14;

/// Resolutions to be tried, in grid points per standard deviation of a kernel. Where means are smooth 1.5 are enough for nine digits; a
/// mean that jumps takes more. In the plane a point is dear.
std::vector<double> resolutions(std::size_t dim) {
  return dim == 1 ? std::vector<double>{2.0, 4.0, 8.0, 16.0, 32.0, 64.0} : std::vector<double>{1.5, 2.0, 3.0, 4.5};
}

/// The exact posterior varies no faster than the kernels' smoothing: in the plane, where points are many, it is compared on every
/// `stride`-th of an axis, still 1.5 a standard deviation.
std::size_t comparison_stride(std::size_t dim, double points_per_sd) {
  return dim == 1 ? 1 : std::max<std::size_t>(1, static_cast<std::size_t>(points_per_sd / 1.5));
}

/// Points of the grid, every `stride`-th along each axis.
std::vector<std::size_t> strided(const GridDensity& density, std::size_t stride) {
  std::vector<std::size_t> points;
  for (std::size_t i = 0; i < density.size(); ++i)
    if (density.index(0, i) % stride == 0 && density.index(1, i) % stride == 0) points.push_back(i);
  return points;
}

void fill_moments(const GridDensity& density, ChainLawAt& out) {
  out.mass = density.mass();
  out.mean.assign(density.dim, 0.0);
  for (std::size_t axis = 0; axis < density.dim; ++axis) {
    for (std::size_t j = 0; j < density.count[axis]; ++j) out.points[axis].push_back(density.at(axis, j));
    double sum = 0.0, square = 0.0;
    for (std::size_t i = 0; i < density.size(); ++i) sum += density.value[i] * out.points[axis][density.index(axis, i)];
    out.mean[axis] = sum * density.cell() / out.mass;
    for (std::size_t i = 0; i < density.size(); ++i)
      square += density.value[i] * std::pow(out.points[axis][density.index(axis, i)] - out.mean[axis], 2);
    out.variance += square * density.cell() / out.mass;
  }
}

/// Sums over the points that are compared: p against q, and q by modes.
struct Comparison {
  double distance = 0.0, divergence = 0.0, exact_mass = 0.0, exact_outside = 0.0, mass = 0.0;
  std::vector<double> responsible;
};

/// The states of `points`, a batch at a time.
template <class Body>
void for_batches(const GridDensity& density, const std::vector<std::size_t>& points, const Body& body) {
  for (std::size_t first = 0; first < points.size(); first += kPointsAtOnce) {
    Matrix x(std::min(kPointsAtOnce, points.size() - first), density.dim);
    for (std::size_t b = 0; b < x.rows(); ++b)
      for (std::size_t axis = 0; axis < density.dim; ++axis) x(b, axis) = density.at(axis, density.index(axis, points[first + b]));
    body(x, first);
  }
}

Comparison compare(const Lens& lens, const ModePartition& modes, const GridDensity& density, std::size_t stride, double t) {
  const std::vector<std::size_t> points = strided(density, stride);
  const double cell = density.cell() * std::pow(static_cast<double>(stride), static_cast<double>(density.dim));
  Comparison sum;
  sum.responsible.assign(modes.num_modes(), 0.0);
  for_batches(density, points, [&](const Matrix& x, std::size_t first) {
    const std::vector<double> log_exact = lens.fields(x, t).log_posterior_density;
    const Matrix responsibilities = lens.mode_responsibilities(x, t, modes, Measure::posterior);
    for (std::size_t b = 0; b < x.rows(); ++b) {
      const double q = density.value[points[first + b]], p = std::exp(log_exact[b]);
      sum.mass += q * cell;
      sum.exact_mass += p * cell;
      sum.distance += std::abs(p - q) * cell;
      if (q > 0.0 && p > 0.0) sum.divergence += p * (log_exact[b] - std::log(q)) * cell;
      if (!(q > 0.0)) sum.exact_outside += p * cell;
      for (std::size_t k = 0; k < modes.num_modes(); ++k) sum.responsible[k] += q * responsibilities(b, k) * cell;
    }
  });
  return sum;
}

std::vector<double> assigned_weights(const Lens& lens, const ModePartition& modes, const GridDensity& density, double t) {
  std::vector<double> weights(modes.num_modes(), 0.0);
  for_batches(density, strided(density, 1), [&](const Matrix& x, std::size_t first) {
    const std::vector<std::size_t> component = lens.assign(x, t);
    for (std::size_t b = 0; b < x.rows(); ++b) weights[modes.mode_of_component[component[b]]] += density.value[first + b] * density.cell();
  });
  return weights;
}

ChainLawAt summarise(const Lens& lens, const ModePartition& modes, const GridDensity& density, std::size_t stride, std::size_t index,
                     double t) {
  ChainLawAt out;
  out.index = index;
  out.t = t;
  fill_moments(density, out);
  Comparison sum = compare(lens, modes, density, stride, t);
  out.mode_weights = std::move(sum.responsible);
  const double beyond = std::max(0.0, 1.0 - sum.exact_mass);
  out.exact_outside = sum.exact_outside + beyond;
  out.total_variation = 0.5 * (sum.distance + beyond + std::max(0.0, 1.0 - sum.mass));
  if (out.exact_outside <= kMostOutside) out.kl = std::max(0.0, sum.divergence);
  out.density = density.value;
  return out;
}

/// The largest difference of what two resolutions say, and of the finer one's mass to 1.
double difference(const ChainLaw& coarser, const ChainLaw& finer) {
  double largest = 0.0;
  const auto see = [&](double d) { largest = std::max(largest, std::isfinite(d) ? std::abs(d) : std::numeric_limits<double>::infinity()); };
  for (std::size_t k = 0; k < finer.assigned_weights.size(); ++k) see(finer.assigned_weights[k] - coarser.assigned_weights[k]);
  for (std::size_t i = 0; i < finer.at.size(); ++i) {
    const ChainLawAt &a = coarser.at[i], &b = finer.at[i];
    see(b.mass - 1.0);
    for (std::size_t k = 0; k < b.mode_weights.size(); ++k) see(b.mode_weights[k] - a.mode_weights[k]);
    for (std::size_t j = 0; j < b.mean.size(); ++j) see((b.mean[j] - a.mean[j]) / std::sqrt(b.variance));
    see(b.variance / a.variance - 1.0);
    see(b.total_variation - a.total_variation);
    if (a.kl && b.kl) see((*b.kl - *a.kl) / (1.0 + *b.kl));
  }
  return largest;
}

/// v of each step: it is the same for every state, so that one tells.
std::vector<double> step_variances(const PosteriorSampler& sampler, const Lens& lens, const std::vector<double>& grid) {
  std::vector<double> variances;
  for (std::size_t k = 0; k + 1 < grid.size(); ++k) {
    const Matrix centre(1, lens.dim(), lens.schedule().shift(grid[k]));
    const std::optional<StepLaw> law = sampler.step_law(centre, grid[k], grid[k + 1]);
    require(law.has_value(), "sampler", sampler.name(), "must say what the law of its step is: it has no chain law otherwise");
    variances.push_back(law->variance);
  }
  return variances;
}

}  // namespace

ChainLaw chain_law(const Lens& lens, const ModePartition& modes, const PosteriorSampler& sampler, const std::vector<double>& grid,
                   const std::vector<std::size_t>& recorded, const ChainLawOptions& options, Observer& observer) {
  require(lens.dim() <= 2, "lens.dim", fmt::format("{}", lens.dim()), "must be 1 or 2: the law of a chain is had on a grid only there");
  require_positive("tolerance", options.tolerance);
  require_positive("max_evaluations", options.max_evaluations);
  require(grid.size() >= 2, "grid", fmt::format("{} times", grid.size()), "must hold a step");
  require(!recorded.empty() && recorded.back() < grid.size() && std::ranges::is_sorted(recorded), "recorded",
          fmt::format("{} indices", recorded.size()), fmt::format("must be ascending indices of the {} times", grid.size()));
  const std::vector<double> variances = step_variances(sampler, lens, grid);
  const auto silent = std::ranges::count(variances, 0.0);
  const bool flow = silent == static_cast<std::ptrdiff_t>(variances.size());
  require(flow || silent == 0, "sampler", sampler.name(), "mixes steps with noise and without: no way to push both is known here");
  require(!flow || lens.dim() == 1, "sampler", sampler.name(),
          "is deterministic: its law in two dimensions has folds that no grid of cells resolves");

  ChainLaw coarser;
  for (const double points_per_sd : resolutions(lens.dim())) {
    ChainPropagation chain{sampler, lens.schedule(), grid, lens.dim(), variances, points_per_sd, options.max_evaluations, coarser.evaluations};
    ChainLaw law;
    law.points_per_sd = points_per_sd;
    const DensityVisitor visit = [&](std::size_t k, const GridDensity& density) {
      if (!std::ranges::binary_search(recorded, k)) return;
      law.at.push_back(summarise(lens, modes, density, comparison_stride(lens.dim(), points_per_sd), k, grid[k]));
      if (k == recorded.back()) law.assigned_weights = assigned_weights(lens, modes, density, grid[k]);
    };
    if (flow) {
      propagate_flow(chain, recorded, observer, visit);
    } else {
      propagate_kernels(chain, observer, visit);
    }
    law.evaluations = chain.evaluations;
    if (!coarser.at.empty()) {
      law.error = difference(coarser, law);
      if (law.error <= options.tolerance) return law;
    }
    coarser = std::move(law);
  }
  throw UnresolvedLaw(fmt::format("{}: two grids, the finer with {} points a standard deviation of a step, differ by {:.2g} (tolerance {:.2g})",
                                  sampler.name(), coarser.points_per_sd, coarser.error, options.tolerance));
}

}  // namespace fslens
