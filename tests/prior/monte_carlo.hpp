// Critical values and estimates for the statistical tests of priors and lenses.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// |z| of a standard normal exceeds this with probability 5.7e-7.
inline constexpr double kFiveSigma = 5.0;

/// Mean of independent values and its standard error.
struct MeanEstimate {
  double mean = 0.0;
  double error = 0.0;
};
inline MeanEstimate estimate_mean(std::span<const double> values) {
  const double n = static_cast<double>(values.size());
  double sum = 0.0, squares = 0.0;
  for (const double value : values) sum += value;
  const double mean = sum / n;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, std::sqrt(squares / (n * (n - 1.0)))};
}

inline std::vector<double> column_of(const Matrix& matrix, std::size_t k) {
  std::vector<double> out;
  for (std::size_t b = 0; b < matrix.rows(); ++b) out.push_back(matrix(b, k));
  return out;
}

/// The quantile of χ² with `dof` degrees of freedom that is exceeded with probability 2.9e-7 (Wilson & Hilferty's cube,
/// which is within 1 % there for dof ≥ 3).
inline double chi_square_limit(double dof) {
  const double variance = 2.0 / (9.0 * dof);
  return dof * std::pow(1.0 - variance + kFiveSigma * std::sqrt(variance), 3.0);
}

/// Pearson's statistic of counts against probabilities. Categories that expect fewer than 5 are pooled, and the pool
/// joins the likeliest category if it expects fewer than 5 itself.
struct ChiSquare {
  double statistic = 0.0;
  double dof = 0.0;
};
inline ChiSquare chi_square(std::span<const std::size_t> counts, std::span<const double> probabilities, double total) {
  struct Cell {
    double count = 0.0, expected = 0.0;
  };
  std::vector<Cell> cells;
  Cell pool;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const Cell cell{static_cast<double>(counts[k]), probabilities[k] * total};
    if (cell.expected >= 5.0) {
      cells.push_back(cell);
    } else {
      pool.count += cell.count;
      pool.expected += cell.expected;
    }
  }
  if (pool.expected >= 5.0) {
    cells.push_back(pool);
  } else {
    Cell& likeliest = *std::ranges::max_element(cells, {}, &Cell::expected);
    likeliest.count += pool.count;
    likeliest.expected += pool.expected;
  }
  ChiSquare out;
  for (const Cell& cell : cells) out.statistic += std::pow(cell.count - cell.expected, 2.0) / cell.expected;
  out.dof = static_cast<double>(cells.size()) - 1.0;
  return out;
}

}  // namespace fslens
