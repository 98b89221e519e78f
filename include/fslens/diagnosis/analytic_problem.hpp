// A problem whose prior is known in closed form, under any operator, and its exact posterior.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fslens/diagnosis/projected_law.hpp"
#include "fslens/diffusion/schedule.hpp"
#include "fslens/io/problem_file.hpp"
#include "fslens/lens/lens.hpp"
#include "fslens/prior/gaussian_mixture.hpp"

namespace fslens {

struct AnalyticProblem {
  std::string name;
  std::string title;
  std::string prior_kind;
  std::shared_ptr<const GaussianMixture> prior;
  NoiseSchedule schedule;
  std::shared_ptr<const Likelihood> likelihood;
  double t_min = 0.01;  ///< of the problem's grid
  double t_max = 1.0;
  AssignmentOptions assignment;  ///< of lenses of atoms
  std::uint64_t seed = 0;
};

/// The parts of a problem whose prior is gaussian or gmm; its operator may be nonlinear, unlike that of build_problem.
/// @throws DataError; InvalidArgument if the prior is made of atoms
AnalyticProblem build_analytic_problem(const ProblemSpec& spec, const std::string& name);

struct QuadratureNodes;

/// p_t(x | y) of an analytic prior, as exactly as it can be had.
struct ExactPosterior {
  std::shared_ptr<const Lens> lens;
  std::vector<GaussianComponents> law;  ///< p(x_0 | y) as a mixture
  std::vector<double> mode_weights;     ///< p(component of the prior | y) [K]
  std::string method;                   ///< "closed form" | "quadrature"
  // What the quadrature is off by, from halving its spacing: errors below these mean nothing. 0 in closed form.
  double log_evidence_error = 0.0;
  double density_error = 0.0;           ///< total variation at the smallest of the times
  double law_error = 0.0;               ///< sliced W2 at t = 0
  std::shared_ptr<const QuadratureNodes> nodes;  ///< null in closed form
};

/// An affine operator: the mixture of conditioned Gaussians. Any other, d ≤ 2: quadrature, p(x_0 | y) ∝ p(x_0) p(y | A(x_0)) at the
/// nodes x_j of a grid of spacing h, and p_t(x | y) ≈ Σ_j ω_j N(x; a x_j + b, s² I), the trapezoid rule of the convolution. Its error
/// falls faster than any power of h where the operator is smooth, and as h² where it has a kink. h is halved until halving it again
/// changes log p(y) by less than 1e-5 and p_t(· | y) at the smallest of `times` by less than 1e-4 in total variation.
/// @param times at which the posterior will be asked for, > 0; may be empty
/// @throws InvalidArgument if the operator is not affine and d > 2, or if the finest grid does not resolve the posterior
ExactPosterior exact_posterior(const AnalyticProblem& problem, std::span<const double> times);

}  // namespace fslens
