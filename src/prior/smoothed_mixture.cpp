#include "fslens/prior/smoothed_mixture.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <cmath>
#include <limits>

#include "fslens/core/error.hpp"
#include "atom_blocks.hpp"
#include "shared_covariance.hpp"
#include "smoothed_assignment.hpp"
#include "timed_weights.hpp"

namespace fslens {
namespace {

std::shared_ptr<const SharedCovariance> eigenvectors_of(const RowMajor& covariance) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
  std::vector<double> values(static_cast<std::size_t>(covariance.rows()));
  // The smallest eigenvalues of a posterior may come out of rounding below zero.
  for (std::size_t k = 0; k < values.size(); ++k) values[k] = std::max(0.0, solver.eigenvalues()[static_cast<Eigen::Index>(k)]);
  return std::make_shared<SharedCovariance>(RowMajor(solver.eigenvectors().transpose()), std::move(values), 0.0);
}

/// What a measurement says of every component: B = L⁻¹ A Λ^{1/2} = U diag(s) Vᵀ, with Σ_n = L Lᵀ.
struct Measured {
  Eigen::LLT<Eigen::MatrixXd> noise;
  Eigen::MatrixXd u;
  Eigen::VectorXd s;
  Eigen::MatrixXd v;

  Measured(const Eigen::MatrixXd& root_columns, MatrixView<const double> noise_covariance) : noise(as_eigen(noise_covariance)) {
    const Eigen::MatrixXd b = noise.matrixL().solve(root_columns);
    const Eigen::BDCSVD<Eigen::MatrixXd> svd(b, Eigen::ComputeThinU | Eigen::ComputeThinV);
    u = svd.matrixU();
    s = svd.singularValues();
    v = svd.matrixV();
  }
  /// 1/(1 + s_k²): what is left of the variance along V_k.
  Eigen::ArrayXd left() const { return 1.0 / (1.0 + s.array().square()); }
  /// log N(r; 0, S) of whitened residuals L⁻¹ r, rows [n, m].
  Eigen::VectorXd log_density(const Eigen::MatrixXd& whitened) const {
    const Eigen::MatrixXd along = whitened * u;
    Eigen::VectorXd square = (along.array().square().rowwise() * left().transpose()).rowwise().sum();
    if (whitened.cols() > u.cols()) square += (whitened.rowwise().squaredNorm() - along.rowwise().squaredNorm()).cwiseMax(0.0);
    const Eigen::MatrixXd lower = noise.matrixL();
    const double constant = -0.5 * static_cast<double>(whitened.cols()) * kLog2Pi - lower.diagonal().array().log().sum() +
                            0.5 * left().log().sum();
    return (-0.5 * square).array() + constant;
  }
};

std::vector<double> normalised(std::vector<double> log_joint, double& log_evidence) {
  const double best = *std::ranges::max_element(log_joint);
  require(std::isfinite(best), "y", fmt::format("largest log-evidence of a component {}", best),
          "must be possible under at least one component (is sigma far too small, or the operator wrong?)");
  double sum = 0.0;
  for (const double value : log_joint) sum += std::exp(value - best);
  log_evidence = best + std::log(sum);
  for (double& value : log_joint) value -= log_evidence;
  return log_joint;
}

}  // namespace

SmoothedMixture::SmoothedMixture(std::shared_ptr<const EmpiricalPrior> atoms, const SmoothingKernel& kernel)
    : atoms_(std::move(atoms)), timed_(std::make_shared<TimedWeights>()) {
  require_positive("prior.bandwidth", kernel.bandwidth);
  log_weights_ = std::make_shared<std::vector<double>>(atoms_->log_weights().begin(), atoms_->log_weights().end());
  choose_ = std::make_shared<Categorical>(*log_weights_);
  const double h2 = kernel.bandwidth * kernel.bandwidth;
  center_.assign(atoms_->atoms().center().begin(), atoms_->atoms().center().end());
  if (kernel.shape == KernelShape::isotropic) {
    covariance_ = std::make_shared<SharedCovariance>(dim(), h2);
  } else {
    require_size("prior.kernel", kernel.covariance.rows(), dim(), "rows of the covariance, the dimension of the atoms");
    covariance_ = eigenvectors_of(h2 * as_eigen(kernel.covariance));
  }
  shrink_.assign(covariance_->num_vectors() + 1, 1.0);
  store_squares();
}

SmoothedMixture::SmoothedMixture(const SmoothedMixture& prior, std::vector<double> log_weights)
    : atoms_(prior.atoms_), log_weights_(std::make_shared<std::vector<double>>(std::move(log_weights))),
      choose_(std::make_shared<Categorical>(*log_weights_)), timed_(std::make_shared<TimedWeights>()) {}

ConditionedSmoothedMixture SmoothedMixture::condition(MatrixView<const double> matrix, std::span<const double> bias,
                                                      MatrixView<const double> noise_covariance, std::span<const double> y) const {
  require_size("operator", matrix.cols(), dim(), "columns, the dimension of the atoms");
  require(map_.empty() && std::ranges::all_of(shrink_, [](double f) { return f == 1.0; }), "condition", "a posterior", "must be the prior");
  const auto a = as_eigen(matrix);
  Matrix root_rows(matrix);  // rows of A Λ^{1/2}
  color(root_rows);
  const Measured measured(as_eigen(root_rows), noise_covariance);

  std::vector<double> log_joint(num_components());
  const Eigen::Map<const Eigen::VectorXd> target(y.data(), a.rows()), offset(bias.data(), a.rows());
  const Eigen::Map<const Eigen::VectorXd> mean(center_.data(), a.cols());
  const Eigen::VectorXd central = target - offset - a * mean;
  parallel_for_atom_blocks(atoms_->atoms(), [&](std::size_t first, const Matrix& centred) {
    const Eigen::MatrixXd residual = (-(as_eigen(centred) * a.transpose())).rowwise() + central.transpose();
    const Eigen::VectorXd density = measured.log_density(measured.noise.matrixL().solve(residual.transpose()).transpose());
    for (std::size_t i = 0; i < centred.rows(); ++i)
      log_joint[first + i] = (*log_weights_)[first + i] + density[static_cast<Eigen::Index>(i)];
  });
  double log_evidence = 0.0;
  SmoothedMixture posterior(*this, normalised(std::move(log_joint), log_evidence));

  // M = Λ^{1/2} (I + V diag(left − 1) Vᵀ) Λ^{-1/2}, and the posterior's covariance M Λ.
  const Eigen::ArrayXd left = measured.left();
  if (covariance_->num_vectors() == 0) {
    std::vector<double> values;
    for (const double f : left) {
      posterior.shrink_.push_back(f);
      values.push_back(f * covariance_->rest());
    }
    posterior.shrink_.push_back(1.0);
    posterior.covariance_ =
        std::make_shared<SharedCovariance>(RowMajor(measured.v.transpose()), std::move(values), covariance_->rest());
  } else {
    const auto root = covariance_->factors([](double value) { return std::sqrt(value); });
    const auto inverse_root = covariance_->factors([](double value) { return value > 0.0 ? 1.0 / std::sqrt(value) : 0.0; });
    // Rows of the symmetric I + V diag(left − 1) Vᵀ, multiplied by the roots from both sides.
    const Eigen::MatrixXd shrunk = Eigen::MatrixXd::Identity(a.cols(), a.cols()) +
                                   measured.v * (left - 1.0).matrix().asDiagonal() * measured.v.transpose();
    Matrix right = from_eigen(shrunk);
    covariance_->scale(root, right);  // shrunk Λ^{1/2}
    Matrix both = from_eigen(as_eigen(right).transpose());
    covariance_->scale(root, both);  // Λ^{1/2} shrunk Λ^{1/2}, symmetric
    posterior.covariance_ = eigenvectors_of(0.5 * (as_eigen(both) + as_eigen(both).transpose()));
    Matrix map = from_eigen(shrunk);
    covariance_->scale(inverse_root, map);  // shrunk Λ^{-1/2}
    Matrix transposed = from_eigen(as_eigen(map).transpose());
    covariance_->scale(root, transposed);  // its transpose times Λ^{1/2}: Mᵀ
    posterior.map_ = from_eigen(as_eigen(transposed).transpose());
    posterior.shrink_.assign(posterior.covariance_->num_vectors() + 1, 1.0);
  }
  // The centre x̄ + K (y − A x̄ − b), K = Λ^{1/2} V diag(s · left) Uᵀ L⁻¹.
  const Eigen::VectorXd whitened = measured.noise.matrixL().solve(central);
  const Eigen::VectorXd along = measured.v * (measured.s.array() * left * (measured.u.transpose() * whitened).array()).matrix();
  Matrix shift(1, dim(), std::vector<double>(along.begin(), along.end()));
  color(shift);
  posterior.center_ = center_;
  for (std::size_t k = 0; k < dim(); ++k) posterior.center_[k] += shift(0, k);
  posterior.store_squares();
  return {std::move(posterior), log_evidence};
}

void SmoothedMixture::store_squares() {
  const std::size_t count = covariance_->num_vectors();
  squares_.assign(num_components() * count, 0.0);
  mean_squares_.assign(count, 0.0);
  if (count == 0) return;
  RowMajor directions = covariance_->vectors();
  if (!map_.empty()) directions = directions * as_eigen(map_);  // ⟨q, M z⟩ = ⟨Mᵀ q, z⟩
  parallel_for_atom_blocks(atoms_->atoms(), [&](std::size_t first, const Matrix& centred) {
    const RowMajor along = as_eigen(centred) * directions.transpose();
    for (std::size_t j = 0; j < centred.rows() * count; ++j) squares_[first * count + j] = along.data()[j] * along.data()[j];
  });
  for (std::size_t j = 0; j < squares_.size(); ++j) mean_squares_[j % count] += squares_[j] / static_cast<double>(num_components());
}

void SmoothedMixture::map(Matrix& rows) const {
  if (map_.empty()) covariance_->scale(shrink_, rows);
  else rows = from_eigen(as_eigen(rows) * as_eigen(map_).transpose());
}

void SmoothedMixture::map_transposed(Matrix& rows) const {
  if (map_.empty()) covariance_->scale(shrink_, rows);
  else rows = from_eigen(as_eigen(rows) * as_eigen(map_));
}

void SmoothedMixture::copy_mean(std::size_t i, std::span<double> out) const {
  Matrix mean(1, dim());
  atoms_->atoms().copy_atom(i, mean.row(0));
  for (std::size_t k = 0; k < dim(); ++k) mean(0, k) -= atoms_->atoms().center()[k];
  map(mean);
  for (std::size_t k = 0; k < dim(); ++k) out[k] = mean(0, k) + center_[k];
}

double SmoothedMixture::component_variance() const {
  return covariance_->sum(covariance_->factors([](double value) { return value; }));
}

Matrix SmoothedMixture::component_covariance() const {
  Matrix out(dim(), dim());
  for (std::size_t k = 0; k < dim(); ++k) out(k, k) = 1.0;
  covariance_->scale(covariance_->factors([](double value) { return value; }), out);
  return out;
}

void SmoothedMixture::color(Matrix& rows) const {
  covariance_->scale(covariance_->factors([](double value) { return std::sqrt(value); }), rows);
}

AtomMoments SmoothedMixture::moments() const {
  AtomMoments moments = atom_moments(*atoms_, *log_weights_);
  Matrix mean(1, dim(), moments.mean);
  for (std::size_t k = 0; k < dim(); ++k) mean(0, k) -= atoms_->atoms().center()[k];
  map(mean);
  for (std::size_t k = 0; k < dim(); ++k) moments.mean[k] = mean(0, k) + center_[k];
  map(moments.covariance);  // rows of Cov Mᵀ, and once more from the other side
  moments.covariance = from_eigen(as_eigen(moments.covariance).transpose());
  map(moments.covariance);
  const Matrix within = component_covariance();
  for (std::size_t j = 0; j < within.size(); ++j) moments.covariance.values()[j] += within.values()[j];
  return moments;
}

Matrix SmoothedMixture::component_means() const {
  Matrix out(num_components(), dim());
  for (std::size_t i = 0; i < out.rows(); ++i) {
    atoms_->atoms().copy_atom(i, out.row(i));
    for (std::size_t k = 0; k < dim(); ++k) out(i, k) -= atoms_->atoms().center()[k];
  }
  map(out);
  for (std::size_t i = 0; i < out.rows(); ++i)
    for (std::size_t k = 0; k < dim(); ++k) out(i, k) += center_[k];
  return out;
}

Matrix SmoothedMixture::sample(std::size_t count, const RandomStream& stream, std::uint64_t step,
                               std::vector<std::size_t>& component) const {
  component.assign(count, 0);
  Matrix out(count, dim()), noise(count, dim());
  const RandomStream choose = stream.child("component");
  parallel_for_ranges(count, kAtomsPerBlock, [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) {
      component[b] = (*choose_)(choose.uniform(step, b));
      atoms_->atoms().copy_atom(component[b], out.row(b));
      for (std::size_t k = 0; k < dim(); ++k) out(b, k) -= atoms_->atoms().center()[k];
    }
  });
  map(out);
  stream.child("within component").fill_normal(step, noise);
  color(noise);
  for (std::size_t b = 0; b < count; ++b)
    for (std::size_t k = 0; k < dim(); ++k) out(b, k) += center_[k] + noise(b, k);
  return out;
}

}  // namespace fslens
