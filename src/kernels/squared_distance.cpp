#include "squared_distance.hpp"

#include <cstddef>

namespace fslens::kernels {

double squared_distance(std::span<const double> atom, double a, std::span<const double> x) {
  double sums[8] = {};
  std::size_t k = 0;
  for (; k + 8 <= atom.size(); k += 8)
    for (std::size_t j = 0; j < 8; ++j) {
      const double difference = x[k + j] - a * atom[k + j];
      sums[j] += difference * difference;
    }
  for (; k < atom.size(); ++k) {
    const double difference = x[k] - a * atom[k];
    sums[k % 8] += difference * difference;
  }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace fslens::kernels
