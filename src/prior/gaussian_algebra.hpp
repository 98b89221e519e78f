// What Gaussian priors are computed with: batches seen as Eigen matrices, and the constant of their densities.
#pragma once

#include <Eigen/Core>

#include "fslens/core/matrix.hpp"

namespace fslens {

inline constexpr double kLog2Pi = 1.8378770664093454836;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>>;

inline ConstMap as_eigen(MatrixView<const double> view) {
  return {view.data(), static_cast<Eigen::Index>(view.rows()), static_cast<Eigen::Index>(view.cols()),
          Eigen::OuterStride<>(static_cast<Eigen::Index>(view.stride()))};
}

inline Matrix from_eigen(const RowMajor& value) {
  Matrix out(static_cast<std::size_t>(value.rows()), static_cast<std::size_t>(value.cols()));
  Eigen::Map<RowMajor>(out.data(), value.rows(), value.cols()) = value;
  return out;
}

}  // namespace fslens
