#include "scaled_evidence.hpp"

#include <cmath>
#include <limits>
#include <numbers>

#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<Rows> rows_of(Matrix& matrix) {
  return {matrix.data(), static_cast<Eigen::Index>(matrix.rows()), static_cast<Eigen::Index>(matrix.cols())};
}

}  // namespace

ScaledEvidence::ScaledEvidence(ConstBatchView y, std::span<const double> scales, const GaussianNoise& noise, const Matrix& spread_root,
                               std::span<const std::size_t> left_out)
    : scales_(scales.begin(), scales.end()), left_out_(left_out.begin(), left_out.end()), y_(y),
      best_(y.rows(), scales.size(), -std::numeric_limits<double>::infinity()), sum_(y.rows(), scales.size()), lost_weight_(y.rows(), 1) {
  if (noise.is_diagonal()) {
    sigma_ = noise.sigma();
    for (const double sigma : sigma_) log_det_ += std::log(sigma);
  } else {
    Matrix covariance = noise.covariance();
    noise_.compute(rows_of(covariance));
    const Eigen::MatrixXd lower = noise_.matrixL();
    log_det_ = lower.diagonal().array().log().sum();
  }
  spread_ = Eigen::ArrayXd::Zero(static_cast<Eigen::Index>(y.cols()));
  if (!spread_root.empty()) {
    Matrix columns(spread_root.cols(), spread_root.rows());  // rows of Bᵀ, whitened like residuals
    for (std::size_t i = 0; i < spread_root.rows(); ++i)
      for (std::size_t j = 0; j < spread_root.cols(); ++j) columns(j, i) = spread_root(i, j);
    to_coordinates(columns);
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(rows_of(columns).transpose() * rows_of(columns));
    rotation_ = solver.eigenvectors().transpose();
    spread_ = solver.eigenvalues().array().max(0.0);
  }
  to_coordinates(y_);
}

void ScaledEvidence::to_coordinates(Matrix& rows) const {
  auto x = rows_of(rows);
  if (!sigma_.empty()) {
    for (std::size_t b = 0; b < rows.rows(); ++b)
      for (std::size_t j = 0; j < rows.cols(); ++j) rows(b, j) /= sigma_[j];
  } else {
    x = noise_.matrixL().solve(x.transpose()).transpose().eval();
  }
  if (rotation_.size() > 0) x = (x * rotation_.transpose()).eval();
}

void ScaledEvidence::add(std::size_t first, std::span<const double> log_weights, Matrix& predictions) {
  to_coordinates(predictions);
  const auto p = rows_of(predictions);
  const auto y = rows_of(y_);
  Rows squared;  // Σ_j (y_j − p_j)² / (s_j² + κ²) [R, n]
  for (std::size_t k = 0; k < scales_.size(); ++k) {
    const double variance = scales_[k] * scales_[k];
    double factor = 1.0;
    if (rotation_.size() > 0) {
      const Eigen::RowVectorXd weight = (1.0 / (spread_ + variance)).matrix().transpose();
      const Rows scaled = p * weight.transpose().asDiagonal();
      squared = -2.0 * (y * scaled.transpose());
      squared.colwise() += (y.array().square().matrix() * weight.transpose()).eval();
      squared.rowwise() += (p.cwiseProduct(scaled)).rowwise().sum().transpose();
    } else {
      factor = 1.0 / variance;
      if (k == 0) {
        squared = -2.0 * (y * p.transpose());
        squared.colwise() += y.rowwise().squaredNorm();
        squared.rowwise() += p.rowwise().squaredNorm().transpose();
      }
    }
    parallel_for(y_.rows(), [&](std::size_t r) {
      double& best = best_(r, k);
      for (std::size_t i = 0; i < log_weights.size(); ++i) {
        if (first + i == left_out_[r]) {
          lost_weight_(r, 0) = std::exp(log_weights[i]);
          continue;
        }
        const double logit = log_weights[i] - 0.5 * factor * squared(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(i));
        if (!(logit > -std::numeric_limits<double>::infinity())) continue;
        if (logit > best) {
          sum_(r, k) = sum_(r, k) * std::exp(best - logit) + 1.0;
          best = logit;
        } else {
          sum_(r, k) += std::exp(logit - best);
        }
      }
    });
  }
}

Matrix ScaledEvidence::result() const {
  Matrix out(best_.rows(), best_.cols());
  const double m = static_cast<double>(y_.cols());
  for (std::size_t k = 0; k < scales_.size(); ++k) {
    const double log_variances = (spread_ + scales_[k] * scales_[k]).log().sum();
    const double constant = -0.5 * m * std::log(2.0 * std::numbers::pi) - log_det_ - 0.5 * log_variances;
    for (std::size_t r = 0; r < out.rows(); ++r)
      out(r, k) = best_(r, k) + std::log(sum_(r, k)) + constant - std::log1p(-lost_weight_(r, 0));
  }
  return out;
}

Matrix evidences_of_atoms(const EmpiricalPrior& prior, const Likelihood& likelihood, const Matrix& spread_root, ConstBatchView y,
                          std::span<const double> scales, std::span<const std::size_t> left_out) {
  constexpr std::size_t kBlock = 1024;
  ScaledEvidence evidence(y, scales, likelihood.noise(), spread_root, left_out);
  for (std::size_t first = 0; first < prior.num_atoms(); first += kBlock) {
    Matrix block(std::min(kBlock, prior.num_atoms() - first), prior.dim()), predictions(block.rows(), y.cols());
    for (std::size_t i = 0; i < block.rows(); ++i) prior.atoms().copy_atom(first + i, block.row(i));
    likelihood.forward().apply(block, predictions);
    evidence.add(first, prior.log_weights().subspan(first, block.rows()), predictions);
  }
  return evidence.result();
}

}  // namespace fslens
