#include "squared_distance.hpp"

#include <cstddef>

namespace fslens::kernels {
namespace {

/// Σ_k term(k), in eight interleaved sums.
template <class Term>
inline double interleaved_sum(std::size_t size, const Term& term) {
  double sums[8] = {};
  std::size_t k = 0;
  for (; k + 8 <= size; k += 8)
    for (std::size_t j = 0; j < 8; ++j) sums[j] += term(k + j);
  for (; k < size; ++k) sums[k % 8] += term(k);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace

double squared_distance(std::span<const double> atom, double a, std::span<const double> x) {
  const double *from = atom.data(), *to = x.data();
  return interleaved_sum(atom.size(), [=](std::size_t k) {
    const double difference = to[k] - a * from[k];
    return difference * difference;
  });
}

double squared_norm(std::span<const double> x) {
  const double* from = x.data();
  return interleaved_sum(x.size(), [=](std::size_t k) { return from[k] * from[k]; });
}

double add_deviation(std::span<const double> atom, std::span<const double> anchor, double weight, std::span<double> sum) {
  const double* __restrict from = atom.data();
  const double* __restrict about = anchor.data();
  double* __restrict out = sum.data();
  for (std::size_t k = 0; k < atom.size(); ++k) out[k] += weight * (from[k] - about[k]);
  return interleaved_sum(atom.size(), [=](std::size_t k) { return (from[k] - about[k]) * (from[k] - about[k]); });
}

double deviation_along(std::span<const double> atom, std::span<const double> anchor, std::span<const double> direction) {
  const double *from = atom.data(), *about = anchor.data(), *along = direction.data();
  return interleaved_sum(atom.size(), [=](std::size_t k) { return (from[k] - about[k]) * along[k]; });
}

}  // namespace fslens::kernels
