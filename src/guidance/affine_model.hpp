// The dense linear part of an affine operator and its Gram matrix, computed once an operator.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "covariance_solver.hpp"
#include "fslens/core/matrix.hpp"
#include "fslens/measurement/likelihood.hpp"

namespace fslens {

struct AffineModel {
  ForwardOperatorPtr forward;  // kept alive, so that its address stays its identity
  Matrix linear;               ///< A [m, d]
  Matrix gram;                 ///< A Aᵀ [m, m]
  std::vector<double> bias;    ///< A(0) [m]
};

/// S = v A Aᵀ + Σ_n, factored.
CovarianceSolver isotropic_solver(const AffineModel& model, double variance, const GaussianNoise& noise);

/// Keeps the model of the operator that was asked for last: a sampler asks for the same one at every step. The answer
/// does not depend on what is kept. Safe to call from several threads.
class AffineModelCache {
 public:
  std::shared_ptr<const AffineModel> of(const Likelihood& likelihood);

 private:
  std::mutex mutex_;
  std::shared_ptr<const AffineModel> last_;
};

}  // namespace fslens
