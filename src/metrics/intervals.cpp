#include "fslens/metrics/intervals.hpp"

#include <fmt/format.h>

#include <Eigen/Core>
#include <unsupported/Eigen/SpecialFunctions>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "fslens/core/error.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

// log n! − [½ log 2πn + n log n − n], the error of Stirling's formula.
double stirling_error(double n) {
  if (n < 16) {
    double factorial = 1.0;  // exact: 15! < 2^53
    for (double k = 2; k <= n; ++k) factorial *= k;
    return std::log(factorial) - (0.5 * std::log(2 * std::numbers::pi * n) + n * std::log(n) - n);
  }
  const double n2 = n * n;
  return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / n2) / n2) / n2) / n2) / n;
}

// k log(k/mean) + mean − k without its cancellation near k = mean.
double deviance(double k, double mean) {
  if (std::abs(k - mean) >= 0.1 * (k + mean)) return k * std::log(k / mean) + mean - k;
  const double v = (k - mean) / (k + mean);
  double sum = (k - mean) * v;
  double term = 2 * k * v;
  for (int j = 3;; j += 2) {
    term *= v * v;
    const double next = sum + term / j;
    if (next == sum) return sum;
    sum = next;
  }
}

// The binomial probability of k among n, 0 < k < n, by Loader's saddle-point form: no difference of large log-gammas.
// @source loader2000fast
double log_binomial_probability(double k, double n, double p) {
  return stirling_error(n) - stirling_error(k) - stirling_error(n - k) - deviance(k, n * p) -
         deviance(n - k, n * (1 - p)) + 0.5 * std::log(n / (2 * std::numbers::pi * k * (n - k)));
}

// P(X ≥ k) / P(X = k): positive terms that decrease for p ≤ k/n, so that nothing cancels.
double tail_over_probability(double k, double n, double p) {
  const double odds = p / (1 - p);
  double sum = 1.0;
  double term = 1.0;
  for (double j = k + 1; j <= n; ++j) {
    term *= odds * (n - j + 1) / j;
    sum += term;
    if (term < 1e-17 * sum) break;
  }
  return sum;
}

// The p at which P(X ≥ k) = tail, by Newton's method on log P over log p. P is the distribution function of a
// Beta(k, n − k + 1) variable, log-concave in log p: after its first step the iteration rises to the root
// monotonically. It starts at k/n, where P ≥ ½ (the median of a binomial law with whole mean is that mean).
double lower_limit(double k, double n, double tail) {
  if (k == 0) return 0.0;
  if (k == n) return std::exp(std::log(tail) / n);
  double log_p = std::log(k / n);
  for (int step = 0; step < 200; ++step) {
    const double p = std::exp(log_p);
    const double ratio = tail_over_probability(k, n, p);
    const double excess = log_binomial_probability(k, n, p) + std::log(ratio) - std::log(tail);
    const double change = excess * ratio / k;  // d log P / d log p = k P(X = k) / P(X ≥ k)
    log_p -= change;
    if (std::abs(change) < 1e-14) break;
  }
  return std::exp(log_p);
}

double acklam_quantile(double p) {
  constexpr std::array a = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                            1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr std::array b = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                            6.680131188771972e+01, -1.328068155288572e+01};
  constexpr std::array c = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                            -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr std::array d = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00};
  const auto polynomial = [](const auto& coefficients, double at, double last) {
    double value = 0.0;
    for (const double coefficient : coefficients) value = value * at + coefficient;
    return last == 0 ? value : value * at + last;
  };
  constexpr double kTail = 0.02425;
  if (p < kTail) {
    const double q = std::sqrt(-2 * std::log(p));
    return polynomial(c, q, 0) / polynomial(d, q, 1);
  }
  const double q = p - 0.5;
  return q * polynomial(a, q * q, 0) / polynomial(b, q * q, 1);
}

// p in (0, ½]
double lower_half_quantile(double p) {
  const double z = acklam_quantile(p);
  if (p < 1e-300) return z;  // the density underflows and leaves nothing to correct with
  const double excess = (normal_cdf(z) - p) * std::sqrt(2 * std::numbers::pi) * std::exp(0.5 * z * z);
  return z - excess / (1 + 0.5 * z * excess);
}

// P(|T| > t) = I_x(ν/2, ½) at x = ν/(ν + t²): no difference of numbers near 1.
double student_two_sided_tail(double t, double nu) {
  return Eigen::numext::betainc(0.5 * nu, 0.5, nu / (nu + t * t));
}

/// Between which order statistics a quantile lies, from 0.
struct QuantilePlace {
  std::size_t below;
  double fraction;
};

QuantilePlace quantile_place(std::size_t size, double probability) {
  require(size > 0, "values", "0 entries", "must have at least 1");
  require_between("probability", probability, 0.0, 1.0);
  const double place = probability * static_cast<double>(size - 1);
  const auto below = static_cast<std::size_t>(place);
  return {below, place - static_cast<double>(below)};
}

double interpolate(double low, double high, double fraction) {
  // Equal infinities would give NaN by their difference.
  return low == high ? low : low + fraction * (high - low);
}

}  // namespace

ConfidenceInterval clopper_pearson(std::size_t successes, std::size_t trials, double confidence) {
  require(successes <= trials, "successes", fmt::format("{}", successes),
          fmt::format("must not exceed the number of trials, {}", trials));
  require_confidence(confidence);
  if (trials == 0) return {0.0, 1.0};
  const double k = static_cast<double>(successes);
  const double n = static_cast<double>(trials);
  const double tail = 0.5 * (1 - confidence);
  if (successes == 0) return {0.0, -std::expm1(std::log(tail) / n)};
  return {lower_limit(k, n, tail), 1.0 - lower_limit(n - k, n, tail)};
}

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

double normal_quantile(double p) {
  require_between("p", p, 0.0, 1.0);
  if (p == 0) return -std::numeric_limits<double>::infinity();
  if (p == 1) return std::numeric_limits<double>::infinity();
  return p <= 0.5 ? lower_half_quantile(p) : -lower_half_quantile(1 - p);
}

ConfidenceInterval gaussian_interval(double value, double standard_error, double confidence) {
  require(!(standard_error < 0), "standard_error", fmt::format("{}", standard_error), "must not be negative");
  require_confidence(confidence);
  const double half_width = -normal_quantile(0.5 * (1 - confidence)) * standard_error;
  return {value - half_width, value + half_width};
}

double student_quantile(double p, double degrees_of_freedom) {
  require(p > 0.0 && p < 1.0, "p", fmt::format("{}", p), "must lie in (0, 1)");
  require_positive("degrees_of_freedom", degrees_of_freedom);
  if (p == 0.5) return 0.0;
  const double tail = 2.0 * std::min(p, 1.0 - p);
  double low = 0.0, high = 1.0;
  while (student_two_sided_tail(high, degrees_of_freedom) > tail && std::isfinite(high)) low = high, high *= 2.0;
  while (high - low > 1e-10 * high) {
    const double middle = 0.5 * (low + high);
    (student_two_sided_tail(middle, degrees_of_freedom) > tail ? low : high) = middle;
  }
  return p < 0.5 ? -high : high;
}

ConfidenceInterval student_interval(double value, double standard_error, double degrees_of_freedom, double confidence) {
  require(!(standard_error < 0), "standard_error", fmt::format("{}", standard_error), "must not be negative");
  require_confidence(confidence);
  const double half_width = student_quantile(0.5 * (1 + confidence), degrees_of_freedom) * standard_error;
  return {value - half_width, value + half_width};
}

double skewed_quantile(double p, double skewness) {
  require(p > 0.0 && p < 1.0, "p", fmt::format("{}", p), "must lie in (0, 1)");
  constexpr double kSlight = 0.02;
  if (std::abs(skewness) < kSlight) {  // Cornish and Fisher's expansion; what it leaves out is of order γ³ z⁴/100
    const double z = normal_quantile(p), z2 = z * z;
    return z + skewness * (z2 - 1.0) / 6.0 + skewness * skewness * z * ((z2 - 3.0) / 16.0 - (2.0 * z2 - 5.0) / 36.0);
  }
  if (skewness < 0.0) return -skewed_quantile(1.0 - p, -skewness);
  const double shape = 4.0 / (skewness * skewness);
  // By the smaller tail, so that neither end cancels.
  const bool upper = p > 0.5;
  const auto beyond = [&](double x) { return upper ? Eigen::numext::igammac(shape, x) > 1.0 - p : Eigen::numext::igamma(shape, x) < p; };
  double low = 0.0, high = shape + 1.0;
  while (beyond(high)) low = high, high *= 2.0;
  while (high - low > 1e-11 * high) {
    const double middle = 0.5 * (low + high);
    if (middle == low || middle == high) break;
    (beyond(middle) ? low : high) = middle;
  }
  return (0.5 * (low + high) - shape) / std::sqrt(shape);
}

double sorted_quantile(std::span<const double> ascending, double probability) {
  const QuantilePlace place = quantile_place(ascending.size(), probability);
  if (place.fraction == 0) return ascending[place.below];
  return interpolate(ascending[place.below], ascending[place.below + 1], place.fraction);
}

double sample_quantile(std::span<const double> values, double probability) {
  const QuantilePlace place = quantile_place(values.size(), probability);
  if (std::ranges::any_of(values, [](double value) { return std::isnan(value); })) return kNan;
  std::vector<double> ordered(values.begin(), values.end());
  const auto below = ordered.begin() + static_cast<std::ptrdiff_t>(place.below);
  std::ranges::nth_element(ordered, below);
  if (place.fraction == 0) return *below;
  return interpolate(*below, *std::min_element(below + 1, ordered.end()), place.fraction);
}

}  // namespace fslens
