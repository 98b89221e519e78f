#include "tmpd_direction.hpp"

#include <cmath>

#include "fslens/core/parallel.hpp"
#include "fslens/operators/downsample.hpp"

namespace fslens::benchmarks {
namespace {

constexpr std::size_t kMostMeasurements = 16;
constexpr double kNoiseVariance = 0.01;
constexpr std::size_t kFeaturesPerTask = 256;

Matrix coarse_block_means(const ImageShape& shape) {
  for (std::size_t factor = 1; factor < shape.height; ++factor) {
    if (shape.height % factor != 0 || shape.width % factor != 0) continue;
    if (shape.size() / (factor * factor) <= kMostMeasurements) return DownsampleOperator(shape, factor).linear_part();
  }
  return DownsampleOperator(shape, shape.height).linear_part();
}

/// w ← S⁻¹ w by Cholesky; S [m, m] symmetric positive definite is overwritten.
void solve(Matrix& s, std::vector<double>& w) {
  const std::size_t m = s.rows();
  for (std::size_t j = 0; j < m; ++j) {
    for (std::size_t k = 0; k < j; ++k)
      for (std::size_t i = j; i < m; ++i) s(i, j) -= s(i, k) * s(j, k);
    const double pivot = std::sqrt(s(j, j));
    for (std::size_t i = j; i < m; ++i) s(i, j) /= pivot;
  }
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t k = 0; k < i; ++k) w[i] -= s(i, k) * w[k];
    w[i] /= s(i, i);
  }
  for (std::size_t i = m; i-- > 0;) {
    for (std::size_t k = i + 1; k < m; ++k) w[i] -= s(k, i) * w[k];
    w[i] /= s(i, i);
  }
}

double inner(std::span<const double> u, std::span<const double> v) {
  double sum = 0.0;
  for (std::size_t j = 0; j < u.size(); ++j) sum += u[j] * v[j];
  return sum;
}

}  // namespace

TmpdDirection::TmpdDirection(const Workload& workload) : projection_(coarse_block_means(workload.set.shape)) {
  for (std::size_t i = 0; i < projection_.rows(); ++i) y_.push_back(inner(projection_.row(i), workload.set.held_out));
}

void TmpdDirection::operator()(std::span<const double> mean, std::span<const double> projected, std::span<double> v) const {
  const std::size_t m = num_measurements();
  Matrix s(m, m, std::vector<double>(projected.begin(), projected.end()));
  std::vector<double> w(m);
  for (std::size_t i = 0; i < m; ++i) {
    s(i, i) += kNoiseVariance;
    w[i] = y_[i] - inner(projection_.row(i), mean);
  }
  solve(s, w);
  for (std::size_t j = 0; j < v.size(); ++j) v[j] = 0.0;
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < v.size(); ++j) v[j] += w[i] * projection_(i, j);
}

std::vector<float> projected_moments(const AtomTable& atoms, const Matrix& projection) {
  const std::size_t m = projection.rows(), size = m + m * (m + 1) / 2;
  std::vector<float> moments(atoms.count() * size);
  parallel_for_ranges(atoms.count(), kFeaturesPerTask, [&](std::size_t first, std::size_t last) {
    std::vector<double> atom(atoms.dim()), projected(m);
    for (std::size_t i = first; i < last; ++i) {
      atoms.copy_atom(i, atom);
      for (std::size_t j = 0; j < atom.size(); ++j) atom[j] -= atoms.center()[j];
      float* out = &moments[i * size];
      for (std::size_t j = 0; j < m; ++j) *out++ = static_cast<float>(projected[j] = inner(projection.row(j), atom));
      for (std::size_t j = 0; j < m; ++j)
        for (std::size_t l = j; l < m; ++l) *out++ = static_cast<float>(projected[j] * projected[l]);
    }
  });
  return moments;
}

void projected_covariance(std::span<const float> moments, std::size_t m, std::span<double> projected) {
  const float* second = &moments[m];
  for (std::size_t j = 0; j < m; ++j)
    for (std::size_t l = j; l < m; ++l) {
      const double value = static_cast<double>(*second++) - static_cast<double>(moments[j]) * static_cast<double>(moments[l]);
      projected[j * m + l] = projected[l * m + j] = value;
    }
}

}  // namespace fslens::benchmarks
