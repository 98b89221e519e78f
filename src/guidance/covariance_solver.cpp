#include "covariance_solver.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "fslens/core/parallel.hpp"
#include "particles_per_task.hpp"

namespace fslens {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Index index(std::size_t value) { return static_cast<Eigen::Index>(value); }

Eigen::Map<const RowMajor> map(const Matrix& matrix) {
  return {matrix.data(), index(matrix.rows()), index(matrix.cols())};
}

}  // namespace

CovarianceSolver::CovarianceSolver(Matrix covariance) : lower_(std::move(covariance)) {
  Eigen::Map<RowMajor> lower(lower_.data(), index(lower_.rows()), index(lower_.cols()));
  const Eigen::LLT<Eigen::Ref<RowMajor>> factor(lower);
  if (factor.info() != Eigen::Success)
    std::fill(lower_.values().begin(), lower_.values().end(), std::numeric_limits<double>::quiet_NaN());
  const auto m = static_cast<double>(lower_.rows());
  log_normaliser_ = -0.5 * m * std::log(2.0 * std::numbers::pi);
  for (std::size_t i = 0; i < lower_.rows(); ++i) log_normaliser_ -= std::log(lower_(i, i));
}

void CovarianceSolver::solve(std::span<double> residual) const {
  Eigen::Map<Eigen::VectorXd> vector(residual.data(), index(residual.size()));
  map(lower_).triangularView<Eigen::Lower>().solveInPlace(vector);
  map(lower_).transpose().triangularView<Eigen::Upper>().solveInPlace(vector);
}

void CovarianceSolver::solve_rows(Matrix& residuals) const {
  parallel_for_ranges(residuals.rows(), kParticlesPerTask, [&](std::size_t first, std::size_t last) {
    // Row-major [B, m] is column-major [m, B]: one right-hand side a column, without a copy.
    Eigen::Map<Eigen::MatrixXd> columns(residuals.data() + first * residuals.cols(), index(residuals.cols()),
                                        index(last - first));
    map(lower_).triangularView<Eigen::Lower>().solveInPlace(columns);
    map(lower_).transpose().triangularView<Eigen::Upper>().solveInPlace(columns);
  });
}

double CovarianceSolver::log_density(std::span<const double> residual) const {
  Eigen::VectorXd whitened = Eigen::Map<const Eigen::VectorXd>(residual.data(), index(residual.size()));
  map(lower_).triangularView<Eigen::Lower>().solveInPlace(whitened);
  return log_normaliser_ - 0.5 * whitened.squaredNorm();
}

std::vector<double> CovarianceSolver::log_densities(const Matrix& residuals) const {
  std::vector<double> values(residuals.rows());
  parallel_for_ranges(residuals.rows(), kParticlesPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) values[b] = log_density(residuals.row(b));
  });
  return values;
}

}  // namespace fslens
