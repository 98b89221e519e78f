#include "fslens/metrics/mmd.hpp"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "fslens/core/error.hpp"
#include "fslens/metrics/intervals.hpp"
#include "pairwise_tiles.hpp"
#include "sample.hpp"
#include "two_sample_statistic.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

constexpr std::array kMedianMultiples = {0.25, 0.5, 1.0, 2.0, 4.0};

using ArrayMap = Eigen::Map<Eigen::ArrayXd>;

// A power below this is held there: the next fourth power would leave the normal range, where arithmetic is many times
// slower, and 1e-75 is nothing in a mean of kernels.
constexpr double kLeastPower = 1e-75;

// Bandwidths that halve: exp(−d²/2(h/2)²) is the fourth power of exp(−d²/2h²), and one exponential serves them all.
// The narrowest of five is a 256th power, which costs it about 256 roundings, 6e-14 relative.
void mean_of_halving_gaussians(std::span<double> values, std::span<const double> bandwidths) {
  ArrayMap array(values.data(), static_cast<Eigen::Index>(values.size()));
  Eigen::ArrayXd power = (array * (-0.5 / (bandwidths[0] * bandwidths[0]))).exp();
  array = power;
  for (std::size_t h = 1; h < bandwidths.size(); ++h) {
    power = power.max(kLeastPower).square().square();
    array += power;
  }
  array /= static_cast<double>(bandwidths.size());
}

void mean_of_gaussians(std::span<double> values, std::span<const double> bandwidths) {
  ArrayMap array(values.data(), static_cast<Eigen::Index>(values.size()));
  Eigen::ArrayXd sum = Eigen::ArrayXd::Zero(array.size());
  for (const double bandwidth : bandwidths) sum += (array * (-0.5 / (bandwidth * bandwidth))).exp();
  array = sum / static_cast<double>(bandwidths.size());
}

bool halving(std::span<const double> descending) {
  for (std::size_t h = 1; h < descending.size(); ++h)
    if (descending[h] != 0.5 * descending[h - 1]) return false;
  return true;
}

RadialKernel gaussian_kernel(std::span<const double> bandwidths) {
  const bool one_exponential = halving(bandwidths);
  return [bandwidths, one_exponential](std::span<double> values) {
    one_exponential ? mean_of_halving_gaussians(values, bandwidths) : mean_of_gaussians(values, bandwidths);
  };
}

std::vector<double> checked_descending(std::span<const double> bandwidths) {
  require(!bandwidths.empty(), "bandwidths", "none", "must have at least one");
  for (const double bandwidth : bandwidths) require_positive("bandwidths", bandwidth);
  std::vector<double> sorted(bandwidths.begin(), bandwidths.end());
  std::ranges::sort(sorted, std::greater<>());
  return sorted;
}

}  // namespace

double median_pairwise_distance(ConstBatchView x, std::size_t max_points) {
  require_sample("x", x, 2);
  require(max_points >= 2, "max_points", fmt::format("{}", max_points), "must be at least 2");
  if (!all_finite(x)) return kNan;
  const std::size_t count = std::min(max_points, x.rows());
  Matrix subset(count, x.cols());
  for (std::size_t i = 0; i < count; ++i) std::ranges::copy(x.row(i * x.rows() / count), subset.row(i).begin());
  const CentredSample centred(subset, column_means(subset));
  std::vector<double> squares;
  squares.reserve(count * (count - 1) / 2);
  std::vector<double> row(count);
  for (std::size_t i = 0; i + 1 < count; ++i) {
    const Tile tile{i, 1, i + 1, count - i - 1, std::span(row).first(count - i - 1)};
    fill_squared_distances(centred, centred, tile);
    squares.insert(squares.end(), tile.values.begin(), tile.values.end());
  }
  for (double& value : squares) value = std::sqrt(value);
  return sample_quantile(squares, 0.5);
}

std::optional<std::vector<double>> median_heuristic_bandwidths(ConstBatchView reference, std::size_t max_points) {
  const double median = median_pairwise_distance(reference, max_points);
  if (!std::isfinite(median) || median <= 0) return std::nullopt;
  std::vector<double> bandwidths;
  for (const double multiple : kMedianMultiples) bandwidths.push_back(multiple * median);
  return bandwidths;
}

MmdSample::MmdSample(ConstBatchView x, std::span<const double> bandwidths)
    : points_((require_sample("x", x, 2), x)), bandwidths_(checked_descending(bandwidths)), finite_(all_finite(x)) {
  if (finite_) kernel_sums_ = symmetric_radial_sums(points_, gaussian_kernel(bandwidths_));
}

MaximumMeanDiscrepancy mmd_squared(const MmdSample& x, const MmdSample& y) {
  require_size("y columns", y.dim(), x.dim(), "the columns of x");
  require(x.bandwidths() == y.bandwidths(), "bandwidths", "two different sets", "must be the same for both samples");
  if (!x.finite() || !y.finite()) return {kNan, kNan};
  const CrossSums cross = cross_radial_sums(x.points(), y.points(), gaussian_kernel(x.bandwidths()));
  const TwoSampleStatistic statistic = two_sample_statistic(x.kernel_sums(), cross.rows, y.kernel_sums(), cross.cols);
  return {statistic.value, statistic.standard_error};
}

MaximumMeanDiscrepancy mmd_squared(ConstBatchView x, ConstBatchView y, std::span<const double> bandwidths) {
  return mmd_squared(MmdSample(x, bandwidths), MmdSample(y, bandwidths));
}

}  // namespace fslens
