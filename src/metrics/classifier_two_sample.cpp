#include "fslens/metrics/classifier_two_sample.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

/// Both samples, pair by pair: point 2r is row r of the first, 2r + 1 of the second. Columns have standard deviation 1.
Matrix interleaved(ConstBatchView first, ConstBatchView second) {
  Matrix points(2 * first.rows(), first.cols());
  std::vector<double> column(points.rows());
  for (std::size_t j = 0; j < first.cols(); ++j) {
    for (std::size_t r = 0; r < first.rows(); ++r) column[2 * r] = first(r, j), column[2 * r + 1] = second(r, j);
    // In units of the largest value first: squares of far-out states must not overflow.
    double largest = 0.0;
    for (const double value : column) largest = std::max(largest, std::abs(value));
    if (largest > 0.0)
      for (double& value : column) value /= largest;
    const SampleMoments moments = sample_moments(column);
    for (std::size_t i = 0; i < points.rows(); ++i)
      points(i, j) = moments.variance > 0.0 ? (column[i] - moments.mean) / std::sqrt(moments.variance) : 0.0;
  }
  return points;
}

std::size_t fold_of(std::size_t point, std::size_t folds) { return point / 2 % folds; }

/// The k nearest points of other folds; equally near ones in the order of their index.
class Neighbours {
 public:
  Neighbours(const Matrix& points, std::size_t k, std::size_t folds) : k_(k), indices_(points.rows() * k) {
    constexpr std::size_t kPointsPerTask = 32;
    parallel_for_ranges(points.rows(), kPointsPerTask, [&](std::size_t begin, std::size_t end) {
      std::vector<std::pair<double, std::uint32_t>> others;
      for (std::size_t i = begin; i < end; ++i) {
        others.clear();
        for (std::size_t other = 0; other < points.rows(); ++other) {
          if (fold_of(other, folds) == fold_of(i, folds)) continue;
          double sum = 0.0;
          for (std::size_t j = 0; j < points.cols(); ++j) sum += (points(i, j) - points(other, j)) * (points(i, j) - points(other, j));
          others.emplace_back(sum, static_cast<std::uint32_t>(other));
        }
        std::ranges::nth_element(others, others.begin() + static_cast<std::ptrdiff_t>(k - 1));
        for (std::size_t n = 0; n < k; ++n) indices_[i * k + n] = others[n].second;
      }
    });
  }

  /// Correctly classified points (0, 1 or 2) of each pair where those with exchanged[r] have their labels exchanged.
  std::vector<std::uint8_t> correct(const std::vector<std::uint8_t>& exchanged) const {
    std::vector<std::uint8_t> out(exchanged.size(), 0);
    const auto label = [&](std::size_t point) { return (point & 1U) ^ exchanged[point / 2]; };
    for (std::size_t i = 0; i < 2 * exchanged.size(); ++i) {
      std::size_t votes = 0;
      for (std::size_t n = 0; n < k_; ++n) votes += label(indices_[i * k_ + n]);
      out[i / 2] = static_cast<std::uint8_t>(out[i / 2] + ((2 * votes > k_) == (label(i) == 1) ? 1 : 0));
    }
    return out;
  }

 private:
  std::size_t k_;
  std::vector<std::uint32_t> indices_;
};

std::size_t total(const std::vector<std::uint8_t>& counts) {
  std::size_t sum = 0;
  for (const std::uint8_t count : counts) sum += count;
  return sum;
}

}  // namespace

ClassifierTwoSample classifier_two_sample(ConstBatchView first, ConstBatchView second, const RandomStream& stream,
                                          const ClassifierOptions& options) {
  const std::size_t pairs = first.rows();
  require(options.folds >= 2, "folds", fmt::format("{}", options.folds), "must be at least 2");
  require(options.permutations >= 1, "permutations", "0", "must be at least 1");
  require_confidence(options.confidence);
  require_sample("first", first, 2 * options.folds);
  require_size("second.rows", second.rows(), pairs, "pairs");
  require_size("second.cols", second.cols(), first.cols(), "features");
  require(all_finite(first) && all_finite(second), "samples", "not finite", "must be finite");
  const std::size_t training = 2 * (pairs - (pairs + options.folds - 1) / options.folds);  // of the largest fold
  std::size_t k = options.neighbours;
  if (k == 0) k = std::max<std::size_t>(1, (static_cast<std::size_t>(std::sqrt(static_cast<double>(training))) - 1) / 2 * 2 + 1);
  require(k % 2 == 1 && k <= training, "neighbours", fmt::format("{}", k), fmt::format("must be odd and at most {}, the training points", training));

  const Neighbours neighbours(interleaved(first, second), k, options.folds);
  const std::vector<std::uint8_t> correct = neighbours.correct(std::vector<std::uint8_t>(pairs, 0));
  std::vector<double> shares;
  for (const std::uint8_t count : correct) shares.push_back(0.5 * static_cast<double>(count));
  const SampleMoments moments = sample_moments(shares);
  ClassifierTwoSample out{moments.mean, gaussian_interval(moments.mean, std::sqrt(moments.variance / static_cast<double>(pairs)), options.confidence),
                          1.0, k};
  std::vector<std::uint8_t> as_good(options.permutations);
  parallel_for(options.permutations, [&](std::size_t p) {
    std::vector<std::uint8_t> exchanged(pairs);
    for (std::size_t r = 0; r < pairs; ++r) exchanged[r] = stream.uniform(p, r) < 0.5 ? 1 : 0;
    as_good[p] = total(neighbours.correct(exchanged)) >= total(correct) ? 1 : 0;
  });
  out.p_value = (1.0 + static_cast<double>(total(as_good))) / (1.0 + static_cast<double>(options.permutations));
  return out;
}

}  // namespace fslens
