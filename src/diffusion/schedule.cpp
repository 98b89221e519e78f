#include "fslens/diffusion/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "fslens/core/error.hpp"

namespace fslens {

struct NoiseSchedule::Model {
  Model(std::string name_in, double t_max_in, double mean_in = 0.0)
      : name(std::move(name_in)), t_max(t_max_in), mean(mean_in) {}
  virtual ~Model() = default;
  virtual double a(double t) const = 0;
  virtual double s2(double t) const = 0;
  virtual double f(double t) const = 0;
  virtual double g2(double t) const = 0;
  virtual double log_snr(double t) const { return 2.0 * std::log(a(t)) - std::log(s2(t)); }

  std::string name;
  double t_max;
  double mean;
};

namespace {

using Model = NoiseSchedule::Model;

/// Variance preserving: a² = ᾱ, s² = 1 − ᾱ. With L = log ᾱ: f = L′/2 and g² = −L′.
struct VpModel : Model {
  using Model::Model;
  virtual double log_alpha_bar(double t) const = 0;
  virtual double log_alpha_bar_slope(double t) const = 0;

  double a(double t) const final { return std::exp(0.5 * log_alpha_bar(t)); }
  // expm1, because 1 − ᾱ cancels as t → 0.
  double s2(double t) const final { return -std::expm1(log_alpha_bar(t)); }
  double f(double t) const final { return 0.5 * log_alpha_bar_slope(t); }
  double g2(double t) const final { return -log_alpha_bar_slope(t); }
  double log_snr(double t) const final {
    const double log_alpha = log_alpha_bar(t);
    return log_alpha - std::log(-std::expm1(log_alpha));
  }
};

struct VpLinearModel final : VpModel {
  explicit VpLinearModel(const VpLinearOptions& options) : VpModel("vp-linear", 1.0), beta(options) {}
  double log_alpha_bar(double t) const override {
    return -t * (beta.beta_min + 0.5 * (beta.beta_max - beta.beta_min) * t);
  }
  double log_alpha_bar_slope(double t) const override { return -(beta.beta_min + (beta.beta_max - beta.beta_min) * t); }
  VpLinearOptions beta;
};

/// ᾱ(t) = cos²(θ(t)) / cos²(θ(0)), θ(t) = ((t + o)/(1 + o)) π/2, would reach 0 at t = 1. Nichol & Dhariwal bound their
/// 1000 discrete β_k by max_beta; the same bound in continuous time is −d log ᾱ/dt ≤ −1000 log(1 − max_beta). From the
/// time where the cosine reaches that rate, log ᾱ goes on linearly, so that log-SNR stays finite and strictly
/// decreasing up to t = 1. @source arXiv:2102.09672
struct VpCosineModel final : VpModel {
  explicit VpCosineModel(const VpCosineOptions& options) : VpModel("vp-cosine", 1.0) {
    constexpr double kDiscreteSteps = 1000.0;
    theta_slope = 0.5 * std::numbers::pi / (1.0 + options.offset);
    theta_start = theta_slope * options.offset;
    max_rate = -kDiscreteSteps * std::log1p(-options.max_beta);
    // −L′ = 2 θ′ tan θ reaches max_rate here.
    const double theta_end = std::max(theta_start, std::atan(max_rate / (2.0 * theta_slope)));
    linear_from = std::min(1.0, (theta_end - theta_start) / theta_slope);
    log_at_linear = cosine_log(linear_from);
  }
  double cosine_log(double t) const {
    // cos(θ₀ + δ)/cos θ₀ = 1 − (2 sin²(δ/2) + sin δ tan θ₀): accurate relative to 1 − ᾱ as t → 0.
    const double delta = theta_slope * t;
    const double half = std::sin(0.5 * delta);
    return 2.0 * std::log1p(-(2.0 * half * half + std::sin(delta) * std::tan(theta_start)));
  }
  double log_alpha_bar(double t) const override {
    return t <= linear_from ? cosine_log(t) : log_at_linear - max_rate * (t - linear_from);
  }
  double log_alpha_bar_slope(double t) const override {
    return t <= linear_from ? -2.0 * theta_slope * std::tan(theta_start + theta_slope * t) : -max_rate;
  }
  double theta_start = 0.0;
  double theta_slope = 0.0;
  double max_rate = 0.0;
  double linear_from = 1.0;
  double log_at_linear = 0.0;
};

/// log ᾱ is piecewise linear through t_k = k/K, so that the recorded step k of a DDPM code is t = k/K exactly. The
/// slope at a knot is that of the interval which ends there.
struct VpDiscreteModel final : VpModel {
  explicit VpDiscreteModel(const std::vector<double>& betas) : VpModel("vp-discrete", 1.0), log_alpha(1, 0.0) {
    log_alpha.reserve(betas.size() + 1);
    for (const double beta : betas) log_alpha.push_back(log_alpha.back() + std::log1p(-beta));
  }
  std::size_t intervals() const { return log_alpha.size() - 1; }
  std::size_t interval_of(double t) const {
    const double knots = t * static_cast<double>(intervals());
    // k/K·K may come out just above k, which must still belong to the interval that ends at k.
    constexpr double kRounding = 1e-12;
    const double end = std::ceil(knots * (1.0 - kRounding));
    return std::min(intervals() - 1, static_cast<std::size_t>(std::max(0.0, end - 1.0)));
  }
  double log_alpha_bar(double t) const override {
    const std::size_t k = interval_of(t);
    const double fraction = t * static_cast<double>(intervals()) - static_cast<double>(k);
    return log_alpha[k] + fraction * (log_alpha[k + 1] - log_alpha[k]);
  }
  double log_alpha_bar_slope(double t) const override {
    const std::size_t k = interval_of(t);
    return static_cast<double>(intervals()) * (log_alpha[k + 1] - log_alpha[k]);
  }
  std::vector<double> log_alpha;
};

struct VeModel final : Model {
  explicit VeModel(const VeOptions& options) : Model("ve", 1.0), sigma(options) {
    if (sigma.rho > 0.0) {
      root_min = std::pow(sigma.sigma_min, 1.0 / sigma.rho);
      root_max = std::pow(sigma.sigma_max, 1.0 / sigma.rho);
    } else {
      log_ratio = std::log(sigma.sigma_max / sigma.sigma_min);
    }
  }
  double root(double t) const { return root_min + t * (root_max - root_min); }
  double sigma_at(double t) const {
    return sigma.rho > 0.0 ? std::pow(root(t), sigma.rho) : sigma.sigma_min * std::exp(log_ratio * t);
  }
  double a(double) const override { return 1.0; }
  double s2(double t) const override { return sigma_at(t) * sigma_at(t); }
  double f(double) const override { return 0.0; }
  double g2(double t) const override {
    const double log_slope = sigma.rho > 0.0 ? sigma.rho * (root_max - root_min) / root(t) : log_ratio;
    return 2.0 * s2(t) * log_slope;
  }
  VeOptions sigma;
  double root_min = 0.0;
  double root_max = 0.0;
  double log_ratio = 0.0;
};

struct OuModel final : Model {
  explicit OuModel(const OuOptions& options)
      : Model("ou", 10.0, options.mean), variance(options.sigma * options.sigma) {}
  double a(double t) const override { return std::exp(-t); }
  double s2(double t) const override { return -0.5 * variance * std::expm1(-2.0 * t); }
  double f(double) const override { return -1.0; }
  double g2(double) const override { return variance; }
  double variance;
};

/// Rectified flow. a(1) = 0 makes f = −1/(1 − t) and g² = 2t/(1 − t) infinite, so the schedule stops at t = 0.999,
/// where log-SNR is −13.8: x_t is noise to one part in 10³, less signal than vp-linear keeps at its end.
struct FlowModel final : Model {
  FlowModel() : Model("flow", 0.999) {}
  double a(double t) const override { return 1.0 - t; }
  double s2(double t) const override { return t * t; }
  double f(double t) const override { return -1.0 / (1.0 - t); }
  double g2(double t) const override { return 2.0 * t / (1.0 - t); }
};

std::vector<double> ddpm_betas() {
  constexpr std::size_t kSteps = 1000;
  constexpr double kFirst = 1e-4;
  constexpr double kLast = 0.02;
  std::vector<double> betas(kSteps);
  for (std::size_t k = 0; k < kSteps; ++k)
    betas[k] = kFirst + (kLast - kFirst) * static_cast<double>(k) / static_cast<double>(kSteps - 1);
  return betas;
}

}  // namespace

NoiseSchedule::NoiseSchedule(std::shared_ptr<const Model> model) : model_(std::move(model)) {}

NoiseSchedule NoiseSchedule::vp_linear(const VpLinearOptions& options) {
  require_positive("schedule.beta_min", options.beta_min);
  require_positive("schedule.beta_max", options.beta_max);
  require(options.beta_max >= options.beta_min, "schedule.beta_max", fmt::format("{}", options.beta_max),
          fmt::format("must be >= schedule.beta_min = {}", options.beta_min));
  return NoiseSchedule(std::make_shared<VpLinearModel>(options));
}

NoiseSchedule NoiseSchedule::vp_cosine(const VpCosineOptions& options) {
  require_nonnegative("schedule.offset", options.offset);
  require(options.max_beta > 0.0 && options.max_beta < 1.0, "schedule.max_beta", fmt::format("{}", options.max_beta),
          "must lie in (0, 1)");
  return NoiseSchedule(std::make_shared<VpCosineModel>(options));
}

NoiseSchedule NoiseSchedule::vp_discrete(const VpDiscreteOptions& options) {
  for (std::size_t k = 0; k < options.betas.size(); ++k)
    require(options.betas[k] > 0.0 && options.betas[k] < 1.0, fmt::format("schedule.betas[{}]", k),
            fmt::format("{}", options.betas[k]), "must lie in (0, 1)");
  return NoiseSchedule(std::make_shared<VpDiscreteModel>(options.betas.empty() ? ddpm_betas() : options.betas));
}

NoiseSchedule NoiseSchedule::ve(const VeOptions& options) {
  require_positive("schedule.sigma_min", options.sigma_min);
  require_positive("schedule.sigma_max", options.sigma_max);
  require(options.sigma_max > options.sigma_min, "schedule.sigma_max", fmt::format("{}", options.sigma_max),
          fmt::format("must be > schedule.sigma_min = {}", options.sigma_min));
  require_nonnegative("schedule.rho", options.rho);
  return NoiseSchedule(std::make_shared<VeModel>(options));
}

NoiseSchedule NoiseSchedule::ou(const OuOptions& options) {
  require_positive("schedule.sigma", options.sigma);
  require(std::isfinite(options.mean), "schedule.mean", fmt::format("{}", options.mean), "must be finite");
  return NoiseSchedule(std::make_shared<OuModel>(options));
}

NoiseSchedule NoiseSchedule::flow() { return NoiseSchedule(std::make_shared<FlowModel>()); }

const std::string& NoiseSchedule::name() const { return model_->name; }
double NoiseSchedule::a(double t) const { return model_->a(t); }
double NoiseSchedule::s2(double t) const { return model_->s2(t); }
double NoiseSchedule::s(double t) const { return std::sqrt(model_->s2(t)); }
double NoiseSchedule::f(double t) const { return model_->f(t); }
double NoiseSchedule::g2(double t) const { return model_->g2(t); }
double NoiseSchedule::mean() const { return model_->mean; }
double NoiseSchedule::shift(double t) const { return model_->mean == 0.0 ? 0.0 : (1.0 - a(t)) * model_->mean; }
double NoiseSchedule::log_snr(double t) const { return model_->log_snr(t); }
double NoiseSchedule::t_max() const { return model_->t_max; }

void NoiseSchedule::require_time(const std::string& name, double t) const {
  require(t > 0.0 && t <= t_max(), name, fmt::format("{}", t),
          fmt::format("must lie in (0, {}], the times of schedule '{}'", t_max(), this->name()));
}

double NoiseSchedule::time_of_log_snr(double value, double t_low, double t_high) const {
  require_time("t_low", t_low);
  require_time("t_high", t_high);
  const double highest = log_snr(t_low);
  const double lowest = log_snr(t_high);
  // Callers compute `value` from the ends themselves: rounding may put it just outside.
  const double slack = 1e-12 * std::max({1.0, std::abs(highest), std::abs(lowest)});
  require_between("log_snr", value, lowest - slack, highest + slack);
  double low = t_low;
  double high = t_high;
  constexpr double kRelativeTolerance = 1e-14;
  while (high - low > kRelativeTolerance * high) {
    const double middle = low + 0.5 * (high - low);
    if (middle <= low || middle >= high) break;
    (log_snr(middle) > value ? low : high) = middle;
  }
  return low + 0.5 * (high - low);
}

}  // namespace fslens
