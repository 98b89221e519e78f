#include "fslens/operators/gaussian_sensing.hpp"

#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {
namespace {

Matrix draw_sensing_matrix(std::size_t m, std::size_t d, std::uint64_t seed) {
  require(m > 0, "gaussian-cs: m", "0", "must be at least 1");
  require(d > 0, "gaussian-cs: d", "0", "must be at least 1");
  Matrix matrix(m, d);
  RandomStream(seed).child("gaussian-cs").fill_normal(0, matrix);
  const double scale = 1.0 / std::sqrt(static_cast<double>(m));
  for (double& entry : matrix.values()) entry *= scale;
  return matrix;
}

}  // namespace

GaussianSensingOperator::GaussianSensingOperator(std::size_t m, std::size_t d, std::uint64_t seed)
    : matrix_(draw_sensing_matrix(m, d, seed)) {}

void GaussianSensingOperator::apply(ConstBatchView x, BatchView y) const {
  require_apply_shapes(x, y);
  matrix_.apply(x, y);
}

void GaussianSensingOperator::vjp(ConstBatchView x, ConstBatchView v, BatchView out) const {
  require_vjp_shapes(x, v, out);
  matrix_.vjp(x, v, out);
}

}  // namespace fslens
