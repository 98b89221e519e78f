#include "affine_model.hpp"

#include <Eigen/Core>
#include <utility>

namespace fslens {
namespace {

Matrix gram_of(const Matrix& linear) {
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto m = static_cast<Eigen::Index>(linear.rows());
  const auto d = static_cast<Eigen::Index>(linear.cols());
  const Eigen::Map<const RowMajor> a(linear.data(), m, d);
  Matrix gram(linear.rows(), linear.rows());
  Eigen::Map<RowMajor>(gram.data(), m, m).noalias() = a * a.transpose();
  return gram;
}

}  // namespace

CovarianceSolver isotropic_solver(const AffineModel& model, double variance, const GaussianNoise& noise) {
  Matrix covariance = noise.covariance();
  for (std::size_t i = 0; i < covariance.rows(); ++i)
    for (std::size_t j = 0; j < covariance.cols(); ++j) covariance(i, j) += variance * model.gram(i, j);
  return CovarianceSolver(std::move(covariance));
}

std::shared_ptr<const AffineModel> AffineModelCache::of(const Likelihood& likelihood) {
  const std::scoped_lock lock(mutex_);
  if (last_ == nullptr || last_->forward != likelihood.forward_ptr()) {
    Matrix linear = likelihood.forward().linear_part();
    Matrix gram = gram_of(linear);
    last_ = std::make_shared<AffineModel>(AffineModel{likelihood.forward_ptr(), std::move(linear), std::move(gram), likelihood.forward().bias()});
  }
  return last_;
}

}  // namespace fslens
