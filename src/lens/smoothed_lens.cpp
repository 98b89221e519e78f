#include "fslens/lens/smoothed_lens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fslens/core/error.hpp"
#include "membership.hpp"
#include "scaled_evidence.hpp"

namespace fslens {

SmoothedLens::SmoothedLens(std::shared_ptr<const EmpiricalPrior> atoms, SmoothingKernel kernel, NoiseSchedule schedule,
                           std::shared_ptr<const Likelihood> likelihood, AssignmentOptions options)
    : Lens(std::move(schedule), std::move(likelihood)), atoms_(std::move(atoms)), kernel_(std::move(kernel)), options_(options),
      prior_(std::make_shared<SmoothedMixture>(atoms_, kernel_)) {
  const ForwardOperator& forward = likelihood_->forward();
  require(forward.is_affine(), "operator", forward.name(), "must be affine for a smoothed lens in closed form");
  require_size("operator", forward.input_dim(), atoms_->dim(), "inputs, the dimension of the atoms");
  ConditionedSmoothedMixture conditioned =
      prior_->condition(forward.linear_part(), forward.bias(), likelihood_->noise().covariance(), likelihood_->y());
  posterior_ = std::make_shared<SmoothedMixture>(std::move(conditioned.posterior));
  log_evidence_ = conditioned.log_evidence;
  log_prior_weights_.assign(prior_->log_weights().begin(), prior_->log_weights().end());
  log_posterior_weights_.assign(posterior_->log_weights().begin(), posterior_->log_weights().end());
}

LensFields SmoothedLens::fields(ConstBatchView x, double t) const {
  return fields_of(prior_->fields(schedule_, x, t, options_), posterior_->fields(schedule_, x, t, options_), x, t);
}

std::vector<double> SmoothedLens::log_prior_density(ConstBatchView x, double t) const {
  return prior_->log_density(schedule_, x, t, options_);
}

std::vector<double> SmoothedLens::log_posterior_density(ConstBatchView x, double t) const {
  return posterior_->log_density(schedule_, x, t, options_);
}

Matrix SmoothedLens::mode_responsibilities(ConstBatchView x, double t, const ModePartition& modes, Measure measure) const {
  const AtomFeatures membership = membership_features(modes, num_components());
  return mixture(measure).feature_means(schedule_, x, t, membership, options_);
}

std::vector<std::size_t> SmoothedLens::assign(ConstBatchView x, double t) const {
  Matrix shifted;
  const SoftAssignmentRequest request = assignment_request(atoms_->atoms(), schedule_, x, t, options_, shifted);
  return nearest_atoms(atoms_->atoms(), request.x, request.a, log_prior_weights_);
}

std::shared_ptr<const Denoiser> SmoothedLens::denoiser(Measure measure) const { return denoiser(measure, options_); }

std::shared_ptr<const Denoiser> SmoothedLens::denoiser(Measure measure, AssignmentOptions options) const {
  options.exact_scan = options.exact_scan || options_.exact_scan;
  return std::make_shared<SmoothedDenoiser>(measure == Measure::prior ? prior_ : posterior_, schedule_, options);
}

std::shared_ptr<const Lens> SmoothedLens::remeasured(std::shared_ptr<const Likelihood> likelihood, std::optional<std::size_t> left_out) const {
  const auto atoms = left_out ? std::make_shared<const EmpiricalPrior>(atoms_->without(*left_out)) : atoms_;
  return std::make_shared<SmoothedLens>(atoms, kernel_, schedule_, std::move(likelihood), options_);
}

Matrix SmoothedLens::scaled_log_evidences(ConstBatchView y, std::span<const double> noise_scales,
                                          std::span<const std::size_t> left_out) const {
  Matrix root = likelihood_->forward().linear_part();
  prior_->color(root);  // A H^{1/2}
  return evidences_of_atoms(*atoms_, *likelihood_, root, y, noise_scales, left_out);
}

Draws SmoothedLens::sample_clean(Measure measure, std::size_t count, const RandomStream& stream, std::uint64_t step) const {
  Draws draws;
  draws.x = mixture(measure).sample(count, stream, step, draws.component);
  return draws;
}

Moments SmoothedLens::clean_moments(Measure measure) const {
  AtomMoments moments = mixture(measure).moments();
  return {std::move(moments.mean), std::move(moments.covariance)};
}

std::shared_ptr<const EmpiricalPrior> jittered(const EmpiricalPrior& atoms, const SmoothingKernel& kernel, std::size_t copies,
                                               const RandomStream& stream) {
  require(copies > 0, "prior.copies", "0", "must be at least 1");
  const std::size_t d = atoms.dim(), count = atoms.num_atoms() * copies;
  Matrix noise(count, d);
  stream.child("jitter").fill_normal(0, noise);
  SmoothedMixture(std::make_shared<EmpiricalPrior>(atoms), kernel).color(noise);
  std::vector<double> values(count * d), weights(count), atom(d);
  std::vector<int> labels;
  std::vector<std::size_t> origin(count);
  for (std::size_t i = 0; i < atoms.num_atoms(); ++i) {
    atoms.atoms().copy_atom(i, atom);
    for (std::size_t j = i * copies; j < (i + 1) * copies; ++j) {
      for (std::size_t k = 0; k < d; ++k) values[j * d + k] = atom[k] + noise(j, k);
      weights[j] = std::exp(atoms.log_weights()[i]);
      origin[j] = i;
      if (!atoms.labels().empty()) labels.push_back(atoms.labels()[i]);
    }
  }
  return std::make_shared<EmpiricalPrior>(AtomTable(std::move(values), count, d), weights, std::move(labels), std::move(origin));
}

}  // namespace fslens
