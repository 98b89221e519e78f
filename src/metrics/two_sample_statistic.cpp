#include "two_sample_statistic.hpp"

#include <cmath>
#include <vector>

#include "sample.hpp"

namespace fslens::metrics_internal {
namespace {

// 2 (mean of k to the own sample − mean of k to the other one), point by point.
SampleMoments projection_moments(std::span<const double> within, std::span<const double> cross, std::size_t others) {
  std::vector<double> projection(within.size());
  const double own = static_cast<double>(within.size()) - 1;
  for (std::size_t i = 0; i < within.size(); ++i)
    projection[i] = 2.0 * (within[i] / own - cross[i] / static_cast<double>(others));
  return sample_moments(projection);
}

}  // namespace

TwoSampleStatistic two_sample_statistic(std::span<const double> within_x, std::span<const double> cross_x,
                                        std::span<const double> within_y, std::span<const double> cross_y) {
  const SampleMoments x = projection_moments(within_x, cross_x, within_y.size());
  const SampleMoments y = projection_moments(within_y, cross_y, within_x.size());
  // mean_i ψ(x_i) = 2 (own mean − cross mean): half the sum of both sides is the statistic itself.
  const double variance =
      x.variance / static_cast<double>(within_x.size()) + y.variance / static_cast<double>(within_y.size());
  return {0.5 * (x.mean + y.mean), std::sqrt(variance)};
}

}  // namespace fslens::metrics_internal
