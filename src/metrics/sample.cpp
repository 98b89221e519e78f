#include "sample.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens::metrics_internal {
namespace {

constexpr std::size_t kRowsPerTask = 256;
// Probabilities reach this room through files and float32 arithmetic.
constexpr double kSumTolerance = 1e-6;

}  // namespace

void require_sample(std::string_view name, ConstBatchView x, std::size_t min_rows) {
  require(x.rows() >= min_rows && x.cols() > 0, name, fmt::format("[{}, {}]", x.rows(), x.cols()),
          fmt::format("must have at least {} row(s) and a column", min_rows));
}

void require_probabilities(std::string_view name, std::span<const double> values, bool complete) {
  double sum = 0.0;
  for (std::size_t k = 0; k < values.size(); ++k) {
    require(!(values[k] < 0), fmt::format("{}[{}]", name, k), fmt::format("{}", values[k]), "must not be negative");
    sum += values[k];
  }
  require(!(sum > 1 + kSumTolerance), name, fmt::format("sum {}", sum), "must not sum to more than 1");
  require(!complete || !(sum < 1 - kSumTolerance), name, fmt::format("sum {}", sum), "must sum to 1");
}

void require_ascending(std::string_view name, std::span<const double> values) {
  require(values.size() >= 2, name, fmt::format("{} entries", values.size()), "must have at least 2");
  require_finite(name, values);
  for (std::size_t i = 1; i < values.size(); ++i)
    require(values[i] > values[i - 1], fmt::format("{}[{}]", name, i), fmt::format("{}", values[i]),
            fmt::format("must be larger than the entry before it, {}", values[i - 1]));
}

void require_confidence(double confidence) {
  require(confidence > 0 && confidence < 1, "confidence", fmt::format("{}", confidence), "must lie in (0, 1)");
}

bool all_finite(std::span<const double> values) {
  for (const double value : values)
    if (!std::isfinite(value)) return false;
  return true;
}

bool all_finite(ConstBatchView x) {
  for (std::size_t b = 0; b < x.rows(); ++b)
    if (!all_finite(x.row(b))) return false;
  return true;
}

std::vector<double> column_means(ConstBatchView x) {
  const std::size_t tasks = (x.rows() + kRowsPerTask - 1) / kRowsPerTask;
  Matrix partial(tasks, x.cols());
  parallel_for_ranges(x.rows(), kRowsPerTask, [&](std::size_t first, std::size_t last) {
    const auto sums = partial.row(first / kRowsPerTask);
    for (std::size_t b = first; b < last; ++b)
      for (std::size_t j = 0; j < x.cols(); ++j) sums[j] += x(b, j);
  });
  std::vector<double> means(x.cols(), 0.0);
  for (std::size_t task = 0; task < tasks; ++task)
    for (std::size_t j = 0; j < x.cols(); ++j) means[j] += partial(task, j);
  for (double& mean : means) mean /= static_cast<double>(x.rows());
  return means;
}

SampleMoments sample_moments(std::span<const double> values) {
  const double n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, squares / (n - 1)};
}

}  // namespace fslens::metrics_internal
