#include "fslens/measurement/noise.hpp"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include "fslens/core/error.hpp"

namespace fslens {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstSquare = Eigen::Map<const RowMajor>;
using MutableVector = Eigen::Map<Eigen::VectorXd>;
using ConstVector = Eigen::Map<const Eigen::VectorXd>;

ConstSquare square(const Matrix& a) {
  return {a.data(), static_cast<Eigen::Index>(a.rows()), static_cast<Eigen::Index>(a.cols())};
}

MutableVector vector(std::span<double> values) { return {values.data(), static_cast<Eigen::Index>(values.size())}; }

double head_dot(const Matrix& a, std::size_t i, std::size_t j, std::size_t count) {
  const auto n = static_cast<Eigen::Index>(count);
  return ConstVector(a.row(i).data(), n).dot(ConstVector(a.row(j).data(), n));
}

void require_sigma(const std::string& name, double sigma) {
  require_positive(name, sigma);
  require(std::isfinite(1.0 / sigma), name, fmt::format("{}", sigma), "must be large enough for 1/sigma to be finite");
}

void require_length(const char* function, const char* argument, std::size_t size, std::size_t expected) {
  if (size != expected)
    require_size(fmt::format("noise.{}: {}", function, argument), size, expected, "the dimension of the noise");
}

void require_finite_square(const Matrix& covariance) {
  require(!covariance.empty() && covariance.rows() == covariance.cols(), "noise.covariance",
          fmt::format("{} x {}", covariance.rows(), covariance.cols()), "must be square and not empty");
  for (std::size_t i = 0; i < covariance.rows(); ++i)
    for (std::size_t j = 0; j < covariance.cols(); ++j)
      if (!std::isfinite(covariance(i, j)))
        require(false, fmt::format("noise.covariance[{}, {}]", i, j), fmt::format("{}", covariance(i, j)),
                "must be finite");
}

/// ½ (Σ + Σᵀ), so that the two triangles agree to the last bit.
Matrix symmetrised(Matrix covariance) {
  constexpr double kAsymmetry = 1e-10;
  double largest = 0.0;
  for (const double entry : covariance.values()) largest = std::max(largest, std::abs(entry));
  for (std::size_t i = 0; i < covariance.rows(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const double lower = covariance(i, j);
      const double upper = covariance(j, i);
      if (std::abs(lower - upper) > kAsymmetry * largest)
        require(false, fmt::format("noise.covariance[{0}, {1}] and [{1}, {0}]", i, j),
                fmt::format("{} and {}", lower, upper), "must be equal (the covariance is symmetric)");
      covariance(i, j) = covariance(j, i) = 0.5 * lower + 0.5 * upper;
    }
  return covariance;
}

/// Lower L with L Lᵀ = Σ, by rows: written out, since the caller is told which pivot fails.
Matrix cholesky(const Matrix& covariance) {
  const std::size_t m = covariance.rows();
  const double rounding = 4.0 * static_cast<double>(m) * std::numeric_limits<double>::epsilon();
  Matrix lower(m, m);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < i; ++j) lower(i, j) = (covariance(i, j) - head_dot(lower, i, j, j)) / lower(j, j);
    const double pivot = covariance(i, i) - head_dot(lower, i, i, i);
    if (!(pivot > rounding * std::abs(covariance(i, i))))
      require(false, "noise.covariance",
              fmt::format("a {0} x {0} matrix whose Cholesky pivot {1} is {2:.6g}", m, i, pivot),
              "must be positive definite");
    lower(i, i) = std::sqrt(pivot);
  }
  return lower;
}

}  // namespace

GaussianNoise GaussianNoise::scalar(std::size_t m, double sigma) {
  require(m > 0, "noise.dim", "0", "must be at least 1");
  require_sigma("noise.sigma", sigma);
  GaussianNoise noise = per_component(std::vector<double>(m, sigma));
  noise.scalar_sigma_ = sigma;
  noise.log_normaliser_ = -static_cast<double>(m) * (0.5 * std::log(2.0 * std::numbers::pi) + std::log(sigma));
  return noise;
}

GaussianNoise GaussianNoise::per_component(std::vector<double> sigma) {
  require(!sigma.empty(), "noise.sigma", "no entry", "must have at least one");
  GaussianNoise noise;
  noise.dim_ = sigma.size();
  noise.inverse_sigma_.resize(sigma.size());
  noise.log_normaliser_ = -0.5 * static_cast<double>(sigma.size()) * std::log(2.0 * std::numbers::pi);
  for (std::size_t j = 0; j < sigma.size(); ++j) {
    if (!(sigma[j] > 0.0) || !std::isfinite(sigma[j]) || !std::isfinite(1.0 / sigma[j]))
      require_sigma(fmt::format("noise.sigma[{}]", j), sigma[j]);
    noise.inverse_sigma_[j] = 1.0 / sigma[j];
    noise.log_normaliser_ -= std::log(sigma[j]);
  }
  noise.sigma_ = std::move(sigma);
  return noise;
}

GaussianNoise GaussianNoise::full(Matrix covariance) {
  require_finite_square(covariance);
  GaussianNoise noise;
  noise.dim_ = covariance.rows();
  noise.covariance_ = symmetrised(std::move(covariance));
  noise.cholesky_ = cholesky(noise.covariance_);
  noise.log_normaliser_ = -0.5 * static_cast<double>(noise.dim_) * std::log(2.0 * std::numbers::pi);
  for (std::size_t j = 0; j < noise.dim_; ++j) {
    noise.log_normaliser_ -= std::log(noise.cholesky_(j, j));
    noise.sigma_.push_back(std::sqrt(noise.covariance_(j, j)));
  }
  return noise;
}

GaussianNoise GaussianNoise::scaled(double kappa) const {
  require_positive("kappa", kappa);
  if (scalar_sigma_ > 0.0) return scalar(dim_, kappa * scalar_sigma_);
  if (is_diagonal()) {
    std::vector<double> sigma(sigma_);
    for (double& value : sigma) value *= kappa;
    return per_component(std::move(sigma));
  }
  Matrix covariance(covariance_);
  for (double& value : covariance.values()) value *= kappa * kappa;
  return full(std::move(covariance));
}

Matrix GaussianNoise::covariance() const {
  if (!is_diagonal()) return covariance_;
  Matrix diagonal(dim_, dim_);
  for (std::size_t j = 0; j < dim_; ++j) diagonal(j, j) = sigma_[j] * sigma_[j];
  return diagonal;
}

/// rᵀ Σ_n⁻¹ r of diagonal noise. Scaled before it is squared, so that a tiny σ neither underflows nor overflows.
double GaussianNoise::squared_norm(std::span<const double> residual) const {
  double sum = 0.0;
  for (std::size_t j = 0; j < dim_; ++j) {
    const double z = residual[j] * inverse_sigma_[j];
    sum += z * z;
  }
  return sum;
}

double GaussianNoise::log_density(std::span<const double> residual) const {
  double value = 0.0;
  log_density(ConstBatchView(residual.data(), 1, residual.size()), {&value, 1});
  return value;
}

void GaussianNoise::log_density(ConstBatchView residual, std::span<double> out) const {
  require_length("log_density", "residual", residual.cols(), dim_);
  if (out.size() != residual.rows())
    require_size("noise.log_density: out", out.size(), residual.rows(), "the rows of residual");
  if (is_diagonal()) {
    for (std::size_t b = 0; b < residual.rows(); ++b) out[b] = log_normaliser_ - 0.5 * squared_norm(residual.row(b));
    return;
  }
  // L⁻¹ on many residuals at once: each is a column of a column-major matrix, where it was a row of a row-major one.
  constexpr std::size_t kRowsPerSolve = 64;
  Matrix whitened(std::min(kRowsPerSolve, residual.rows()), dim_);
  for (std::size_t first = 0; first < residual.rows(); first += kRowsPerSolve) {
    const std::size_t count = std::min(kRowsPerSolve, residual.rows() - first);
    for (std::size_t b = 0; b < count; ++b) std::ranges::copy(residual.row(first + b), whitened.row(b).begin());
    Eigen::Map<Eigen::MatrixXd> columns(whitened.data(), static_cast<Eigen::Index>(dim_),
                                        static_cast<Eigen::Index>(count));
    square(cholesky_).triangularView<Eigen::Lower>().solveInPlace(columns);
    for (std::size_t b = 0; b < count; ++b)
      out[first + b] = log_normaliser_ - 0.5 * columns.col(static_cast<Eigen::Index>(b)).squaredNorm();
  }
}

void GaussianNoise::apply_precision(std::span<const double> residual, std::span<double> out) const {
  require_length("apply_precision", "residual", residual.size(), dim_);
  require_length("apply_precision", "out", out.size(), dim_);
  if (is_diagonal()) {
    for (std::size_t j = 0; j < dim_; ++j) out[j] = residual[j] * inverse_sigma_[j] * inverse_sigma_[j];
    return;
  }
  if (out.data() != residual.data()) std::ranges::copy(residual, out.begin());
  auto solution = vector(out);
  square(cholesky_).triangularView<Eigen::Lower>().solveInPlace(solution);
  square(cholesky_).transpose().triangularView<Eigen::Upper>().solveInPlace(solution);
}

void GaussianNoise::sample(const RandomStream& stream, std::uint64_t step, std::uint64_t particle,
                           std::span<double> out) const {
  require_length("sample", "out", out.size(), dim_);
  for (std::size_t j = 0; j < dim_; ++j) out[j] = stream.normal(step, particle, j);
  if (is_diagonal()) {
    for (std::size_t j = 0; j < dim_; ++j) out[j] *= sigma_[j];
    return;
  }
  // From the last row up: row i of L z needs z_0 … z_i only, so that the product can stand where z stood.
  for (std::size_t i = dim_; i-- > 0;) {
    const auto n = static_cast<Eigen::Index>(i + 1);
    out[i] = ConstVector(cholesky_.row(i).data(), n).dot(ConstVector(out.data(), n));
  }
}

}  // namespace fslens
