// The posterior of an analytic prior under a nonlinear operator, by quadrature in one or two dimensions.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "fslens/diagnosis/analytic_problem.hpp"
#include "regular_grid.hpp"

namespace fslens {

/// See exact_posterior. @throws InvalidArgument
ExactPosterior quadrature_posterior(const AnalyticProblem& problem, std::span<const double> times);

/// p(y | A(x_j)) at the nodes of a grid over the prior's extent: what any prior with a density there is conditioned by.
struct QuadratureNodes {
  RegularGrid grid;
  std::vector<double> likelihood;  ///< over its largest value [grid.size]
  double log_scale = 0.0;          ///< the logarithm of that
};

/// The posterior of another prior with a density, Σ w_i N(c_i, C), under the same measurement: p(x_j) p(y | A(x_j)) at the nodes.
struct NodesPosterior {
  std::vector<GaussianComponents> law;  ///< one group: the nodes, those with a weight below 1e-14 left out
  double spacing = 0.0;                 ///< of the nodes
  double log_evidence = 0.0;
  std::vector<std::vector<double>> component_weights;  ///< p(component | y), group by group
};
/// The trapezoid rule of Gaussians of standard deviation h on nodes δ apart is off by 2 exp(−2π² h²/δ²), relative: the spacing is halved until
/// that is below 1e-6 for the narrowest group. @throws InvalidArgument if that needs more than 2^21 nodes, or y is impossible
NodesPosterior posterior_on_nodes(const AnalyticProblem& problem, const QuadratureNodes& nodes, std::span<const GaussianComponents> prior);

}  // namespace fslens
