#include "fslens/diagnosis/implied_posterior.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fslens/core/error.hpp"
#include "fslens/metrics/total_variation.hpp"

namespace fslens {
namespace {

constexpr double kReach = 10.0;           // standard deviations beyond the outermost component
constexpr double kNegligible = 1e-10;     // of the largest density: what may be left at the grid's edge
constexpr double kMissingMass = 1e-6;     // of prior and exact posterior
constexpr std::size_t kMaxWidenings = 4;  // each doubles the grid
constexpr double kTooCoarse = 1e-3;       // a normaliser that depends on the grid by more than this is no answer

/// Spacing in units of s to begin with, the change of the normaliser to be content with, and when to give up. Densities
/// are smooth on the scale of s but for kinks (dps-zeta), so that the trapezoid rule needs few points; d = 2 affords
/// fewer.
struct Resolution {
  double points_per_s;
  double tolerance;
  std::size_t max_points;
};
Resolution resolution(std::size_t dim) {
  return dim == 1 ? Resolution{16.0, 1e-6, (std::size_t{1} << 18) + 1}
                  : Resolution{4.0, 1e-4, (std::size_t{1} << 11) + 1};
}

/// An equally spaced grid with an odd number of points along each of one or two axes.
struct Grid {
  std::vector<double> low, high;  // [d]
  std::size_t points = 0;

  std::size_t dim() const { return low.size(); }
  std::size_t size() const { return dim() == 1 ? points : points * points; }
  double spacing(std::size_t axis) const { return (high[axis] - low[axis]) / static_cast<double>(points - 1); }
  double cell() const { return dim() == 1 ? spacing(0) : spacing(0) * spacing(1); }
  double at(std::size_t axis, std::size_t j) const { return low[axis] + spacing(axis) * static_cast<double>(j); }
  std::size_t index(std::size_t axis, std::size_t point) const {
    return dim() == 1 ? point : (axis == 0 ? point / points : point % points);
  }
  bool on_edge(std::size_t point) const {
    for (std::size_t axis = 0; axis < dim(); ++axis)
      if (const std::size_t j = index(axis, point); j == 0 || j + 1 == points) return true;
    return false;
  }
  bool on_coarse_grid(std::size_t point) const {
    return index(0, point) % 2 == 0 && (dim() == 1 || index(1, point) % 2 == 0);
  }
  Grid widened() const {
    Grid out(*this);
    for (std::size_t axis = 0; axis < dim(); ++axis) {
      const double margin = 0.5 * (high[axis] - low[axis]);
      out.low[axis] -= margin, out.high[axis] += margin;
    }
    return out;
  }
};

/// Where prior and posterior are at time t, with kReach standard deviations of room.
Grid extent(const Lens& lens, double t) {
  Grid grid;
  const std::size_t d = lens.dim();
  grid.low.assign(d, std::numeric_limits<double>::infinity());
  grid.high.assign(d, -std::numeric_limits<double>::infinity());
  const auto cover = [&](std::size_t axis, double centre, double sd) {
    grid.low[axis] = std::min(grid.low[axis], centre - kReach * sd);
    grid.high[axis] = std::max(grid.high[axis], centre + kReach * sd);
  };
  if (lens.has_atoms()) {
    const NoiseSchedule& schedule = lens.schedule();
    std::vector<double> atom(d);
    for (std::size_t i = 0; i < lens.num_components(); ++i) {
      lens.copy_component(i, atom);
      for (std::size_t k = 0; k < d; ++k) cover(k, schedule.a(t) * atom[k] + schedule.shift(t), schedule.s(t));
    }
    return grid;
  }
  for (const Measure measure : {Measure::prior, Measure::posterior}) {
    const Moments moments = lens.moments(measure, t);
    for (std::size_t k = 0; k < d; ++k) cover(k, moments.mean[k], std::sqrt(moments.covariance(k, k)));
  }
  return grid;
}

/// The fewest points, odd, that are no further apart than `spacing` along any axis.
std::size_t points_for(const Grid& grid, double spacing) {
  double widest = 0.0;
  for (std::size_t axis = 0; axis < grid.dim(); ++axis) widest = std::max(widest, grid.high[axis] - grid.low[axis]);
  return 2 * static_cast<std::size_t>(std::ceil(0.5 * widest / spacing)) + 1;
}

void require_defined(const Guidance& guidance, const char* what, double value, std::span<const double> x) {
  if (std::isnan(value) || value == std::numeric_limits<double>::infinity())
    throw Error(fmt::format("implied_posterior: {} of {} is {} at x = {}{}", what, guidance.name(), value, x[0],
                            x.size() > 1 ? fmt::format(", {}", x[1]) : ""));
}

/// log p̃(y | x) up to a constant: ∫ score by Simpson's rule, with a midpoint in every interval.
std::vector<double> integrated_score(const Lens& lens, const Denoiser& denoiser, const Guidance& guidance, double t,
                                     const Grid& grid) {
  Matrix x(2 * grid.points - 1, 1);
  const double half = 0.5 * grid.spacing(0);
  for (std::size_t j = 0; j < x.rows(); ++j) x(j, 0) = grid.low[0] + half * static_cast<double>(j);
  Matrix mean(x.rows(), 1), score(x.rows(), 1);
  denoiser.denoise(x, t, mean);
  guidance.score(denoiser, lens.likelihood(), x, t, mean, score);
  std::vector<double> log_likelihood(grid.points, 0.0);
  for (std::size_t j = 0; j < x.rows(); ++j) {
    require_defined(guidance, "the score", std::abs(score(j, 0)), x.row(j));
    if (j % 2 == 0 && j > 0)
      log_likelihood[j / 2] =
          log_likelihood[j / 2 - 1] + half / 3.0 * (score(j - 2, 0) + 4.0 * score(j - 1, 0) + score(j, 0));
  }
  return log_likelihood;
}

/// Densities on a grid; `implied` is normalised there.
struct Densities {
  std::vector<double> prior, exact, implied;
  bool by_score = false;
};

Densities evaluate(const Lens& lens, const Denoiser& denoiser, const Guidance& guidance, double t, const Grid& grid,
                   bool by_score) {
  constexpr std::size_t kPointsPerBatch = 1 << 14;
  Densities out;
  std::vector<double> log_likelihood;
  for (std::size_t first = 0; first < grid.size(); first += kPointsPerBatch) {
    Matrix x(std::min(kPointsPerBatch, grid.size() - first), grid.dim());
    for (std::size_t i = 0; i < x.rows(); ++i)
      for (std::size_t axis = 0; axis < grid.dim(); ++axis) x(i, axis) = grid.at(axis, grid.index(axis, first + i));
    const LensFields fields = lens.fields(x, t);
    for (std::size_t i = 0; i < x.rows(); ++i) {
      out.prior.push_back(fields.log_prior_density[i]);
      out.exact.push_back(std::exp(fields.log_posterior_density[i]));
    }
    if (by_score) continue;
    const auto values = guidance.log_likelihood(denoiser, lens.likelihood(), x, t, fields.denoiser_mean);
    if (!values) {
      require(grid.dim() == 1, "guidance", guidance.name(),
              "implies no density here; its score can be integrated in one dimension only");
      return evaluate(lens, denoiser, guidance, t, grid, true);
    }
    for (std::size_t i = 0; i < x.rows(); ++i) require_defined(guidance, "the log-likelihood", (*values)[i], x.row(i));
    log_likelihood.insert(log_likelihood.end(), values->begin(), values->end());
  }
  out.by_score = by_score;
  if (by_score) log_likelihood = integrated_score(lens, denoiser, guidance, t, grid);
  double best = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < grid.size(); ++i) best = std::max(best, log_likelihood[i] += out.prior[i]);
  if (!std::isfinite(best))
    throw Error(fmt::format("implied_posterior: {} gives y no density anywhere at t = {}", guidance.name(), t));
  double sum = 0.0;
  for (std::size_t i = 0; i < grid.size(); ++i) {
    out.prior[i] = std::exp(out.prior[i]);
    out.implied.push_back(std::exp(log_likelihood[i] - best));
    sum += out.implied.back() * grid.cell();
  }
  for (double& value : out.implied) value /= sum;
  return out;
}

double mass(const Grid& grid, const std::vector<double>& density) {
  double sum = 0.0;
  for (const double value : density) sum += value * grid.cell();
  return sum;
}

/// Relative change of a density's mass if every second point of each axis is left out.
double resolution_error(const Grid& grid, const std::vector<double>& density) {
  double fine = 0.0, coarse = 0.0;
  for (std::size_t i = 0; i < grid.size(); ++i) {
    fine += density[i];
    if (grid.on_coarse_grid(i)) coarse += density[i] * (grid.dim() == 1 ? 2.0 : 4.0);
  }
  return std::abs(coarse - fine) / fine;
}

/// Mass that the grid shows to lie beyond its edge, or that is missing on it.
bool cuts_off(const Grid& grid, const Densities& densities, bool resolved) {
  const double negligible = kNegligible * *std::ranges::max_element(densities.implied);
  for (std::size_t i = 0; i < grid.size(); ++i)
    if (grid.on_edge(i) && densities.implied[i] > negligible) return true;
  return resolved && std::min(mass(grid, densities.prior), mass(grid, densities.exact)) < 1.0 - kMissingMass;
}

ImpliedPosterior summarise(const Grid& grid, Densities&& densities) {
  ImpliedPosterior out;
  out.by_score = densities.by_score;
  out.resolution_error = resolution_error(grid, densities.implied);
  out.mean.assign(grid.dim(), 0.0);
  for (std::size_t axis = 0; axis < grid.dim(); ++axis) {
    for (std::size_t j = 0; j < grid.points; ++j) out.points[axis].push_back(grid.at(axis, j));
    const auto place = [&](std::size_t i) { return out.points[axis][grid.index(axis, i)]; };
    for (std::size_t i = 0; i < grid.size(); ++i) out.mean[axis] += densities.implied[i] * grid.cell() * place(i);
    for (std::size_t i = 0; i < grid.size(); ++i)
      out.variance += densities.implied[i] * grid.cell() * (place(i) - out.mean[axis]) * (place(i) - out.mean[axis]);
  }
  if (grid.dim() == 1) {
    out.sd = std::sqrt(out.variance);
    out.total_variation = density_total_variation(densities.implied, densities.exact, out.points[0]).value;
  } else {
    const auto view = [&](const std::vector<double>& v) {
      return MatrixView<const double>(v.data(), grid.points, grid.points);
    };
    out.total_variation =
        density_total_variation(view(densities.implied), view(densities.exact), out.points[0], out.points[1]).value;
  }
  out.density = std::move(densities.implied);
  out.exact_density = std::move(densities.exact);
  return out;
}

}  // namespace

ImpliedPosterior implied_posterior(const Lens& lens, const Guidance& guidance, double t,
                                   const ImpliedPosteriorOptions& options) {
  require(lens.dim() <= 2, "lens.dim", fmt::format("{}", lens.dim()),
          "must be 1 or 2: a density is had on a grid only there");
  lens.schedule().require_time("t", t);
  require(options.points_per_axis == 0 || options.points_per_axis >= 5, "points_per_axis",
          fmt::format("{}", options.points_per_axis), "must be 0 (as many as needed) or at least 5");
  require(!options.by_score || lens.dim() == 1, "by_score", "true", "a score is integrated in one dimension only");
  guidance.require_suitable(lens.likelihood());

  const Resolution wanted = resolution(lens.dim());
  const auto denoiser = lens.denoiser(Measure::prior, AssignmentOptions{});
  const bool automatic = options.points_per_axis == 0;
  Grid grid = extent(lens, t);
  const std::size_t needed = points_for(grid, lens.schedule().s(t) / wanted.points_per_s);
  grid.points = automatic ? needed : options.points_per_axis | 1;
  for (std::size_t widenings = 0; widenings <= kMaxWidenings;) {
    require(grid.points <= wanted.max_points, "t", fmt::format("{}", t),
            fmt::format("the densities are too narrow for a grid of {} points along each axis", wanted.max_points));
    Densities densities = evaluate(lens, *denoiser, guidance, t, grid, options.by_score);
    const double error = std::max(resolution_error(grid, densities.implied), resolution_error(grid, densities.exact));
    const bool resolved = error <= (automatic ? wanted.tolerance : kTooCoarse);
    if (cuts_off(grid, densities, resolved)) {
      grid = grid.widened();
      if (automatic) grid.points = 2 * grid.points - 1;
      ++widenings;
    } else if (!resolved) {
      require(automatic, "points_per_axis", fmt::format("{}", options.points_per_axis),
              fmt::format("too few: with every second point the normaliser differs by {:.2g} of itself", error));
      grid.points = 2 * grid.points - 1;
    } else {
      return summarise(grid, std::move(densities));
    }
  }
  throw Error(
      fmt::format("implied_posterior: what {} implies at t = {} does not vanish within {:.3g} and {:.3g}: its guidance "
                  "pulls outwards",
                  guidance.name(), t, grid.low[0], grid.high[0]));
}

}  // namespace fslens
