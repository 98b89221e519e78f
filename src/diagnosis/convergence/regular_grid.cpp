#include "regular_grid.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

constexpr double kReach = 6.5;                 // standard deviations
constexpr double kNegligibleComponent = 1e-16;  // of the largest weight
constexpr std::size_t kRowsPerBand = 64, kCentresPerRange = 1024;

std::size_t count_along(double low, double high, double spacing) { return static_cast<std::size_t>(std::ceil((high - low) / spacing)) + 1; }

}  // namespace

/// N(x; c, C) at the nodes around c, row by row: N(x_0; c_0, C_00) N(x_1; c_1 + β (x_0 − c_0), g), β = C_01/C_00, g = C_11 − β C_01. Along a
/// row the values follow from two multiplications each: N(x + δ)/N(x) changes by the same factor from node to node.
class RegularGrid::Patch {
 public:
  Patch(const RegularGrid& grid, const Matrix& covariance) : grid_(grid) {
    const bool plane = grid.dim() == 2;
    first_variance_ = plane ? covariance(0, 0) : 1.0;
    slope_ = plane ? covariance(0, 1) / first_variance_ : 0.0;
    variance_ = plane ? covariance(1, 1) - slope_ * covariance(0, 1) : covariance(0, 0);
    require(first_variance_ > 0.0 && variance_ > 0.0, "covariance", "singular", "must be positive definite");
    scale_ = 1.0 / std::sqrt(2.0 * std::numbers::pi * variance_ * (plane ? 2.0 * std::numbers::pi * first_variance_ : 1.0));
    ratio_step_ = std::exp(-grid.spacing_ * grid.spacing_ / variance_);
  }

  /// visit(node of the first value, values, factor) for the rows [first_row, last_row) that are near the centre.
  template <class Visit>
  void rows(std::span<const double> centre, std::size_t first_row, std::size_t last_row, const Visit& visit) {
    if (grid_.dim() == 1) {
      fill(centre[0]);
      if (!values_.empty()) visit(first_, std::span<const double>(values_), scale_);
      return;
    }
    const double place = (centre[0] - grid_.low_[0]) / grid_.spacing_, reach = kReach * std::sqrt(first_variance_) / grid_.spacing_;
    const double from = std::max(static_cast<double>(first_row), std::ceil(place - reach));
    const double to = std::min(static_cast<double>(last_row) - 1.0, std::floor(place + reach));
    bool filled = false;
    for (double row = from; row <= to; row += 1.0) {
      const double away = (row - place) * grid_.spacing_;
      if (!filled || slope_ != 0.0) fill(centre[1] + slope_ * away);
      filled = true;
      if (values_.empty()) continue;
      visit(static_cast<std::size_t>(row) * grid_.columns_ + first_, std::span<const double>(values_),
            scale_ * std::exp(-0.5 * away * away / first_variance_));
    }
  }

 private:
  void fill(double centre) {
    values_.clear();
    const double place = (centre - grid_.low_.back()) / grid_.spacing_, reach = kReach * std::sqrt(variance_) / grid_.spacing_;
    const double from = std::max(0.0, std::ceil(place - reach));
    const double to = std::min(static_cast<double>(grid_.columns_) - 1.0, std::floor(place + reach));
    if (from > to) return;
    first_ = static_cast<std::size_t>(from);
    const double away = (from - place) * grid_.spacing_;
    double value = std::exp(-0.5 * away * away / variance_);
    double ratio = std::exp(-grid_.spacing_ * (away + 0.5 * grid_.spacing_) / variance_);
    values_.resize(static_cast<std::size_t>(to - from) + 1);
    for (double& out : values_) {
      out = value;
      value *= ratio;
      ratio *= ratio_step_;
    }
  }

  const RegularGrid& grid_;
  double first_variance_, slope_, variance_, scale_, ratio_step_;
  std::size_t first_ = 0;
  std::vector<double> values_;
};

RegularGrid::RegularGrid(std::vector<double> low, std::span<const double> high, double spacing)
    : low_(std::move(low)), spacing_(spacing), rows_(1) {
  require(low_.size() == 1 || low_.size() == 2, "dimension", std::to_string(low_.size()), "must be 1 or 2 for a grid");
  if (dim() == 2) rows_ = count_along(low_[0], high[0], spacing);
  columns_ = count_along(low_.back(), high.back(), spacing);
}

double RegularGrid::nodes_needed(std::span<const double> low, std::span<const double> high, double spacing) {
  double count = 1.0;
  for (std::size_t j = 0; j < low.size(); ++j) count *= std::ceil((high[j] - low[j]) / spacing) + 1.0;
  return count;
}

double RegularGrid::cell() const { return dim() == 2 ? spacing_ * spacing_ : spacing_; }

Matrix RegularGrid::points() const {
  Matrix x(size(), dim());
  for (std::size_t i = 0; i < x.rows(); ++i) {
    if (dim() == 2) x(i, 0) = low_[0] + spacing_ * static_cast<double>(i / columns_);
    x(i, dim() - 1) = low_.back() + spacing_ * static_cast<double>(i % columns_);
  }
  return x;
}

bool RegularGrid::on_edge(std::size_t node) const {
  const std::size_t row = node / columns_, column = node % columns_;
  return column == 0 || column + 1 == columns_ || (dim() == 2 && (row == 0 || row + 1 == rows_));
}

std::vector<double> RegularGrid::densities(std::span<const GaussianComponents> components) const {
  double most = 0.0;
  for (const GaussianComponents& some : components)
    for (const double weight : some.weights) most = std::max(most, weight);
  std::vector<double> out(size(), 0.0);
  const auto add_rows = [&](std::size_t first_row, std::size_t last_row) {
    for (const GaussianComponents& some : components) {
      Patch patch(*this, some.covariance);
      for (std::size_t i = 0; i < some.weights.size(); ++i) {
        const double weight = some.weights[i];
        if (weight <= kNegligibleComponent * most) continue;
        patch.rows(some.centres.row(i), first_row, last_row, [&](std::size_t node, std::span<const double> values, double factor) {
          for (std::size_t k = 0; k < values.size(); ++k) out[node + k] += weight * factor * values[k];
        });
      }
    }
  };
  parallel_for_ranges(rows_, kRowsPerBand, add_rows);
  return out;
}

std::vector<double> RegularGrid::integrals(std::span<const double> values, const GaussianComponents& components) const {
  require_size("values", values.size(), size(), "one a node");
  std::vector<double> out(components.weights.size(), 0.0);
  parallel_for_ranges(out.size(), kCentresPerRange, [&](std::size_t first, std::size_t last) {
    Patch patch(*this, components.covariance);
    for (std::size_t i = first; i < last; ++i) {
      if (i > first && std::ranges::equal(components.centres.row(i), components.centres.row(i - 1))) {
        out[i] = out[i - 1];
        continue;
      }
      patch.rows(components.centres.row(i), 0, rows_, [&](std::size_t node, std::span<const double> density, double factor) {
        double sum = 0.0;
        for (std::size_t k = 0; k < density.size(); ++k) sum += values[node + k] * density[k];
        out[i] += factor * sum;
      });
    }
  });
  return out;
}

}  // namespace fslens
