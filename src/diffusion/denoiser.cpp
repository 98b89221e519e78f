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

void Denoiser::guided_mean(ConstBatchView x, double t, MatrixView<const double> projection, bool want_covariance, const Tilt& tilt,
                           BatchView guided) const {
  const std::size_t q = projection.rows(), d = x.cols();
  const auto direction = [&](std::span<const std::size_t> rows, ConstBatchView means, ConstBatchView projected, BatchView directions) {
    Matrix projected_means(rows.size(), q), tilts(rows.size(), q);
    for (std::size_t b = 0; b < rows.size(); ++b)
      for (std::size_t j = 0; j < q; ++j)
        for (std::size_t k = 0; k < d; ++k) projected_means(b, j) += projection(j, k) * means(b, k);
    tilt(rows, projected_means, projected, tilts);
    for (std::size_t b = 0; b < rows.size(); ++b)
      for (std::size_t k = 0; k < d; ++k) {
        directions(b, k) = 0.0;
        for (std::size_t j = 0; j < q; ++j) directions(b, k) += tilts(b, j) * projection(j, k);
      }
  };
  Matrix product(x.rows(), d);
  denoise_and_multiply(x, t, want_covariance ? projection : MatrixView<const double>(), direction, guided, product);
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t k = 0; k < d; ++k) guided(b, k) += product(b, k);
}

}  // namespace fslens
