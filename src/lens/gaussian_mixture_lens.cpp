#include "fslens/lens/gaussian_mixture_lens.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

#include "fslens/core/error.hpp"
#include "scaled_evidence.hpp"

namespace fslens {
namespace {

/// A C^{1/2}. @shape a [m, d], covariance [d, d]
Matrix times_root(const Matrix& a, const Matrix& covariance) {
  using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto d = static_cast<Eigen::Index>(covariance.rows());
  const Eigen::LLT<Eigen::MatrixXd> factor(Eigen::Map<const Rows>(covariance.data(), d, d));
  const Eigen::MatrixXd lower = factor.matrixL();
  Matrix out(a.rows(), a.cols());
  Eigen::Map<Rows>(out.data(), static_cast<Eigen::Index>(a.rows()), d) =
      Eigen::Map<const Rows>(a.data(), static_cast<Eigen::Index>(a.rows()), d) * lower;
  return out;
}

double log_add(double a, double b) {
  const double high = std::max(a, b);
  return std::isinf(high) ? high : high + std::log(std::exp(a - high) + std::exp(b - high));
}

}  // namespace

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

Matrix GaussianMixtureLens::scaled_log_evidences(ConstBatchView y, std::span<const double> noise_scales,
                                                 std::span<const std::size_t> left_out) const {
  // Each component has a spread of its own: one evidence a component, summed.
  Matrix out(y.rows(), noise_scales.size(), -std::numeric_limits<double>::infinity());
  const Matrix a = likelihood_->forward().linear_part();
  const double no_weight = 0.0;
  for (std::size_t k = 0; k < num_components(); ++k) {
    ScaledEvidence evidence(y, noise_scales, likelihood_->noise(), times_root(a, prior_->covariance(k)),
                            std::vector<std::size_t>(y.rows(), kNoComponent));
    Matrix mean(1, dim()), prediction(1, y.cols());
    copy_component(k, mean.row(0));
    likelihood_->forward().apply(mean, prediction);
    evidence.add(0, {&no_weight, 1}, prediction);
    const Matrix one = evidence.result();
    for (std::size_t r = 0; r < y.rows(); ++r) {
      const double missing = left_out[r] == kNoComponent ? 0.0 : std::exp(prior_->log_weights()[left_out[r]]);
      if (left_out[r] == k) continue;
      for (std::size_t c = 0; c < noise_scales.size(); ++c)
        out(r, c) = log_add(out(r, c), prior_->log_weights()[k] - std::log1p(-missing) + one(r, c));
    }
  }
  return out;
}

double GaussianMixtureLens::component_variance() const {
  double sum = 0.0;
  for (std::size_t k = 0; k < num_components(); ++k)
    for (std::size_t j = 0; j < dim(); ++j) sum += std::exp(log_posterior_weights_[k]) * posterior_->covariance(k)(j, j);
  return sum;
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
