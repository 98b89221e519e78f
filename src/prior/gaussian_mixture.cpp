#include "fslens/prior/gaussian_mixture.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <cmath>
#include <limits>
#include <numbers>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "gaussian_algebra.hpp"

namespace fslens {
namespace {

constexpr std::size_t kRowsPerTask = 64;

}  // namespace

struct GaussianMixture::Spectrum {
  Eigen::MatrixXd q;
  Eigen::VectorXd lambda;
};

GaussianMixture::GaussianMixture(Matrix means, std::vector<Matrix> covariances, std::span<const double> weights)
    : means_(std::move(means)), covariances_(std::move(covariances)) {
  const std::size_t count = means_.rows();
  require(count > 0 && dim() > 0, "means", fmt::format("{} x {}", count, dim()), "must not be empty");
  require_finite("means", means_.values());
  require_size("covs", covariances_.size(), count, "one a component");
  for (std::size_t k = 0; k < count; ++k) {
    const std::string name = fmt::format("covs[{}]", k);
    require_size(name, covariances_[k].rows(), dim(), "rows, the dimension of the means");
    require_size(name, covariances_[k].cols(), dim(), "columns, the dimension of the means");
    require_finite(name, covariances_[k].values());
    const auto sigma = as_eigen(covariances_[k]);
    require((sigma - sigma.transpose()).cwiseAbs().maxCoeff() <= 1e-10 * sigma.cwiseAbs().maxCoeff(), name,
            "not symmetric", "must be symmetric");
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(sigma);
    require(solver.eigenvalues().minCoeff() > 0.0, name,
            fmt::format("smallest eigenvalue {}", solver.eigenvalues().minCoeff()), "must be positive definite");
    spectra_.push_back(std::make_shared<Spectrum>(Spectrum{solver.eigenvectors(), solver.eigenvalues()}));
  }
  if (!weights.empty()) require_size("weights", weights.size(), count, "one a component");
  double sum = 0.0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    require_nonnegative(fmt::format("weights[{}]", k), weights[k]);
    sum += weights[k];
  }
  require(weights.empty() || sum > 0.0, "weights", "sum 0", "must have a positive sum");
  log_weights_.assign(count, -std::log(static_cast<double>(count)));
  for (std::size_t k = 0; k < weights.size(); ++k) log_weights_[k] = std::log(weights[k] / sum);
}

namespace {

/// One row's view of the mixture at time t: responsibilities, component means and, in each eigenbasis, C_k's spectrum.
struct RowState {
  Eigen::VectorXd log_joint;              // log π_k + log N(x; aμ_k + b, G_k)
  std::vector<Eigen::VectorXd> mean;      // m_k
  double log_density = 0.0;
  Eigen::VectorXd responsibility;
  Eigen::VectorXd overall;                // m

  template <class Spectra>
  RowState(const Matrix& means, const Spectra& spectra, std::span<const double> log_weights, double a, double s2,
           double shift, std::span<const double> x) {
    const auto count = static_cast<Eigen::Index>(means.rows());
    const auto d = static_cast<Eigen::Index>(means.cols());
    const Eigen::Map<const Eigen::VectorXd> state(x.data(), d);
    log_joint.resize(count);
    for (Eigen::Index k = 0; k < count; ++k) {
      const Eigen::Map<const Eigen::VectorXd> mu(means.row(static_cast<std::size_t>(k)).data(), d);
      const auto& [q, lambda] = *spectra[static_cast<std::size_t>(k)];
      const Eigen::VectorXd u = q.transpose() * (state.array() - shift - a * mu.array()).matrix();
      const Eigen::ArrayXd g = a * a * lambda.array() + s2;
      log_joint[k] = log_weights[static_cast<std::size_t>(k)] - 0.5 * (u.array().square() / g).sum() -
                     0.5 * g.log().sum() - 0.5 * static_cast<double>(d) * kLog2Pi;
      mean.push_back(mu + q * (a * lambda.array() / g * u.array()).matrix());
    }
    const double best = log_joint.maxCoeff();
    responsibility = (log_joint.array() - best).exp();
    log_density = best + std::log(responsibility.sum());
    responsibility /= responsibility.sum();
    overall = Eigen::VectorXd::Zero(d);
    for (Eigen::Index k = 0; k < count; ++k) overall += responsibility[k] * mean[static_cast<std::size_t>(k)];
  }
};

}  // namespace

GaussianMixture::Fields GaussianMixture::fields(const NoiseSchedule& schedule, ConstBatchView x, double t) const {
  schedule.require_time("t", t);
  require_size("x", x.cols(), dim(), "columns, the dimension of the mixture");
  const double a = schedule.a(t), s2 = schedule.s2(t), shift = schedule.shift(t);
  Fields out;
  out.log_density.resize(x.rows());
  out.mean = Matrix(x.rows(), dim());
  out.variance.resize(x.rows());
  out.responsibilities = Matrix(x.rows(), num_components());
  parallel_for_ranges(x.rows(), kRowsPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) {
      const RowState row(means_, spectra_, log_weights_, a, s2, shift, x.row(b));
      out.log_density[b] = row.log_density;
      double variance = 0.0;
      for (std::size_t k = 0; k < num_components(); ++k) {
        const double w = row.responsibility[static_cast<Eigen::Index>(k)];
        const auto& lambda = spectra_[k]->lambda.array();
        variance += w * ((lambda * s2 / (a * a * lambda + s2)).sum() + (row.mean[k] - row.overall).squaredNorm());
        out.responsibilities(b, k) = w;
      }
      out.variance[b] = variance;
      for (std::size_t j = 0; j < dim(); ++j) out.mean(b, j) = row.overall[static_cast<Eigen::Index>(j)];
    }
  });
  return out;
}

Matrix GaussianMixture::denoiser_covariance(const NoiseSchedule& schedule, ConstBatchView x, double t) const {
  const GaussianMixtureDenoiser denoiser(std::make_shared<GaussianMixture>(*this), schedule);
  Matrix mean(x.rows(), dim()), identity(dim(), dim()), out(x.rows(), dim() * dim());
  for (std::size_t j = 0; j < dim(); ++j) identity(j, j) = 1.0;
  denoiser.denoise(x, t, mean);
  denoiser.projected_covariance(x, t, mean, identity, out);
  return out;
}

std::vector<double> GaussianMixture::mean() const {
  std::vector<double> out(dim(), 0.0);
  for (std::size_t k = 0; k < num_components(); ++k)
    for (std::size_t j = 0; j < dim(); ++j) out[j] += std::exp(log_weights_[k]) * means_(k, j);
  return out;
}

Matrix GaussianMixture::covariance() const {
  const std::vector<double> center = mean();
  Matrix out(dim(), dim());
  for (std::size_t k = 0; k < num_components(); ++k)
    for (std::size_t i = 0; i < dim(); ++i)
      for (std::size_t j = 0; j < dim(); ++j)
        out(i, j) += std::exp(log_weights_[k]) *
                     (covariances_[k](i, j) + (means_(k, i) - center[i]) * (means_(k, j) - center[j]));
  return out;
}

Matrix GaussianMixture::sample(std::size_t count, const RandomStream& stream, std::uint64_t step,
                               std::vector<std::size_t>& component) const {
  Matrix out(count, dim());
  component.assign(count, 0);
  const RandomStream choose = stream.child("component");
  parallel_for_ranges(count, kRowsPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) {
      double left = choose.uniform(step, b);
      std::size_t k = 0;
      while (k + 1 < num_components() && left >= std::exp(log_weights_[k])) left -= std::exp(log_weights_[k++]);
      component[b] = k;
      Eigen::VectorXd z(static_cast<Eigen::Index>(dim()));
      for (std::size_t j = 0; j < dim(); ++j) z[static_cast<Eigen::Index>(j)] = stream.normal(step, b, j);
      const Eigen::VectorXd x = spectra_[k]->q * (spectra_[k]->lambda.array().sqrt() * z.array()).matrix();
      for (std::size_t j = 0; j < dim(); ++j) out(b, j) = means_(k, j) + x[static_cast<Eigen::Index>(j)];
    }
  });
  return out;
}

ConditionedMixture condition(const GaussianMixture& prior, MatrixView<const double> matrix, std::span<const double> bias,
                             MatrixView<const double> noise_covariance, std::span<const double> y) {
  const auto a = as_eigen(matrix);
  const auto noise = as_eigen(noise_covariance);
  const auto m = a.rows();
  const auto d = static_cast<Eigen::Index>(prior.dim());
  require_size("operator", matrix.cols(), prior.dim(), "columns, the dimension of the prior");
  Matrix means(prior.num_components(), prior.dim());
  std::vector<Matrix> covariances;
  std::vector<double> log_joint;
  for (std::size_t k = 0; k < prior.num_components(); ++k) {
    const auto sigma = as_eigen(prior.covariance(k));
    const Eigen::Map<const Eigen::VectorXd> mu(prior.means().row(k).data(), d);
    Eigen::VectorXd residual = -(a * mu);
    for (Eigen::Index j = 0; j < m; ++j) residual[j] += y[static_cast<std::size_t>(j)] - bias[static_cast<std::size_t>(j)];
    const Eigen::LLT<Eigen::MatrixXd> factor(a * sigma * a.transpose() + noise);
    const Eigen::MatrixXd gain = factor.solve(a * sigma).transpose();  // Σ Aᵀ S⁻¹
    const Eigen::VectorXd mean = mu + gain * residual;
    const Eigen::MatrixXd shrunk = Eigen::MatrixXd::Identity(d, d) - gain * a;
    // Joseph's form: stays symmetric positive definite when the measurement is sharp.
    const RowMajor covariance = shrunk * sigma * shrunk.transpose() + gain * noise * gain.transpose();
    covariances.push_back(from_eigen(0.5 * (covariance + covariance.transpose())));
    for (Eigen::Index j = 0; j < d; ++j) means(k, static_cast<std::size_t>(j)) = mean[j];
    const Eigen::MatrixXd lower = factor.matrixL();
    log_joint.push_back(prior.log_weights()[k] - 0.5 * residual.dot(factor.solve(residual)) -
                        lower.diagonal().array().log().sum() - 0.5 * static_cast<double>(m) * kLog2Pi);
  }
  const double best = *std::max_element(log_joint.begin(), log_joint.end());
  require(std::isfinite(best), "y", fmt::format("largest log-evidence of a component {}", best),
          "must be possible under at least one component (is sigma far too small, or the operator wrong?)");
  double sum = 0.0;
  for (const double value : log_joint) sum += std::exp(value - best);
  const double log_evidence = best + std::log(sum);
  GaussianMixture posterior(std::move(means), std::move(covariances));
  // As logarithms: a weight that underflows may still be what matters at a state far from the other components.
  for (std::size_t k = 0; k < log_joint.size(); ++k) posterior.log_weights_[k] = log_joint[k] - log_evidence;
  return {std::move(posterior), log_evidence};
}

void GaussianMixtureDenoiser::denoise(ConstBatchView x, double t, BatchView mean) const {
  schedule_.require_time("t", t);
  const GaussianMixture::Fields fields = mixture_->fields(schedule_, x, t);
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t j = 0; j < dim(); ++j) mean(b, j) = fields.mean(b, j);
}

void GaussianMixtureDenoiser::covariance_product(ConstBatchView x, double t, ConstBatchView, ConstBatchView v,
                                                 BatchView product) const {
  schedule_.require_time("t", t);
  const double a = schedule_.a(t), s2 = schedule_.s2(t), shift = schedule_.shift(t);
  const auto d = static_cast<Eigen::Index>(dim());
  parallel_for_ranges(x.rows(), kRowsPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) {
      const RowState row(mixture_->means_, mixture_->spectra_, mixture_->log_weights_, a, s2, shift, x.row(b));
      const Eigen::Map<const Eigen::VectorXd> direction(v.row(b).data(), d);
      Eigen::VectorXd sum = Eigen::VectorXd::Zero(d);
      for (std::size_t k = 0; k < mixture_->num_components(); ++k) {
        const auto& [q, lambda] = *mixture_->spectra_[k];
        const Eigen::VectorXd within =
            q * (lambda.array() * s2 / (a * a * lambda.array() + s2) * (q.transpose() * direction).array()).matrix();
        const Eigen::VectorXd offset = row.mean[k] - row.overall;
        sum += row.responsibility[static_cast<Eigen::Index>(k)] * (within + offset * offset.dot(direction));
      }
      for (std::size_t j = 0; j < dim(); ++j) product(b, j) = sum[static_cast<Eigen::Index>(j)];
    }
  });
}

}  // namespace fslens
