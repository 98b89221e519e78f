#include "textbook.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "sgemm.hpp"

namespace fslens::benchmarks {
namespace {

constexpr SgemmLibrary kBlas = SgemmLibrary::openblas;
// Below it a weight is lost in the sum of a million others. Without the bound, exponentials that underflow leave the vector path, and
// subnormal weights slow the second product down: the whole pass took twice as long.
constexpr float kSmallestLogit = -60.0F;

}  // namespace

Textbook::Textbook(std::vector<float> atoms, std::size_t count, std::size_t dim, std::array<std::vector<float>, 2> log_weights)
    : atoms_(std::move(atoms)), count_(count), dim_(dim), log_weights_(std::move(log_weights)), squared_norms_(count) {
#pragma omp parallel for
  for (std::size_t i = 0; i < count_; ++i) {
    float sum = 0.0F;
    for (std::size_t j = 0; j < dim_; ++j) sum += atoms_[i * dim_ + j] * atoms_[i * dim_ + j];
    squared_norms_[i] = sum;
  }
}

void Textbook::fill_logits(std::span<const float> x, double a, double s2) {
  const std::size_t particles = particles_of(x);
  first_.resize(particles * count_);
  multiply_by_transposed(kBlas, particles, count_, dim_, static_cast<float>(a / s2), x.data(), atoms_.data(), first_.data());
}

void Textbook::softmax(std::size_t particles, std::span<const float> log_weights, double a, double s2, std::vector<float>& weights) {
  weights.resize(particles * count_);
  const float half_precision_of_signal = static_cast<float>(a * a / (2.0 * s2));
#pragma omp parallel for
  for (std::size_t b = 0; b < particles; ++b) {
    const float* in = &first_[b * count_];
    float* out = &weights[b * count_];
    float best = std::numeric_limits<float>::lowest();
    for (std::size_t i = 0; i < count_; ++i) {
      out[i] = in[i] + (log_weights[i] - half_precision_of_signal * squared_norms_[i]);
      best = std::max(best, out[i]);
    }
    float sum = 0.0F;
    for (std::size_t i = 0; i < count_; ++i) {
      out[i] = std::exp(std::max(out[i] - best, kSmallestLogit));
      sum += out[i];
    }
    const float scale = 1.0F / sum;
    for (std::size_t i = 0; i < count_; ++i) out[i] *= scale;
  }
}

void Textbook::weighted_sum(std::size_t particles, const std::vector<float>& weights, std::span<float> sums) {
  multiply(kBlas, particles, dim_, count_, weights.data(), atoms_.data(), sums.data());
}

void Textbook::full_pass(std::span<const float> x, double a, double s2, std::span<float> prior_mean, std::span<float> posterior_mean) {
  fill_logits(x, a, s2);
  softmax(particles_of(x), log_weights_[1], a, s2, second_);
  softmax(particles_of(x), log_weights_[0], a, s2, first_);
  weighted_sum(particles_of(x), first_, prior_mean);
  weighted_sum(particles_of(x), second_, posterior_mean);
}

void Textbook::denoise(std::span<const float> x, double a, double s2, std::span<float> mean) {
  fill_logits(x, a, s2);
  softmax(particles_of(x), log_weights_[0], a, s2, first_);
  weighted_sum(particles_of(x), first_, mean);
}

// C v = Σ w_i (x_i − m)⟨x_i − m, v⟩ = Σ u_i x_i − m Σ u_i with u_i = w_i (⟨x_i, v⟩ − ⟨m, v⟩).
void Textbook::multiply_by_covariance(std::size_t particles, std::span<const float> mean, std::span<const float> v,
                                      std::span<float> product) {
  second_.resize(particles * count_);
  multiply_by_transposed(kBlas, particles, count_, dim_, 1.0F, v.data(), atoms_.data(), second_.data());
  std::vector<float> sums(particles);
#pragma omp parallel for
  for (std::size_t b = 0; b < particles; ++b) {
    float inner = 0.0F;
    for (std::size_t j = 0; j < dim_; ++j) inner += mean[b * dim_ + j] * v[b * dim_ + j];
    const float* weights = &first_[b * count_];
    float* out = &second_[b * count_];
    float sum = 0.0F;
    for (std::size_t i = 0; i < count_; ++i) {
      out[i] = weights[i] * (out[i] - inner);
      sum += out[i];
    }
    sums[b] = sum;
  }
  weighted_sum(particles, second_, product);
  for (std::size_t b = 0; b < particles; ++b)
    for (std::size_t j = 0; j < dim_; ++j) product[b * dim_ + j] -= sums[b] * mean[b * dim_ + j];
}

void Textbook::covariance_product(std::span<const float> x, double a, double s2, std::span<const float> mean, std::span<const float> v,
                                  std::span<float> product) {
  fill_logits(x, a, s2);
  softmax(particles_of(x), log_weights_[0], a, s2, first_);
  multiply_by_covariance(particles_of(x), mean, v, product);
}

void Textbook::denoise_and_multiply(std::span<const float> x, double a, double s2, std::span<const float> features,
                                    const Direction& direction, std::span<float> mean, std::span<float> product) {
  denoise(x, a, s2, mean);
  const std::size_t num_features = features.size() / count_;
  std::vector<float> feature_means(particles_of(x) * num_features);
  multiply(kBlas, particles_of(x), num_features, count_, first_.data(), features.data(), feature_means.data());
  std::vector<float> v(x.size());
  direction(mean, feature_means, v);
  multiply_by_covariance(particles_of(x), mean, v, product);
}

}  // namespace fslens::benchmarks
