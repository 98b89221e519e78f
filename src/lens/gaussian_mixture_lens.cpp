#include "fslens/lens/gaussian_mixture_lens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"

namespace fslens {

GaussianMixtureLens::GaussianMixtureLens(std::shared_ptr<const GaussianMixture> prior, NoiseSchedule schedule,
                                         std::shared_ptr<const Likelihood> likelihood)
    : Lens(std::move(schedule), std::move(likelihood)), prior_(std::move(prior)) {
  const ForwardOperator& forward = likelihood_->forward();
  require(forward.is_affine(), "operator", forward.name(),
          "must be affine for a gaussian or gmm prior: no closed form exists (give atoms drawn from the prior instead)");
  require_size("operator", forward.input_dim(), prior_->dim(), "inputs, the dimension of the prior");
  ConditionedMixture conditioned =
      condition(*prior_, forward.linear_part(), forward.bias(), likelihood_->noise().covariance(), likelihood_->y());
  posterior_ = std::make_shared<GaussianMixture>(std::move(conditioned.posterior));
  log_evidence_ = conditioned.log_evidence;
  log_prior_weights_.assign(prior_->log_weights().begin(), prior_->log_weights().end());
  log_posterior_weights_.assign(posterior_->log_weights().begin(), posterior_->log_weights().end());
}

LensFields GaussianMixtureLens::fields(ConstBatchView x, double t) const {
  schedule_.require_time("t", t);
  return fields_of(prior_->fields(schedule_, x, t), posterior_->fields(schedule_, x, t), x, t);
}

std::vector<double> GaussianMixtureLens::log_prior_density(ConstBatchView x, double t) const {
  return prior_->fields(schedule_, x, t).log_density;
}

std::vector<double> GaussianMixtureLens::log_posterior_density(ConstBatchView x, double t) const {
  return posterior_->fields(schedule_, x, t).log_density;
}

Matrix GaussianMixtureLens::mode_responsibilities(ConstBatchView x, double t, const ModePartition& modes,
                                                  Measure measure) const {
  require_size("modes", modes.mode_of_component.size(), num_components(), "one a component");
  const Matrix component = mixture(measure).fields(schedule_, x, t).responsibilities;
  Matrix out(x.rows(), modes.num_modes());
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t k = 0; k < num_components(); ++k) out(b, modes.mode_of_component[k]) += component(b, k);
  return out;
}

std::vector<std::size_t> GaussianMixtureLens::assign(ConstBatchView x, double t) const {
  const Matrix responsibility = prior_->fields(schedule_, x, t).responsibilities;
  std::vector<std::size_t> out(x.rows());
  for (std::size_t b = 0; b < x.rows(); ++b) {
    const auto row = responsibility.row(b);
    const bool finite = std::ranges::all_of(row, [](double r) { return std::isfinite(r); });
    out[b] = finite ? static_cast<std::size_t>(std::ranges::max_element(row) - row.begin()) : num_components();
  }
  return out;
}

std::shared_ptr<const Denoiser> GaussianMixtureLens::denoiser(Measure measure, AssignmentOptions) const {
  return denoiser(measure);
}

std::shared_ptr<const Denoiser> GaussianMixtureLens::denoiser(Measure measure) const {
  return std::make_shared<GaussianMixtureDenoiser>(measure == Measure::prior ? prior_ : posterior_, schedule_);
}

std::shared_ptr<const Lens> GaussianMixtureLens::remeasured(std::shared_ptr<const Likelihood> likelihood,
                                                            std::optional<std::size_t> left_out) const {
  if (!left_out) return std::make_shared<GaussianMixtureLens>(prior_, schedule_, std::move(likelihood));
  const std::size_t kept = prior_->num_components() - 1;
  require(*left_out <= kept && kept > 0, "component", fmt::format("{}", *left_out),
          fmt::format("must be one of the mixture's {}, and not the only one", kept + 1));
  Matrix means(kept, dim());
  std::vector<Matrix> covariances;
  std::vector<double> weights;
  for (std::size_t k = 0; k <= kept; ++k) {
    if (k == *left_out) continue;
    std::ranges::copy(prior_->means().row(k), means.row(weights.size()).begin());
    covariances.push_back(prior_->covariance(k));
    weights.push_back(std::exp(prior_->log_weights()[k]));
  }
  const auto prior = std::make_shared<GaussianMixture>(std::move(means), std::move(covariances), weights);
  return std::make_shared<GaussianMixtureLens>(prior, schedule_, std::move(likelihood));
}

Draws GaussianMixtureLens::sample_clean(Measure measure, std::size_t count, const RandomStream& stream,
                                        std::uint64_t step) const {
  Draws draws;
  draws.x = mixture(measure).sample(count, stream, step, draws.component);
  return draws;
}

Moments GaussianMixtureLens::clean_moments(Measure measure) const {
  return {mixture(measure).mean(), mixture(measure).covariance()};
}

}  // namespace fslens
