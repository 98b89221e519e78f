#include "quadrature_posterior.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "density_grid.hpp"
#include "fslens/core/error.hpp"
#include "fslens/lens/finite_sample_lens.hpp"

namespace fslens {
namespace {

constexpr double kExtentSds = 9.0;          // the prior's mass beyond is below 1e-18
constexpr double kEvidenceTolerance = 1e-5;
constexpr double kDensityTolerance = 1e-4;
constexpr std::size_t kLawDirections = 8;
constexpr double kEdgeWeight = 1e-9;        // of the posterior, on the outermost nodes

double most_nodes(std::size_t dim) { return dim == 1 ? 1 << 20 : 1 << 21; }

/// Nodes x_j = low + h·(integers), with log(p(x_j) h^d) and the prior's responsibilities there.
struct Nodes {
  Matrix x;                      // [n, d]
  std::vector<double> weights;   // p(x_j) h^d
  Matrix responsibilities;       // [n, K]
  std::vector<bool> on_edge;
  double spacing = 0.0;
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

double nodes_needed(const Extent& extent, double spacing) {
  double count = 1.0;
  for (std::size_t j = 0; j < extent.low.size(); ++j) count *= std::ceil((extent.high[j] - extent.low[j]) / spacing) + 1.0;
  return count;
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
  const std::size_t d = prior.dim();
  std::vector<std::size_t> counts;
  for (std::size_t j = 0; j < d; ++j)
    counts.push_back(static_cast<std::size_t>(std::ceil((extent.high[j] - extent.low[j]) / spacing)) + 1);
  const std::size_t columns = d == 2 ? counts[1] : 1;
  Nodes out;
  out.spacing = spacing;
  out.x = Matrix(counts[0] * columns, d);
  for (std::size_t i = 0; i < out.x.rows(); ++i) {
    const std::size_t place[2] = {i / columns, i % columns};
    bool edge = false;
    for (std::size_t j = 0; j < d; ++j) {
      out.x(i, j) = extent.low[j] + spacing * static_cast<double>(place[j]);
      edge = edge || place[j] == 0 || place[j] + 1 == counts[j];
    }
    out.on_edge.push_back(edge);
  }
  out.responsibilities = joint_densities(prior, out.x);
  for (std::size_t i = 0; i < out.x.rows(); ++i) {
    double density = 0.0;
    for (const double part : out.responsibilities.row(i)) density += part;
    for (double& part : out.responsibilities.row(i)) part = density > 0.0 ? part / density : 0.0;
    out.weights.push_back(density * std::pow(spacing, static_cast<double>(d)));
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
    if (nodes.on_edge[i]) edge_weight += weight;
  }
  require(edge_weight < kEdgeWeight, "y", fmt::format("{:.2g} of the posterior at the edge of the prior", edge_weight),
          fmt::format("must be explained within {} standard deviations of the prior", kExtentSds));
  // A node stands for its cell: spread over it, the sum has no gaps between nodes.
  for (std::size_t j = 0; j < d; ++j) components.covariance(j, j) = spacing * spacing / 12.0;
  components.centres = std::move(nodes.x);
  out.law.push_back(std::move(components));
  return out;
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
    require(nodes_needed(extent, spacing) <= allowed, "operator", problem.likelihood->forward().name(),
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
      if (fine.density_error < kDensityTolerance) return fine;
    }
    coarse = std::move(fine);
  }
}

}  // namespace fslens
