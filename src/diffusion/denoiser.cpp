#include "fslens/diffusion/denoiser.hpp"

#include <numeric>
#include <vector>

namespace fslens {

void Denoiser::projected_covariance(ConstBatchView x, double t, ConstBatchView mean,
                                    MatrixView<const double> projection, BatchView out) const {
  const std::size_t m = projection.rows();
  Matrix direction(x.rows(), x.cols());
  Matrix product(x.rows(), x.cols());
  for (std::size_t j = 0; j < m; ++j) {
    for (std::size_t b = 0; b < x.rows(); ++b)
      for (std::size_t k = 0; k < x.cols(); ++k) direction(b, k) = projection(j, k);
    covariance_product(x, t, mean, direction, product);
    for (std::size_t b = 0; b < x.rows(); ++b)
      for (std::size_t i = 0; i < m; ++i) {
        double sum = 0.0;
        for (std::size_t k = 0; k < x.cols(); ++k) sum += projection(i, k) * product(b, k);
        out(b, i * m + j) = sum;
      }
  }
}

void Denoiser::denoise_and_multiply(ConstBatchView x, double t, MatrixView<const double> projection, const Direction& direction,
                                    BatchView mean, BatchView product) const {
  denoise(x, t, mean);
  Matrix projected(x.rows(), projection.rows() * projection.rows());
  if (projection.rows() > 0) projected_covariance(x, t, mean, projection, projected);
  std::vector<std::size_t> rows(x.rows());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  Matrix directions(x.rows(), x.cols());
  direction(rows, mean, projected, directions);
  covariance_product(x, t, mean, directions, product);
}

}  // namespace fslens
