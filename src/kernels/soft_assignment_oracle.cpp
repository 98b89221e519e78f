#include <cmath>
#include <limits>

#include "fslens/kernels/soft_assignment.hpp"

namespace fslens {
namespace {

using Real = long double;

struct Oracle {
  const SoftAssignmentRequest& request;
  std::size_t n = request.atoms->count();
  std::size_t d = request.atoms->dim();
  Matrix atoms{n, d};
  std::vector<Real> w = std::vector<Real>(n);

  explicit Oracle(const SoftAssignmentRequest& r) : request(r) {
    for (std::size_t i = 0; i < n; ++i) r.atoms->copy_atom(i, atoms.row(i));
  }

  Real weigh(std::size_t measure, std::size_t b) {
    Real best = -std::numeric_limits<Real>::infinity();
    for (std::size_t i = 0; i < n; ++i) {
      Real distance = 0;
      for (std::size_t k = 0; k < d; ++k) {
        const Real difference = Real(request.x(b, k)) - Real(request.a) * Real(atoms(i, k));
        distance += difference * difference;
      }
      w[i] = Real(request.log_weights[measure][i]) - distance / (2 * Real(request.s2));
      best = std::max(best, w[i]);
    }
    Real sum = 0;
    for (Real& value : w) sum += value = std::exp(value - best);
    for (Real& value : w) value /= sum;
    return best + std::log(sum);
  }

  Real mean(std::size_t k) const {
    Real sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += w[i] * Real(atoms(i, k));
    return sum;
  }
};

void write_moments(const SoftAssignmentRequest& request, Oracle& oracle, std::size_t b, SoftAssignmentMoments& out) {
  std::vector<Real> mean(oracle.d);
  for (std::size_t k = 0; k < oracle.d; ++k) mean[k] = oracle.mean(k);
  if (request.want_mean)
    for (std::size_t k = 0; k < oracle.d; ++k) out.mean(b, k) = static_cast<double>(mean[k]);
  if (request.want_variance) {
    Real sum = 0;
    for (std::size_t i = 0; i < oracle.n; ++i)
      for (std::size_t k = 0; k < oracle.d; ++k)
        sum += oracle.w[i] * (Real(oracle.atoms(i, k)) - mean[k]) * (Real(oracle.atoms(i, k)) - mean[k]);
    out.variance[b] = static_cast<double>(sum);
  }
  if (request.features != nullptr) {
    std::vector<double> values(request.features->size);
    std::vector<Real> sum(request.features->size, 0);
    for (std::size_t i = 0; i < oracle.n; ++i) {
      request.features->fill(i, 1, values.data());
      for (std::size_t q = 0; q < values.size(); ++q) sum[q] += oracle.w[i] * Real(values[q]);
    }
    for (std::size_t q = 0; q < values.size(); ++q) out.feature_mean(b, q) = static_cast<double>(sum[q]);
  }
}

void write_product(const SoftAssignmentRequest& request, const Oracle& oracle, std::size_t b, Matrix& out) {
  std::vector<Real> mean(oracle.d), sum(oracle.d, 0);
  for (std::size_t k = 0; k < oracle.d; ++k) mean[k] = oracle.mean(k);
  for (std::size_t i = 0; i < oracle.n; ++i) {
    Real along = 0;
    for (std::size_t k = 0; k < oracle.d; ++k)
      along += (Real(oracle.atoms(i, k)) - mean[k]) * Real(request.direction(b, k));
    for (std::size_t k = 0; k < oracle.d; ++k) sum[k] += oracle.w[i] * along * (Real(oracle.atoms(i, k)) - mean[k]);
  }
  for (std::size_t k = 0; k < oracle.d; ++k) out(b, k) = static_cast<double>(sum[k]);
}

}  // namespace

SoftAssignmentResult soft_assignment_oracle(const SoftAssignmentRequest& request) {
  const std::size_t rows = request.x.rows();
  SoftAssignmentResult result;
  result.measures.resize(request.log_weights.size());
  if (!request.direction.empty()) result.covariance_product = Matrix(rows, request.x.cols());
  Oracle oracle(request);
  for (std::size_t m = 0; m < request.log_weights.size(); ++m) {
    SoftAssignmentMoments& out = result.measures[m];
    out.log_normaliser.resize(rows);
    if (request.want_mean) out.mean = Matrix(rows, request.x.cols());
    if (request.want_variance) out.variance.resize(rows);
    if (request.features != nullptr) out.feature_mean = Matrix(rows, request.features->size);
    for (std::size_t b = 0; b < rows; ++b) {
      out.log_normaliser[b] = static_cast<double>(oracle.weigh(m, b));
      write_moments(request, oracle, b, out);
      if (m == 0 && !request.direction.empty()) write_product(request, oracle, b, result.covariance_product);
    }
  }
  return result;
}

}  // namespace fslens
