#include <cmath>

#include "fslens/diagnosis/convergence.hpp"
#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/lens/smoothed_lens.hpp"
#include "mixture_law.hpp"
#include "modewise_kernel.hpp"
#include "quadrature_posterior.hpp"

namespace fslens {
namespace {

std::vector<double> weights_of(const Lens& lens) {
  std::vector<double> weights;
  for (const double log_weight : lens.log_weights(Measure::posterior)) weights.push_back(std::exp(log_weight));
  return weights;
}

/// The weights of groups, atom by atom.
std::vector<double> by_atom(const SmoothedPrior& prior, const std::vector<std::vector<double>>& weights, std::size_t count) {
  std::vector<double> out(count, 0.0);
  for (std::size_t k = 0; k < weights.size(); ++k)
    for (std::size_t j = 0; j < weights[k].size(); ++j) out[prior.atoms[k][j]] = weights[k][j];
  return out;
}

AtomsLens conditioned(const SmoothedPrior& prior, std::size_t count, const Likelihood& likelihood) {
  ConditionedLaw posterior = condition(prior.groups, likelihood);
  std::vector<std::vector<double>> weights;
  for (GaussianComponents& group : posterior.law) {
    weights.push_back(group.weights);
    group = without_copies(group);
  }
  return {nullptr, by_atom(prior, weights, count), posterior.log_evidence, std::move(posterior.law), {}};
}

AtomsLens on_nodes(const SmoothedPrior& prior, std::size_t count, const AnalyticProblem& problem, const QuadratureNodes& nodes) {
  NodesPosterior posterior = posterior_on_nodes(problem, nodes, prior.groups);
  AtomsLens out{nullptr, by_atom(prior, posterior.component_weights, count), posterior.log_evidence, posterior.law, std::move(posterior.law)};
  // A node stands for its cell, as in the exact law.
  const std::size_t d = problem.prior->dim();
  out.law[0].covariance = Matrix(d, d);
  for (std::size_t j = 0; j < d; ++j) out.law[0].covariance(j, j) = posterior.spacing * posterior.spacing / 12.0;
  return out;
}

}  // namespace

LensMethod raw_lens_method(const AnalyticProblem& problem) {
  return {"raw", [problem](std::shared_ptr<const EmpiricalPrior> prior, const ExactPosterior&) {
            auto lens = std::make_shared<FiniteSampleLens>(prior, problem.schedule, problem.likelihood, problem.assignment);
            GaussianComponents atoms{weights_of(*lens), Matrix(prior->num_atoms(), prior->dim()), {}};
            for (std::size_t i = 0; i < prior->num_atoms(); ++i) prior->atoms().copy_atom(i, atoms.centres.row(i));
            return AtomsLens{lens, atoms.weights, lens->log_evidence(), {std::move(atoms)}, {}};
          }};
}

LensMethod smoothed_lens_method(const AnalyticProblem& problem) {
  return {"smoothed", [problem](std::shared_ptr<const EmpiricalPrior> prior, const ExactPosterior& exact) {
            SmoothingKernel kernel = smoothing_kernel(*prior, KernelShape::isotropic);
            if (exact.nodes) return on_nodes(smoothed_prior(*prior, kernel), prior->num_atoms(), problem, *exact.nodes);
            auto lens = std::make_shared<SmoothedLens>(prior, std::move(kernel), problem.schedule, problem.likelihood, problem.assignment);
            const SmoothedMixture& posterior = lens->mixture(Measure::posterior);
            GaussianComponents components{weights_of(*lens), posterior.component_means(), posterior.component_covariance()};
            return AtomsLens{lens, components.weights, lens->log_evidence(), {std::move(components)}, {}};
          }};
}

LensMethod modewise_lens_method(const AnalyticProblem& problem) {
  return {"modewise", [problem](std::shared_ptr<const EmpiricalPrior> atoms, const ExactPosterior& exact) {
            const SmoothedPrior prior = modewise_prior(*atoms);
            if (exact.nodes) return on_nodes(prior, atoms->num_atoms(), problem, *exact.nodes);
            return conditioned(prior, atoms->num_atoms(), *problem.likelihood);
          }};
}

std::vector<LensMethod> lens_methods(const AnalyticProblem& problem) {
  return {raw_lens_method(problem), smoothed_lens_method(problem), modewise_lens_method(problem)};
}

}  // namespace fslens
