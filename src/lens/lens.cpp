#include "fslens/lens/lens.hpp"

#include <fmt/format.h>

#include <cmath>

#include "fslens/core/error.hpp"

namespace fslens {

double Lens::effective_sample_size() const {
  double sum = 0.0;
  for (const double log_weight : log_posterior_weights_) sum += std::exp(2.0 * log_weight);
  return 1.0 / sum;
}

Draws Lens::sample(Measure measure, std::size_t count, double t, const RandomStream& stream, std::uint64_t step) const {
  Draws draws = sample_clean(measure, count, stream.child("x0"), step);
  if (t == 0.0) return draws;
  schedule_.require_time("t", t);
  const double a = schedule_.a(t), s = schedule_.s(t), shift = schedule_.shift(t);
  Matrix noise(count, dim());
  stream.child("noise").fill_normal(step, noise);
  for (std::size_t i = 0; i < draws.x.size(); ++i)
    draws.x.values()[i] = a * draws.x.values()[i] + shift + s * noise.values()[i];
  return draws;
}

Moments Lens::moments(Measure measure, double t) const {
  Moments moments = clean_moments(measure);
  if (t == 0.0) return moments;
  schedule_.require_time("t", t);
  const double a = schedule_.a(t);
  for (double& value : moments.mean) value = a * value + schedule_.shift(t);
  for (double& value : moments.covariance.values()) value *= a * a;
  for (std::size_t k = 0; k < dim(); ++k) moments.covariance(k, k) += schedule_.s2(t);
  return moments;
}

Matrix Lens::log_evidences(ConstBatchView y, std::span<const double> noise_scales, std::span<const std::size_t> left_out) const {
  require_size("y.cols", y.cols(), likelihood_->output_dim(), "the outputs of the operator");
  require_size("left_out", left_out.size(), y.rows(), "one a measurement");
  for (std::size_t k = 0; k < noise_scales.size(); ++k) require_positive(fmt::format("noise_scales[{}]", k), noise_scales[k]);
  return scaled_log_evidences(y, noise_scales, left_out);
}

void Lens::fill_scores(ConstBatchView x, double t, LensFields& fields) const {
  const double a = schedule_.a(t), s2 = schedule_.s2(t), shift = schedule_.shift(t);
  fields.prior_score = Matrix(x.rows(), x.cols());
  fields.posterior_score = Matrix(x.rows(), x.cols());
  fields.likelihood_score = Matrix(x.rows(), x.cols());
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t k = 0; k < x.cols(); ++k) {
      const double m = fields.denoiser_mean(b, k);
      const double conditional = fields.posterior_denoiser_mean(b, k);
      fields.prior_score(b, k) = (a * m + shift - x(b, k)) / s2;
      fields.posterior_score(b, k) = (a * conditional + shift - x(b, k)) / s2;
      fields.likelihood_score(b, k) = a / s2 * (conditional - m);
    }
}

}  // namespace fslens
