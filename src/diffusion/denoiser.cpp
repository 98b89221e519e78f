#include "fslens/diffusion/denoiser.hpp"

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

}  // namespace fslens
