#include "fslens/diagnosis/analytic_problem.hpp"

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "problem_builder.hpp"
#include "quadrature_posterior.hpp"

namespace fslens {
namespace {

/// Errors of lenses of atoms are above 1e-4 up to 10^7 atoms: a field known better than this costs time and shows nothing.
constexpr double kFinestTolerance = 1e-6;

ExactPosterior conditioned_posterior(const AnalyticProblem& problem) {
  const auto lens = std::make_shared<GaussianMixtureLens>(problem.prior, problem.schedule, problem.likelihood);
  const GaussianMixture& posterior = lens->posterior();
  ExactPosterior out;
  out.method = "closed form";
  for (std::size_t k = 0; k < posterior.num_components(); ++k) {
    const double weight = std::exp(posterior.log_weights()[k]);
    out.law.push_back({{weight}, Matrix(ConstBatchView(posterior.means()).rows_from(k, 1)), posterior.covariance(k)});
    out.mode_weights.push_back(weight);
  }
  out.lens = lens;
  return out;
}

}  // namespace

AnalyticProblem build_analytic_problem(const ProblemSpec& spec, const std::string& name) {
  require(spec.prior.kind != "atoms", "prior.kind", spec.prior.kind,
          "must be gaussian or gmm: only then is the posterior known that lenses of atoms converge to");
  auto prior = build_mixture(spec.prior);
  auto likelihood = build_mixture_likelihood(spec, *prior);
  return {name, spec.title, spec.prior.kind, std::move(prior), build_schedule(spec.schedule), std::move(likelihood),
          spec.grid.t_min, spec.grid.t_max, {std::max(spec.run.tolerance, kFinestTolerance), spec.run.exact_scan}, spec.run.seed};
}

ExactPosterior exact_posterior(const AnalyticProblem& problem, std::span<const double> times) {
  const ForwardOperator& forward = problem.likelihood->forward();
  if (forward.is_affine()) return conditioned_posterior(problem);
  require(problem.prior->dim() <= 2, "operator", forward.name(),
          "must be affine for a prior in more than 2 dimensions: quadrature of its posterior is feasible in 1 or 2 only");
  return quadrature_posterior(problem, times);
}

}  // namespace fslens
