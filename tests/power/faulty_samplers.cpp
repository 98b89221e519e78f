#include "power/faulty_samplers.hpp"

#include <cmath>

namespace fslens::test {

void AlteredDenoiser::denoise(ConstBatchView x, double t, BatchView mean) const {
  inner_->denoise(x, time_ ? time_(t) : t, mean);
  if (change_) change_(x, t, mean);
}

void AlteredDenoiser::covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v, BatchView product) const {
  inner_->covariance_product(x, time_ ? time_(t) : t, mean, v, product);
}

void StaleDenoiser::denoise(ConstBatchView x, double t, BatchView mean) const {
  Matrix now(x.rows(), x.cols());
  inner_->denoise(x, t, now);
  const Matrix& answer = last_.rows() == x.rows() ? last_ : now;
  for (std::size_t b = 0; b < x.rows(); ++b) std::ranges::copy(answer.row(b), mean.row(b).begin());
  last_ = std::move(now);
}

void StaleDenoiser::covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v, BatchView product) const {
  inner_->covariance_product(x, t, mean, v, product);
}

std::shared_ptr<const Denoiser> with_scaled_guidance(std::shared_ptr<const Denoiser> posterior, std::shared_ptr<const Denoiser> prior, double c) {
  auto out = std::make_shared<AlteredDenoiser>(std::move(posterior));
  out->with_means([prior = std::move(prior), c](ConstBatchView x, double t, BatchView mean) {
    Matrix unguided(x.rows(), x.cols());
    prior->denoise(x, t, unguided);
    for (std::size_t b = 0; b < x.rows(); ++b)
      for (std::size_t k = 0; k < x.cols(); ++k) mean(b, k) = unguided(b, k) + c * (mean(b, k) - unguided(b, k));
  });
  return out;
}

double rounded_to_half(double value) {
  constexpr int kSignificantBits = 11;
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(mantissa, kSignificantBits)), exponent - kSignificantBits);
}

}  // namespace fslens::test
