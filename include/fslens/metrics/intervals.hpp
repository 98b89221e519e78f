// Confidence intervals and quantiles.
#pragma once

#include <cstddef>
#include <span>

namespace fslens {

struct ConfidenceInterval {
  double low = 0.0;
  double high = 0.0;
  bool contains(double value) const { return value >= low && value <= high; }
};

/// The exact binomial interval for a probability: at its ends the tail P(X ≥ k), resp. P(X ≤ k), is (1 − confidence)/2.
/// Its coverage is at least `confidence`. Accurate to 1e-12; with no trial it is [0, 1].
/// @throws InvalidArgument if successes > trials or confidence is not in (0, 1)   @source clopper1934use
ConfidenceInterval clopper_pearson(std::size_t successes, std::size_t trials, double confidence = 0.95);

/// Φ(z), accurate in both tails.
double normal_cdf(double z);
/// Φ⁻¹(p), relative error < 1e-14 for p ≥ 1e-300; ∓∞ at 0 and 1. @throws InvalidArgument if p is not in [0, 1]
/// @source acklam2003algorithm, with one step of Halley's method
double normal_quantile(double p);
/// value ± Φ⁻¹((1 + confidence)/2) · standard_error. NaN if one of them is.
/// @throws InvalidArgument if standard_error < 0 or confidence is not in (0, 1)
ConfidenceInterval gaussian_interval(double value, double standard_error, double confidence = 0.95);

/// The t at which P(T ≤ t) = p for Student's law with `degrees_of_freedom` > 0, not necessarily whole; relative error < 1e-9.
/// @throws InvalidArgument if p is not in (0, 1) or degrees_of_freedom not positive
double student_quantile(double p, double degrees_of_freedom);
/// value ± t · standard_error with Student's t at (1 + confidence)/2. @throws InvalidArgument as gaussian_interval and student_quantile
ConfidenceInterval student_interval(double value, double standard_error, double degrees_of_freedom, double confidence = 0.95);

/// The quantile of a law with mean 0, variance 1 and the given skewness γ: a shifted gamma (Pearson's type III), G(k)/√k − √k with k = 4/γ²,
/// mirrored where γ < 0. For a mean of few rare things, as the share of a rare mode, its tail is that of the Poisson
/// law where the normal one is far too light. Error < 1e-9, for |γ| < 0.02 < 1e-5 where 1e-6 < p < 1 − 1e-6. @throws InvalidArgument if p is not in (0, 1)
double skewed_quantile(double p, double skewness);

/// Quantile of a sample by linear interpolation of order statistics at 1 + (n − 1)·probability. NaN if a value is.
/// @throws InvalidArgument if values is empty or probability not in [0, 1]   @source hyndman1996sample, type 7
double sample_quantile(std::span<const double> values, double probability);
/// The same for values that ascend already (and hold no NaN).
double sorted_quantile(std::span<const double> ascending, double probability);

}  // namespace fslens
