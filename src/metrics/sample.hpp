// What every statistic asks of a sample first: that it is one, whether it is finite, its means and moments.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens::metrics_internal {

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// The grain of work shared among threads.
inline constexpr std::size_t kParticlesPerTask = 256;

inline double sign(double value) { return static_cast<double>(value > 0) - static_cast<double>(value < 0); }

/// @throws InvalidArgument if x has fewer than min_rows rows or no column
void require_sample(std::string_view name, ConstBatchView x, std::size_t min_rows);
/// Probabilities: none negative (NaN passes), the sum at most 1 + 1e-6, and with `complete` at least 1 − 1e-6.
void require_probabilities(std::string_view name, std::span<const double> values, bool complete);
/// Grid points or bin edges: at least two, finite, strictly ascending.
void require_ascending(std::string_view name, std::span<const double> values);
void require_confidence(double confidence);

bool all_finite(std::span<const double> values);
bool all_finite(ConstBatchView x);

/// The mean of every column, in blocks of rows that do not depend on the number of threads.
std::vector<double> column_means(ConstBatchView x);

struct SampleMoments {
  double mean = 0.0;
  double variance = 0.0;  ///< unbiased, two passes
};
/// @shape values [n], n ≥ 2
SampleMoments sample_moments(std::span<const double> values);

}  // namespace fslens::metrics_internal
