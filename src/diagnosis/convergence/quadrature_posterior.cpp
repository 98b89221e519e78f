#include "quadrature_posterior.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "density_grid.hpp"
#include "fslens/core/error.hpp"
#include "fslens/diagnosis/convergence.hpp"
#include "fslens/lens/finite_sample_lens.hpp"
#include "mixture_law.hpp"

namespace fslens {
namespace {

constexpr double kExtentSds = 9.0;          // the prior's mass beyond is below 1e-18
constexpr double kEvidenceTolerance = 1e-5;
constexpr double kDensityTolerance = 1e-4;
constexpr std::size_t kLawDirections = 8;
constexpr double kEdgeWeight = 1e-9;        // of the posterior, on the outermost nodes

constexpr double kSpacingsPerSd = 0.86;      // 2 exp(−2π² 0.86²) = 9e-7
constexpr double kNegligibleNode = 1e-14;

double most_nodes(std::size_t dim) { return dim == 1 ? 1 << 20 : 1 << 21; }

/// The nodes of a grid, with p(x_j) h^d and the prior's responsibilities there.
struct Nodes {
  RegularGrid grid;
  Matrix x;                      // [n, d]
  std::vector<double> weights;   // p(x_j) h^d
  Matrix responsibilities;       // [n, K]
};

struct Extent {
  std::vector<double> low, high;
};

Extent extent_of(const GaussianMixture& prior) {
  Extent out{std::vector<double>(prior.dim(), std::numeric_limits<double>::infinity()),
             std::vector<double>(prior.dim(), -std::numeric_limits<double>::infinity())};
  for (std::size_t k = 0; k < prior.num_components(); ++k)
    for (std::size_t j = 0; j < prior.dim(); ++j) {
      const double reach = kExtentSds * std::sqrt(prior.covariance(k)(j, j));
      out.low[j] = std::min(out.low[j], prior.means()(k, j) - reach);
      out.high[j] = std::max(out.high[j], prior.means()(k, j) + reach);
    }
  return out;
}

/// out(j, k) = π_k N(x_j; μ_k, Σ_k)
Matrix joint_densities(const GaussianMixture& prior, const Matrix& x) {
  const auto d = static_cast<Eigen::Index>(prior.dim());
  Matrix out(x.rows(), prior.num_components());
  for (std::size_t k = 0; k < prior.num_components(); ++k) {
    const Matrix& covariance = prior.covariance(k);
    const Eigen::LLT<Eigen::MatrixXd> cholesky(Eigen::Map<const Eigen::MatrixXd>(covariance.data(), d, d));
    const double log_scale = prior.log_weights()[k] - 0.5 * static_cast<double>(d) * std::log(2.0 * std::numbers::pi) -
                             cholesky.matrixLLT().diagonal().array().log().sum();
    const Eigen::Map<const Eigen::VectorXd> mean(prior.means().row(k).data(), d);
    for (std::size_t j = 0; j < x.rows(); ++j) {
      const Eigen::VectorXd deviation = Eigen::Map<const Eigen::VectorXd>(x.row(j).data(), d) - mean;
      out(j, k) = std::exp(log_scale - 0.5 * cholesky.matrixL().solve(deviation).squaredNorm());
    }
  }
  return out;
}

Nodes make_nodes(const GaussianMixture& prior, const Extent& extent, double spacing) {
  Nodes out{RegularGrid(extent.low, extent.high, spacing), {}, {}, {}};
  out.x = out.grid.points();
  out.responsibilities = joint_densities(prior, out.x);
  for (std::size_t i = 0; i < out.x.rows(); ++i) {
    double density = 0.0;
    for (const double part : out.responsibilities.row(i)) density += part;
    for (double& part : out.responsibilities.row(i)) part = density > 0.0 ? part / density : 0.0;
    out.weights.push_back(density * out.grid.cell());
  }
  return out;
}

/// The posterior with nodes of one spacing.
ExactPosterior at_spacing(const AnalyticProblem& problem, const Extent& extent, double spacing) {
  Nodes nodes = make_nodes(*problem.prior, extent, spacing);
  const std::size_t d = problem.prior->dim(), count = nodes.x.rows();
  const std::span<const double> values = nodes.x.values();
  const auto prior = std::make_shared<EmpiricalPrior>(AtomTable(std::vector<double>(values.begin(), values.end()), count, d), nodes.weights);
  ExactPosterior out;
  out.method = "quadrature";
  out.lens = std::make_shared<FiniteSampleLens>(prior, problem.schedule, problem.likelihood, problem.assignment);
  GaussianComponents components{std::vector<double>(count), {}, Matrix(d, d)};
  out.mode_weights.assign(problem.prior->num_components(), 0.0);
  double edge_weight = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    const double weight = std::exp(out.lens->log_weights(Measure::posterior)[i]);
    components.weights[i] = weight;
    for (std::size_t k = 0; k < out.mode_weights.size(); ++k) out.mode_weights[k] += weight * nodes.responsibilities(i, k);
    if (nodes.grid.on_edge(i)) edge_weight += weight;
  }
  require(edge_weight < kEdgeWeight, "y", fmt::format("{:.2g} of the posterior at the edge of the prior", edge_weight),
          fmt::format("must be explained within {} standard deviations of the prior", kExtentSds));
  // A node stands for its cell: spread over it, the sum has no gaps between nodes.
  for (std::size_t j = 0; j < d; ++j) components.covariance(j, j) = spacing * spacing / 12.0;
  components.centres = std::move(nodes.x);
  out.law.push_back(std::move(components));
  return out;
}

QuadratureNodes likelihood_at_nodes(const AnalyticProblem& problem, const Extent& extent, double spacing) {
  QuadratureNodes out{RegularGrid(extent.low, extent.high, spacing), {}, 0.0};
  out.likelihood = problem.likelihood->log_likelihood(out.grid.points());
  out.log_scale = *std::ranges::max_element(out.likelihood);
  for (double& value : out.likelihood) value = std::exp(value - out.log_scale);
  return out;
}

/// The smallest standard deviation of a group in any direction.
double narrowest(std::span<const GaussianComponents> law) {
  double least = std::numeric_limits<double>::infinity();
  for (const GaussianComponents& some : law) {
    const auto d = static_cast<Eigen::Index>(some.covariance.rows());
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(Eigen::Map<const Eigen::MatrixXd>(some.covariance.data(), d, d));
    least = std::min(least, std::sqrt(std::max(0.0, solver.eigenvalues()[0])));
  }
  return least;
}

/// s(t)/a(t), the width over which p_t blurs x_0.
double blur(const NoiseSchedule& schedule, double t) { return schedule.s(t) / schedule.a(t); }

double first_spacing(const AnalyticProblem& problem, const Extent& extent, std::span<const double> times) {
  double width = std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < problem.prior->num_components(); ++k)
    for (std::size_t j = 0; j < problem.prior->dim(); ++j)
      width = std::min(width, std::sqrt(problem.prior->covariance(k)(j, j)));
  for (const double t : times) width = std::min(width, blur(problem.schedule, t));
  double widest = 0.0;
  for (std::size_t j = 0; j < extent.low.size(); ++j) widest = std::max(widest, extent.high[j] - extent.low[j]);
  return std::min(0.5 * width, widest / 64.0);
}

}  // namespace

ExactPosterior quadrature_posterior(const AnalyticProblem& problem, std::span<const double> times) {
  const Extent extent = extent_of(*problem.prior);
  const double allowed = most_nodes(problem.prior->dim());
  const SlicedProjections directions(problem.prior->dim(), kLawDirections, RandomStream(0).child("quadrature directions"));
  double spacing = first_spacing(problem, extent, times);
  std::string changes;  // of the last halving
  const auto posterior_at = [&] {
    require(RegularGrid::nodes_needed(extent.low, extent.high, spacing) <= allowed, "operator", problem.likelihood->forward().name(),
            fmt::format("its posterior is not resolved by the finest grid, {:.0f} nodes{}", allowed, changes));
    return at_spacing(problem, extent, spacing);
  };
  ExactPosterior coarse = posterior_at();
  for (;;) {
    spacing *= 0.5;
    ExactPosterior fine = posterior_at();
    fine.log_evidence_error = std::abs(fine.lens->log_evidence() - coarse.lens->log_evidence());
    fine.law_error =
        std::sqrt(sliced_wasserstein2_squared(project(fine.law, directions).lines, project(coarse.law, directions).lines).value);
    changes = fmt::format(": the last halving of its spacing changed log p(y) by {:.2g}", fine.log_evidence_error);
    if (fine.log_evidence_error < kEvidenceTolerance) {
      if (!times.empty()) {
        const double smallest = *std::ranges::min_element(times);
        fine.density_error = DensityGrid(*fine.lens, *problem.prior, smallest).total_variation(*coarse.lens);
        changes += fmt::format(" and p_t(x | y) at t = {:.3g} by {:.2g} in total variation", smallest, fine.density_error);
      }
      if (fine.density_error < kDensityTolerance) {
        fine.nodes = std::make_shared<QuadratureNodes>(likelihood_at_nodes(problem, extent, spacing));
        return fine;
      }
    }
    coarse = std::move(fine);
  }
}

NodesPosterior posterior_on_nodes(const AnalyticProblem& problem, const QuadratureNodes& nodes, std::span<const GaussianComponents> prior) {
  const double wanted = narrowest(prior) / kSpacingsPerSd;
  if (nodes.grid.spacing() > wanted) {
    const Extent extent = extent_of(*problem.prior);
    double spacing = nodes.grid.spacing();
    while (spacing > wanted) spacing *= 0.5;
    // Components cost what lies within their reach, however many nodes there are: more are allowed than for the exact side.
    const double allowed = 4.0 * most_nodes(problem.prior->dim());
    if (RegularGrid::nodes_needed(extent.low, extent.high, spacing) > allowed)
      throw UnresolvedLens(fmt::format("a kernel of standard deviation {:.3g} is not resolved by the finest grid, {:.0f} nodes", narrowest(prior), allowed));
    return posterior_on_nodes(problem, likelihood_at_nodes(problem, extent, spacing), prior);
  }
  const RegularGrid& grid = nodes.grid;
  std::vector<GaussianComponents> distinct;
  for (const GaussianComponents& some : prior) distinct.push_back(without_copies(some));
  std::vector<double> weights = grid.densities(distinct);
  double total = 0.0;
  for (std::size_t j = 0; j < weights.size(); ++j) total += weights[j] *= nodes.likelihood[j] * grid.cell();
  require(total > 0.0, "y", "0", "must be possible under the smoothed atoms");
  NodesPosterior out;
  out.spacing = grid.spacing();
  out.log_evidence = std::log(total) + nodes.log_scale;
  const Matrix x = grid.points();
  GaussianComponents kept;
  std::vector<double> centres;
  for (std::size_t j = 0; j < weights.size(); ++j) {
    if (weights[j] < kNegligibleNode * total) continue;
    kept.weights.push_back(weights[j] / total);
    centres.insert(centres.end(), x.row(j).begin(), x.row(j).end());
  }
  kept.centres = Matrix(kept.weights.size(), grid.dim(), std::move(centres));
  out.law.push_back(std::move(kept));
  for (const GaussianComponents& some : prior) {
    out.component_weights.push_back(grid.integrals(nodes.likelihood, some));
    for (std::size_t i = 0; i < some.weights.size(); ++i) out.component_weights.back()[i] *= some.weights[i] * grid.cell() / total;
  }
  return out;
}

}  // namespace fslens
