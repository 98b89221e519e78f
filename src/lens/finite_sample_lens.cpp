#include "fslens/lens/finite_sample_lens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "field_error.hpp"
#include "membership.hpp"
#include "scaled_evidence.hpp"

namespace fslens {
namespace {

constexpr std::size_t kAtomsPerBlock = 1024;

/// Calls f(first, block) on blocks of atoms as doubles, so that N × d doubles never exist at once.
template <class F>
void for_each_atom_block(const AtomTable& atoms, F&& f) {
  for (std::size_t first = 0; first < atoms.count(); first += kAtomsPerBlock) {
    Matrix block(std::min(kAtomsPerBlock, atoms.count() - first), atoms.dim());
    for (std::size_t i = 0; i < block.rows(); ++i) atoms.copy_atom(first + i, block.row(i));
    f(first, block);
  }
}

}  // namespace

FiniteSampleLens::FiniteSampleLens(std::shared_ptr<const EmpiricalPrior> prior, NoiseSchedule schedule,
                                   std::shared_ptr<const Likelihood> likelihood, AssignmentOptions options)
    : Lens(std::move(schedule), std::move(likelihood)), prior_(std::move(prior)), options_(options) {
  require_size("operator", likelihood_->input_dim(), prior_->dim(), "inputs, the dimension of the atoms");
  log_prior_weights_.assign(prior_->log_weights().begin(), prior_->log_weights().end());
  log_posterior_weights_ = log_prior_weights_;
  for_each_atom_block(prior_->atoms(), [&](std::size_t first, const Matrix& block) {
    const std::vector<double> log_likelihood = likelihood_->log_likelihood(block);
    for (std::size_t i = 0; i < block.rows(); ++i) {
      require(!std::isnan(log_likelihood[i]), "operator", fmt::format("log-likelihood nan at atom {}", first + i),
              "must be defined at every atom");
      log_posterior_weights_[first + i] += log_likelihood[i];
    }
  });
  const double best = *std::max_element(log_posterior_weights_.begin(), log_posterior_weights_.end());
  require(std::isfinite(best), "y", fmt::format("largest log-likelihood over the atoms {}", best),
          "must be possible under at least one atom (is sigma far too small, or the operator wrong?)");
  const LogSum evidence = log_sum(log_posterior_weights_);
  log_evidence_ = evidence.value;
  log_evidence_error_ = evidence.error;
  for (double& value : log_posterior_weights_) value -= log_evidence_;
  for (const Measure measure : {Measure::prior, Measure::posterior}) choose_.emplace_back(log_weights(measure));
}

LensFields FiniteSampleLens::fields(ConstBatchView x, double t) const {
  Matrix shifted;
  SoftAssignmentRequest request = assignment_request(prior_->atoms(), schedule_, x, t, options_, shifted);
  request.log_weights = {log_prior_weights_, log_posterior_weights_};
  request.memory = memory_.get();
  request.want_variance = true;
  SoftAssignmentResult result = soft_assignment(request);

  LensFields out;
  const double constant = gaussian_log_constant(request.s2, dim());
  out.denoiser_mean = std::move(result.measures[0].mean);
  out.denoiser_variance = std::move(result.measures[0].variance);
  out.posterior_denoiser_mean = std::move(result.measures[1].mean);
  out.posterior_denoiser_variance = std::move(result.measures[1].variance);
  for (std::size_t b = 0; b < x.rows(); ++b) {
    const double prior = result.measures[0].log_normaliser[b];
    const double posterior = result.measures[1].log_normaliser[b];
    out.log_prior_density.push_back(prior + constant);
    out.log_posterior_density.push_back(posterior + constant);
    out.log_likelihood.push_back(posterior - prior + log_evidence_);
  }
  fill_scores(x, t, out);
  FieldErrors(request, schedule_.shift(t), {log_evidence_, log_evidence_error_}).fill(result, out);
  return out;
}

std::vector<double> FiniteSampleLens::log_prior_density(ConstBatchView x, double t) const {
  return log_density(x, t, Measure::prior);
}

std::vector<double> FiniteSampleLens::log_posterior_density(ConstBatchView x, double t) const {
  return log_density(x, t, Measure::posterior);
}

std::vector<double> FiniteSampleLens::log_density(ConstBatchView x, double t, Measure measure) const {
  Matrix shifted;
  SoftAssignmentRequest request = assignment_request(prior_->atoms(), schedule_, x, t, options_, shifted);
  request.log_weights = {log_weights(measure)};
  request.want_mean = false;
  std::vector<double> density = std::move(soft_assignment(request).measures[0].log_normaliser);
  for (double& value : density) value += gaussian_log_constant(request.s2, dim());
  return density;
}

Matrix FiniteSampleLens::mode_responsibilities(ConstBatchView x, double t, const ModePartition& modes,
                                               Measure measure) const {
  const AtomFeatures membership = membership_features(modes, num_components());
  Matrix shifted;
  SoftAssignmentRequest request = assignment_request(prior_->atoms(), schedule_, x, t, options_, shifted);
  request.log_weights = {log_weights(measure)};
  request.want_mean = false;
  request.features = &membership;
  return std::move(soft_assignment(request).measures[0].feature_mean);
}

std::vector<std::size_t> FiniteSampleLens::assign(ConstBatchView x, double t) const {
  Matrix shifted;
  const SoftAssignmentRequest request = assignment_request(prior_->atoms(), schedule_, x, t, options_, shifted);
  return nearest_atoms(prior_->atoms(), request.x, request.a, log_prior_weights_);
}

std::shared_ptr<const Denoiser> FiniteSampleLens::denoiser(Measure measure) const { return denoiser(measure, options_); }

std::shared_ptr<const Denoiser> FiniteSampleLens::denoiser(Measure measure, AssignmentOptions options) const {
  options.exact_scan = options.exact_scan || options_.exact_scan;
  const auto weights = log_weights(measure);
  return std::make_shared<EmpiricalDenoiser>(prior_, schedule_, options, std::vector<double>(weights.begin(), weights.end()));
}

std::shared_ptr<const Lens> FiniteSampleLens::remeasured(std::shared_ptr<const Likelihood> likelihood,
                                                         std::optional<std::size_t> left_out) const {
  const auto prior = left_out ? std::make_shared<const EmpiricalPrior>(prior_->without(*left_out)) : prior_;
  return std::make_shared<FiniteSampleLens>(prior, schedule_, std::move(likelihood), options_);
}

Matrix FiniteSampleLens::scaled_log_evidences(ConstBatchView y, std::span<const double> noise_scales,
                                              std::span<const std::size_t> left_out) const {
  return evidences_of_atoms(*prior_, *likelihood_, {}, y, noise_scales, left_out);
}

Draws FiniteSampleLens::sample_clean(Measure measure, std::size_t count, const RandomStream& stream,
                                     std::uint64_t step) const {
  const Categorical& choose = choose_[measure == Measure::prior ? 0 : 1];
  Draws draws{Matrix(count, dim()), std::vector<std::size_t>(count)};
  parallel_for_ranges(count, kAtomsPerBlock, [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) {
      draws.component[b] = choose(stream.uniform(step, b));
      prior_->atoms().copy_atom(draws.component[b], draws.x.row(b));
    }
  });
  return draws;
}

Moments FiniteSampleLens::clean_moments(Measure measure) const {
  AtomMoments moments = atom_moments(*prior_, log_weights(measure));
  return {std::move(moments.mean), std::move(moments.covariance)};
}

}  // namespace fslens
