#include "fslens/diagnosis/squared_deviations.hpp"

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"

namespace fslens {
namespace {

/// Components that carry less cannot matter: their squared distances would have to be 10^8 times the variance.
constexpr double kLeastLogWeight = -60.0;

}  // namespace

SquaredDeviations::SquaredDeviations(const Lens& lens, const Moments& clean, const Matrix& directions)
    : dim_(lens.dim()), variance_(lens.component_variance() / static_cast<double>(lens.dim())), moments_(1 + directions.rows()) {
  for (std::size_t k = 0; k < dim_; ++k) {
    trace_ += clean.covariance(k, k);
    for (std::size_t j = 0; j < dim_; ++j) trace_of_square_ += clean.covariance(k, j) * clean.covariance(k, j);
  }
  const auto weights = lens.log_weights(Measure::posterior);
  std::vector<double> component(dim_);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] < kLeastLogWeight) continue;
    lens.copy_posterior_component(i, component);
    for (std::size_t k = 0; k < dim_; ++k) component[k] -= clean.mean[k];
    const double weight = std::exp(weights[i]);
    double square = 0.0;
    for (const double value : component) square += value * value;
    moments_[0].add(weight, square);
    for (std::size_t j = 0; j < directions.rows(); ++j) {
      double along = 0.0;
      for (std::size_t k = 0; k < dim_; ++k) along += directions(j, k) * component[k];
      moments_[1 + j].add(weight, along * along);
    }
  }
}

void SquaredDeviations::Powers::add(double weight, double square) {
  first += weight * square;
  second += weight * square * square;
  third += weight * square * square * square;
}

VarianceLaw SquaredDeviations::law(const Powers& distance, double dim, double rho, double a, double s2, std::size_t count) const {
  // Y = ‖x_t − E x_t‖² given the component is c χ'²_d(R/c), R = a² r², c the variance of a coordinate: its raw moments are polynomials in R.
  const double a2 = a * a, c = a2 * variance_ + s2, u = dim * c;
  const double r1 = a2 * distance.first, r2 = a2 * a2 * distance.second, r3 = a2 * a2 * a2 * distance.third;
  const double y1 = u + r1;
  const double y2 = u * u + 2.0 * u * r1 + r2 + 2.0 * c * u + 4.0 * c * r1;
  const double y3 = 8.0 * c * c * u + 24.0 * c * c * r1 + 3.0 * (2.0 * c * u * u + 6.0 * c * u * r1 + 4.0 * c * r2) +
                    u * u * u + 3.0 * u * u * r1 + 3.0 * u * r2 + r3;
  if (!(y1 > 0.0)) return {};
  const double n = static_cast<double>(count);
  const double relative = std::max(0.0, y2 / (y1 * y1) - 1.0);  // Var Y/(E Y)²
  const double third_of_draws = (y3 / (y1 * y1 * y1) - 3.0 * y2 / (y1 * y1) + 2.0) / (n * n);
  // Deviations are taken from the draws' own mean, which varies with ρ = 2 Tr C²/(Tr C)²: terms of the next order in 1/B, exact on the line up to
  // the square of the third cumulant, and for a Gaussian of d equal variances. Where all draws are equally far from the mean they are all there is.
  const double variance = relative / n + rho / (n * n);
  const double third = third_of_draws + (6.0 * rho * relative - 2.0 * rho * rho) / (n * n * n);
  return {std::sqrt(variance), third / std::pow(variance, 1.5)};
}

VarianceLaw SquaredDeviations::total(double a, double s2, std::size_t count) const {
  const double d = static_cast<double>(dim_), a2 = a * a, trace = a2 * trace_ + d * s2;
  const double of_square = a2 * a2 * trace_of_square_ + 2.0 * a2 * s2 * trace_ + d * s2 * s2;
  return law(moments_[0], d, trace > 0.0 ? 2.0 * of_square / (trace * trace) : 2.0, a, s2, count);
}

VarianceLaw SquaredDeviations::along(std::size_t direction, double a, double s2, std::size_t count) const {
  return law(moments_[1 + direction], 1.0, 2.0, a, s2, count);
}

}  // namespace fslens
