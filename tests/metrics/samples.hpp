// Samples that the tests of the metrics share, and how they compare numbers.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/rng/stream.hpp"
#include "support/special_values.hpp"

namespace fslens::samples {

using test::kInfinity;
using test::kNan;

/// Rows shift·(1, …, 1) + scale·N(0, I).
inline Matrix normal(std::size_t rows, std::size_t cols, std::uint64_t seed, double shift = 0.0, double scale = 1.0) {
  Matrix x(rows, cols);
  RandomStream(seed).child("metrics-test").fill_normal(0, x);
  for (double& value : x.values()) value = shift + scale * value;
  return x;
}

inline Matrix with_rows_reversed(const Matrix& x) {
  Matrix reversed(x.rows(), x.cols());
  for (std::size_t b = 0; b < x.rows(); ++b) std::ranges::copy(x.row(x.rows() - 1 - b), reversed.row(b).begin());
  return reversed;
}

inline Matrix translated(Matrix x, double by) {
  for (double& value : x.values()) value += by;
  return x;
}

/// Turned by 180° in every second coordinate.
inline Matrix with_signs_flipped(Matrix x) {
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t j = 0; j < x.cols(); j += 2) x(b, j) = -x(b, j);
  return x;
}

inline Matrix with_value(Matrix x, std::size_t b, std::size_t j, double value) {
  x(b, j) = value;
  return x;
}

inline long double squared_distance(std::span<const double> x, std::span<const double> y) {
  long double sum = 0;
  for (std::size_t j = 0; j < x.size(); ++j) {
    const long double difference = static_cast<long double>(x[j]) - y[j];
    sum += difference * difference;
  }
  return sum;
}

struct MeanAndError {
  double mean;
  double error;
};
inline MeanAndError mean_and_error(const std::vector<double>& values) {
  double mean = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double n = static_cast<double>(values.size());
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

/// The value of `compute` with 1 thread, which 2 and 4 threads must repeat bit for bit.
template <class F>
void expect_same_bits_with_any_threads(const F& compute) {
  std::vector<double> reference;
  for (const std::size_t threads : {1, 2, 4}) {
    const ThreadLimit limit(threads);
    const std::vector<double> values = compute();
    if (reference.empty()) reference = values;
    EXPECT_EQ(values, reference) << threads << " threads";
  }
}

}  // namespace fslens::samples
