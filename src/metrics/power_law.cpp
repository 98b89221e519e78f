#include "fslens/metrics/power_law.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

/// Mean of log errors at x = log n, with the variance of that mean.
struct LogLevel {
  double x = 0.0;
  double mean = 0.0;
  double variance = 0.0;
  double degrees_of_freedom = 0.0;
};

LogLevel log_level(const ErrorLevel& level) {
  require_positive("size", level.size);
  require(level.errors.size() >= 2, "errors", fmt::format("{} at n = {}", level.errors.size(), level.size), "must be at least 2");
  std::vector<double> logs;
  for (const double error : level.errors) {
    require(std::isfinite(error) && error > 0.0, "error", fmt::format("{} at n = {}", error, level.size), "must be finite and > 0");
    logs.push_back(std::log(error));
  }
  const SampleMoments moments = sample_moments(logs);
  const auto count = static_cast<double>(logs.size());
  return {std::log(level.size), moments.mean, moments.variance / count, count - 1.0};
}

/// Σ c_j ȳ_j with its error. @source satterthwaite1946approximate
Estimate contrast(std::span<const LogLevel> levels, std::span<const double> coefficients) {
  Estimate out;
  double variance = 0.0, spread_of_variance = 0.0, fewest = levels[0].degrees_of_freedom;
  for (std::size_t j = 0; j < levels.size(); ++j) {
    const double part = coefficients[j] * coefficients[j] * levels[j].variance;
    out.value += coefficients[j] * levels[j].mean;
    variance += part;
    spread_of_variance += part * part / levels[j].degrees_of_freedom;
    fewest = std::min(fewest, levels[j].degrees_of_freedom);
  }
  out.standard_error = std::sqrt(variance);
  out.degrees_of_freedom = spread_of_variance > 0.0 ? variance * variance / spread_of_variance : fewest;
  return out;
}

double mean_of(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double product(std::span<const double> u, std::span<const double> v) {
  double sum = 0.0;
  for (std::size_t j = 0; j < u.size(); ++j) sum += u[j] * v[j];
  return sum;
}

std::vector<double> scaled_by(std::vector<double> values, double factor) {
  for (double& value : values) value *= factor;
  return values;
}

PowerLawFit fit(std::span<const LogLevel> levels) {
  std::vector<double> x, y, linear, quadratic;
  for (const LogLevel& level : levels) {
    x.push_back(level.x);
    y.push_back(level.mean);
  }
  const double centre = mean_of(x);
  for (const double value : x) linear.push_back(value - centre);
  const double squares = product(linear, linear);
  PowerLawFit out;
  out.rate = contrast(levels, scaled_by(linear, -1.0 / squares));
  out.log_constant = mean_of(y) + out.rate.value * centre;
  if (levels.size() < 3) return out;
  // (log n)² less its projections on the constant and on the line.
  for (const double value : linear) quadratic.push_back(value * value);
  const double slope = product(quadratic, linear) / squares, constant = mean_of(quadratic);
  for (std::size_t j = 0; j < levels.size(); ++j) quadratic[j] -= constant + slope * linear[j];
  out.bend = contrast(levels, scaled_by(quadratic, 1.0 / product(quadratic, quadratic)));
  return out;
}

std::vector<LogLevel> log_levels(std::span<const ErrorLevel> levels) {
  require(levels.size() >= 2, "levels", fmt::format("{}", levels.size()), "must be at least 2: a rate needs two sizes");
  std::vector<LogLevel> out;
  for (const ErrorLevel& level : levels) {
    require(out.empty() || level.size > levels[out.size() - 1].size, "size", fmt::format("{}", level.size),
            "must be larger than the one before it");
    out.push_back(log_level(level));
  }
  return out;
}

}  // namespace

PowerLawFit fit_power_law(std::span<const ErrorLevel> levels) { return fit_power_law_tail(levels, levels.size()); }

PowerLawFit fit_power_law_tail(std::span<const ErrorLevel> levels, std::size_t fewest_levels) {
  const std::vector<LogLevel> all = log_levels(levels);
  require(fewest_levels >= 2, "fewest_levels", fmt::format("{}", fewest_levels), "must be at least 2");
  std::span<const LogLevel> fitted(all);
  PowerLawFit out = fit(fitted);
  while (fitted.size() > fewest_levels && out.bends()) {
    fitted = fitted.subspan(1);
    out = fit(fitted);
  }
  out.first = all.size() - fitted.size();
  out.last = all.size() - 1;
  return out;
}

Estimate log_error_ratio(std::span<const double> slower, std::span<const double> faster) {
  require_size("faster", faster.size(), slower.size(), "the repetitions of slower");
  ErrorLevel ratios{1.0, {}};
  for (std::size_t r = 0; r < slower.size(); ++r) ratios.errors.push_back(slower[r] / faster[r]);
  const LogLevel level = log_level(ratios);
  return {level.mean, std::sqrt(level.variance), level.degrees_of_freedom};
}

}  // namespace fslens
