#include "projection.hpp"

#include <Eigen/Core>

#include "fslens/core/parallel.hpp"
#include "sample.hpp"

namespace fslens::metrics_internal {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>>;

ConstMap map_of(MatrixView<const double> view) {
  return {view.data(), static_cast<Eigen::Index>(view.rows()), static_cast<Eigen::Index>(view.cols()),
          Eigen::OuterStride<>(static_cast<Eigen::Index>(view.stride()))};
}

}  // namespace

Matrix project_on_directions(ConstBatchView x, MatrixView<const double> directions) {
  Matrix out(directions.rows(), x.rows());
  Eigen::Map<RowMajor> projected(out.data(), static_cast<Eigen::Index>(out.rows()),
                                 static_cast<Eigen::Index>(out.cols()));
  const ConstMap weights = map_of(directions);
  parallel_for_ranges(x.rows(), kParticlesPerTask, [&](std::size_t first, std::size_t last) {
    projected.middleCols(static_cast<Eigen::Index>(first), static_cast<Eigen::Index>(last - first)).noalias() =
        weights * map_of(x.rows_from(first, last - first)).transpose();
  });
  return out;
}

}  // namespace fslens::metrics_internal
