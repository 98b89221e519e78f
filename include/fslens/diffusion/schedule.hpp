// Noise schedules: the path x_t = a(t) x_0 + b(t) + s(t) ε.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fslens {

struct VpLinearOptions {
  double beta_min = 0.01;  ///< β(0) > 0.
  double beta_max = 20.0;  ///< β(1) ≥ β_min.
};
struct VpCosineOptions {
  double offset = 0.008;  ///< Nichol & Dhariwal's s.
  /// Bound of their 1000 discrete β_k near t = 1: where the cosine decays faster, log ᾱ goes on linearly at that rate.
  double max_beta = 0.999;
};
struct VpDiscreteOptions {
  std::vector<double> betas;  ///< β_1 … β_K in (0, 1); empty: DDPM's 1000 values from 1e-4 to 0.02.
};
struct VeOptions {
  double sigma_min = 0.01;
  double sigma_max = 50.0;
  double rho = 0.0;  ///< 0: geometric σ(t) = σ_min (σ_max/σ_min)^t; > 0: Karras, σ^{1/ρ} linear in t (ρ = 7).
};
struct OuOptions {
  double sigma = 1.4142135623730951;  ///< dx = −(x − mean) dt + σ dW.
  double mean = 0.0;
};

/// A diffusion path x_t = a(t) x_0 + b(t) + s(t) ε with ε ~ N(0, I).
///
/// Forward SDE: dx = f(t) (x − x̄) dt + g(t) dW with f = a′/a, g² = 2 s s′ − 2 f s² and x̄ = mean(), which is 0 for every
/// schedule but `ou`; b(t) = (1 − a(t)) x̄. Values are cheap to copy and immutable.
class NoiseSchedule {
 public:
  static NoiseSchedule vp_linear(const VpLinearOptions& options = {});
  static NoiseSchedule vp_cosine(const VpCosineOptions& options = {});
  static NoiseSchedule vp_discrete(const VpDiscreteOptions& options = {});
  static NoiseSchedule ve(const VeOptions& options = {});
  static NoiseSchedule ou(const OuOptions& options = {});
  static NoiseSchedule flow();

  const std::string& name() const;
  double a(double t) const;        ///< signal scale
  double s2(double t) const;       ///< noise variance s(t)², accurate in relative terms as t → 0
  double s(double t) const;        ///< noise scale
  double f(double t) const;        ///< drift coefficient a′/a
  double g2(double t) const;       ///< squared diffusion coefficient g²
  double mean() const;             ///< x̄, what the drift pulls towards
  double shift(double t) const;    ///< b(t) = (1 − a(t)) x̄
  double log_snr(double t) const;  ///< log(a²/s²), strictly decreasing in t
  /// The t in [t_low, t_high] with log_snr(t) = value, by bisection to 1e-14 relative.
  /// @throws InvalidArgument if `value` is not between log_snr(t_high) and log_snr(t_low)
  double time_of_log_snr(double value, double t_low, double t_high) const;
  /// The largest t that the schedule is defined at: 1; 10 for `ou`; 0.999 for `flow`, whose f and g² are infinite at 1.
  double t_max() const;
  /// @throws InvalidArgument unless 0 < t ≤ t_max().
  void require_time(const std::string& name, double t) const;

  struct Model;

 private:
  explicit NoiseSchedule(std::shared_ptr<const Model> model);
  std::shared_ptr<const Model> model_;
};

}  // namespace fslens
