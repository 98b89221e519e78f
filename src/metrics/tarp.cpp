#include "fslens/metrics/tarp.hpp"

#include <fmt/format.h>

#include <cmath>

#include "fslens/core/error.hpp"

namespace fslens {

std::vector<double> standardised_distances(ConstBatchView x, std::span<const double> reference, std::span<const double> scale) {
  require_size("reference", reference.size(), x.cols(), "the dimension of x");
  require_size("scale", scale.size(), x.cols(), "the dimension of x");
  for (std::size_t j = 0; j < scale.size(); ++j) require_positive(fmt::format("scale[{}]", j), scale[j]);
  std::vector<double> distances;
  for (std::size_t b = 0; b < x.rows(); ++b) {
    double sum = 0.0;
    for (std::size_t j = 0; j < x.cols(); ++j) {
      const double difference = (x(b, j) - reference[j]) / scale[j];
      sum += difference * difference;
    }
    distances.push_back(std::sqrt(sum));
  }
  return distances;
}

}  // namespace fslens
