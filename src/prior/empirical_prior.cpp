#include "fslens/prior/empirical_prior.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "projected_moments.hpp"

namespace fslens {
namespace {

std::vector<double> normalised_log_weights(std::span<const double> weights, std::size_t count) {
  if (weights.empty()) return std::vector<double>(count, -std::log(static_cast<double>(count)));
  require_size("weights", weights.size(), count, "one an atom");
  double sum = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    require_nonnegative(fmt::format("weights[{}]", i), weights[i]);
    sum += weights[i];
  }
  require(sum > 0.0, "weights", "sum 0", "must have a positive sum");
  std::vector<double> logs(count);
  for (std::size_t i = 0; i < count; ++i) logs[i] = std::log(weights[i]) - std::log(sum);
  return logs;
}

/// P m [P, q] from the means of ProjectedMoments: P x̄ and what they say beyond it.
void fill_projected_means(ConstBatchView moments, std::span<const double> projected_center, BatchView out) {
  for (std::size_t b = 0; b < moments.rows(); ++b)
    for (std::size_t j = 0; j < out.cols(); ++j) out(b, j) = projected_center[j] + moments(b, 1 + j) / moments(b, 0);
}

}  // namespace

EmpiricalPrior::EmpiricalPrior(AtomTable atoms, std::span<const double> weights, std::vector<int> labels, std::vector<std::size_t> origins)
    : atoms_(std::move(atoms)), log_weights_(normalised_log_weights(weights, atoms_.count())), labels_(std::move(labels)),
      origins_(std::move(origins)) {
  if (!origins_.empty()) require_size("origins", origins_.size(), atoms_.count(), "one an atom");
  if (!labels_.empty()) require_size("labels", labels_.size(), atoms_.count(), "one an atom");
}

EmpiricalPrior EmpiricalPrior::without(std::size_t i) const {
  require(i < num_atoms(), "atom", fmt::format("{}", i), fmt::format("must be below the number of atoms, {}", num_atoms()));
  std::vector<double> weights(num_atoms());
  for (std::size_t j = 0; j < weights.size(); ++j) {
    const bool left_out = j == i || (!origins_.empty() && origins_[j] == origins_[i]);
    weights[j] = left_out ? 0.0 : std::exp(log_weights_[j]);
  }
  return EmpiricalPrior(atoms_, weights, labels_, origins_);
}

SoftAssignmentRequest assignment_request(const AtomTable& atoms, const NoiseSchedule& schedule, ConstBatchView x, double t,
                                         const AssignmentOptions& options, Matrix& shifted) {
  schedule.require_time("t", t);
  SoftAssignmentRequest request;
  request.tolerance = options.tolerance;
  request.exact_scan = options.exact_scan;
  request.atoms = &atoms;
  request.a = schedule.a(t);
  request.s2 = schedule.s2(t);
  request.x = x;
  if (const double shift = schedule.shift(t); shift != 0.0) {
    shifted = Matrix(x);
    for (double& value : shifted.values()) value -= shift;
    request.x = shifted;
  }
  return request;
}

EmpiricalDenoiser::EmpiricalDenoiser(std::shared_ptr<const EmpiricalPrior> prior, NoiseSchedule schedule,
                                     AssignmentOptions options, std::vector<double> log_weights)
    : prior_(std::move(prior)), schedule_(std::move(schedule)), options_(options) {
  if (log_weights.empty()) log_weights.assign(prior_->log_weights().begin(), prior_->log_weights().end());
  require_size("log_weights", log_weights.size(), prior_->num_atoms(), "one an atom");
  log_weights_ = std::make_shared<const std::vector<double>>(std::move(log_weights));
  moments_ = std::make_shared<KeptMoments>();
}

std::shared_ptr<const Denoiser> EmpiricalDenoiser::for_other_particles() const {
  auto other = std::make_shared<EmpiricalDenoiser>(*this);
  other->memory_ = std::make_shared<TrajectoryMemory>(TrajectoryMemory::Calls::one_run);
  return other;
}

SoftAssignmentRequest EmpiricalDenoiser::request(ConstBatchView x, double t, Matrix& shifted) const {
  SoftAssignmentRequest request = assignment_request(prior_->atoms(), schedule_, x, t, options_, shifted);
  request.log_weights = {*log_weights_};
  request.memory = memory_.get();
  return request;
}

void EmpiricalDenoiser::denoise(ConstBatchView x, double t, BatchView mean) const {
  Matrix shifted;
  SoftAssignmentRequest request = this->request(x, t, shifted);
  const SoftAssignmentResult result = soft_assignment(request);
  for (std::size_t b = 0; b < x.rows(); ++b) std::ranges::copy(result.measures[0].mean.row(b), mean.row(b).begin());
}

void EmpiricalDenoiser::covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v,
                                           BatchView product) const {
  Matrix shifted;
  SoftAssignmentRequest request = this->request(x, t, shifted);
  request.want_mean = false;
  request.direction = v;
  request.direction_mean = mean;
  const SoftAssignmentResult result = soft_assignment(request);
  for (std::size_t b = 0; b < x.rows(); ++b) std::ranges::copy(result.covariance_product.row(b), product.row(b).begin());
}

void EmpiricalDenoiser::projected_covariance(ConstBatchView x, double t, ConstBatchView /*mean*/,
                                             MatrixView<const double> projection, BatchView out) const {
  const auto moments = moments_->of(prior_->atoms(), projection);
  Matrix shifted;
  SoftAssignmentRequest request = this->request(x, t, shifted);
  request.want_mean = false;
  request.features = &moments->features();
  fill_projected_covariance(soft_assignment(request).measures[0].feature_mean, projection.rows(), out);
}

void EmpiricalDenoiser::denoise_and_multiply(ConstBatchView x, double t, MatrixView<const double> projection,
                                             const Direction& direction, BatchView mean, BatchView product) const {
  std::shared_ptr<const ProjectedMoments> moments;
  Matrix shifted;
  SoftAssignmentRequest request = this->request(x, t, shifted);
  if (projection.rows() > 0) {
    moments = moments_->of(prior_->atoms(), projection);
    request.features = &moments->features();
  }
  request.direction_of = [&](std::span<const std::size_t> rows, ConstBatchView means, ConstBatchView feature_means,
                             BatchView directions) {
    Matrix projected(rows.size(), projection.rows() * projection.rows());
    if (projection.rows() > 0) fill_projected_covariance(feature_means, projection.rows(), projected);
    direction(rows, means, projected, directions);
  };
  const SoftAssignmentResult result = soft_assignment(request);
  for (std::size_t b = 0; b < x.rows(); ++b) {
    std::ranges::copy(result.measures[0].mean.row(b), mean.row(b).begin());
    std::ranges::copy(result.covariance_product.row(b), product.row(b).begin());
  }
}

void EmpiricalDenoiser::guided_mean(ConstBatchView x, double t, MatrixView<const double> projection, bool want_covariance, const Tilt& tilt,
                                    BatchView guided) const {
  const std::size_t q = projection.rows();
  const auto moments = moments_->of(prior_->atoms(), projection, want_covariance ? ProjectedMoments::Order::second : ProjectedMoments::Order::first);
  std::vector<double> center(q, 0.0);
  for (std::size_t j = 0; j < q; ++j)
    for (std::size_t k = 0; k < projection.cols(); ++k) center[j] += projection(j, k) * prior_->atoms().center()[k];
  GuidedAssignment along{projection, [&](std::span<const std::size_t> rows, ConstBatchView feature_means, BatchView tilts) {
    Matrix means(rows.size(), q), covariances(rows.size(), want_covariance ? q * q : 0);
    fill_projected_means(feature_means, center, means);
    if (want_covariance) fill_projected_covariance(feature_means, q, covariances);
    tilt(rows, means, covariances, tilts);
  }};
  Matrix shifted;
  SoftAssignmentRequest request = this->request(x, t, shifted);
  request.want_mean = false;
  request.features = &moments->features();
  request.guided = &along;
  const SoftAssignmentResult result = soft_assignment(request);
  for (std::size_t b = 0; b < x.rows(); ++b) std::ranges::copy(result.guided_mean.row(b), guided.row(b).begin());
}

}  // namespace fslens
