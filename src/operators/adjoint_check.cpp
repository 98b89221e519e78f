#include "fslens/operators/adjoint_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <span>

#include "fslens/core/error.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {
namespace {

constexpr std::size_t kNumSteps = 4;     // h, h/2, h/4, h/8: eighth order after three extrapolations
constexpr std::size_t kMaxRedraws = 16;  // at 2⁻¹⁶ of the step rounding takes over
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double norm(std::span<const double> a) { return std::sqrt(dot(a, a)); }

/// error / scale; 0 / 0 is 0, and what is not finite is infinitely wrong.
double relative(double error, double scale) {
  if (!std::isfinite(error) || !std::isfinite(scale)) return kInfinity;
  if (error == 0.0) return 0.0;
  return scale > 0.0 ? error / scale : kInfinity;
}

/// ⟨∂A/∂x u, v⟩ and ‖∂A/∂x u‖ at one point.
struct Directional {
  double along_v;
  double norm;
};

struct Trial {
  Matrix x, u, v;  // one row each
};

class AdjointCheck {
 public:
  AdjointCheck(const ForwardOperator& forward, const AdjointCheckOptions& options)
      : forward_(forward), options_(options), stream_(RandomStream(options.seed).child("check_adjoint")) {
    if (forward.is_affine()) bias_ = forward.bias();
  }

  AdjointReport run() {
    report_.trials = options_.trials;
    for (std::size_t trial = 0; trial < options_.trials; ++trial) check_trial(trial);
    check_batch();
    const std::string derivative = forward_.is_affine() ? "its linear part" : "central differences";
    report_.passed = first_failure_.empty() && any_slope_;
    if (!first_failure_.empty())
      report_.message = first_failure_;
    else if (!any_slope_)
      report_.message =
          fmt::format("{}: the derivative was 0 in all {} trials, so nothing was checked (point_scale = {})",
                      forward_.name(), options_.trials, options_.point_scale);
    else
      report_.message = fmt::format("{}: vjp agrees with {} to {:.2g} in {} trials", forward_.name(), derivative,
                                    report_.max_relative_error, options_.trials);
    return report_;
  }

 private:
  Matrix draw(std::string_view what, std::size_t trial, std::size_t attempt, std::size_t cols) const {
    Matrix row(1, cols);
    stream_.child(what, trial).fill_normal(attempt, row);
    return row;
  }

  Trial draw_trial(std::size_t trial, std::size_t attempt) const {
    Trial drawn{draw("x", trial, attempt, forward_.input_dim()), draw("u", trial, attempt, forward_.input_dim()),
                draw("v", trial, attempt, forward_.output_dim())};
    for (double& value : drawn.x.values()) value *= options_.point_scale;
    const double length = norm(drawn.u.values());
    for (double& value : drawn.u.values()) value /= length;
    return drawn;
  }

  void note(double error, const std::string& where) {
    report_.max_relative_error = std::max(report_.max_relative_error, error);
    if (!(error <= options_.tolerance) && first_failure_.empty())
      first_failure_ = fmt::format("{}: {}: relative error {:.3g} is above the tolerance {:.3g}", forward_.name(),
                                   where, error, options_.tolerance);
  }

  void check_trial(std::size_t trial) {
    for (std::size_t attempt = 0; attempt <= kMaxRedraws; ++attempt) {
      const Trial drawn = draw_trial(trial, attempt);
      const auto slope = forward_.is_affine() ? linear_slope(drawn) : difference_slope(drawn, attempt);
      if (!slope) {
        ++report_.redrawn;
        continue;
      }
      Matrix pulled(1, forward_.input_dim());
      forward_.vjp(drawn.x, drawn.v, pulled);
      const double pulled_norm = norm(pulled.values());
      // ‖u‖ = 1.
      const double scale = std::max(slope->norm * norm(drawn.v.values()), pulled_norm);
      if (scale != 0.0) any_slope_ = true;
      const double pulled_along_u = dot(drawn.u.values(), pulled.values());
      note(relative(std::abs(slope->along_v - pulled_along_u), scale),
           fmt::format("trial {}: ⟨∂A u, v⟩ = {:.17g} but ⟨u, vjp(v)⟩ = {:.17g}", trial, slope->along_v,
                       pulled_along_u));
      return;
    }
    note(kInfinity, fmt::format("trial {}: difference quotients of A do not converge at any of {} points", trial,
                                kMaxRedraws + 1));
  }

  std::optional<Directional> linear_slope(const Trial& trial) const {
    Matrix image(1, forward_.output_dim());
    forward_.apply(trial.u, image);
    for (std::size_t i = 0; i < bias_.size(); ++i) image(0, i) -= bias_[i];
    return Directional{dot(image.values(), trial.v.values()), norm(image.values())};
  }

  /// Absent where a kink is near.
  std::optional<Directional> difference_slope(const Trial& trial, std::size_t attempt) const {
    const double widest =
        options_.finite_difference_step * options_.point_scale * std::ldexp(1.0, -static_cast<int>(attempt));
    Matrix points(2 * kNumSteps, forward_.input_dim());
    for (std::size_t k = 0; k < kNumSteps; ++k)
      for (std::size_t j = 0; j < points.cols(); ++j) {
        const double shift = std::ldexp(widest, -static_cast<int>(k)) * trial.u(0, j);
        points(2 * k, j) = trial.x(0, j) + shift;
        points(2 * k + 1, j) = trial.x(0, j) - shift;
      }
    Matrix images(2 * kNumSteps, forward_.output_dim());
    forward_.apply(points, images);
    std::array<double, kNumSteps> quotients{};
    Matrix finest(1, images.cols());
    for (std::size_t k = 0; k < kNumSteps; ++k) {
      const double step = 2.0 * std::ldexp(widest, -static_cast<int>(k));
      for (std::size_t i = 0; i < images.cols(); ++i) finest(0, i) = (images(2 * k, i) - images(2 * k + 1, i)) / step;
      quotients[k] = dot(finest.values(), trial.v.values());
    }
    const double slope_norm = norm(finest.values());
    return extrapolate(quotients, slope_norm, slope_norm * norm(trial.v.values()));
  }

  /// Richardson: each sweep removes one even power of the step. The last correction bounds the error that is left.
  std::optional<Directional> extrapolate(std::array<double, kNumSteps> quotients, double slope_norm,
                                         double scale) const {
    double before = quotients.back();
    double power = 1.0;
    for (std::size_t sweep = 1; sweep < kNumSteps; ++sweep) {
      power *= 4.0;
      before = quotients.back();
      for (std::size_t k = kNumSteps - 1; k >= sweep; --k)
        quotients[k] += (quotients[k] - quotients[k - 1]) / (power - 1.0);
    }
    const double correction = std::abs(quotients.back() - before);
    // A tenth of the tolerance is left to the extrapolation, the rest to the vjp. What is not finite is a failure to be
    // noted, not a kink.
    if (std::isfinite(scale) && !(correction <= 0.1 * options_.tolerance * scale)) return std::nullopt;
    return Directional{quotients.back(), slope_norm};
  }

  /// A matrix whose rows lie `kGap` numbers apart, with NaN between them, so that a stride that is ignored shows.
  static Matrix apart(const Matrix& dense) {
    Matrix spread(dense.rows(), dense.cols() + kGap, std::numeric_limits<double>::quiet_NaN());
    for (std::size_t b = 0; b < dense.rows(); ++b) std::ranges::copy(dense.row(b), spread.row(b).begin());
    return spread;
  }
  static BatchView without_gap(Matrix& spread) {
    return {spread.data(), spread.rows(), spread.cols() - kGap, spread.cols()};
  }

  void check_batch() {
    const std::size_t batch = options_.trials;
    Matrix x(batch, forward_.input_dim());
    Matrix v(batch, forward_.output_dim());
    for (std::size_t b = 0; b < batch; ++b) {
      const Trial drawn = draw_trial(b, 0);
      std::ranges::copy(drawn.x.values(), x.row(b).begin());
      std::ranges::copy(drawn.v.values(), v.row(b).begin());
    }
    Matrix spread_x = apart(x);
    Matrix spread_v = apart(v);
    Matrix images = apart(Matrix(batch, forward_.output_dim()));
    Matrix pulled = apart(Matrix(batch, forward_.input_dim()));
    forward_.apply(without_gap(spread_x), without_gap(images));
    forward_.vjp(without_gap(spread_x), without_gap(spread_v), without_gap(pulled));
    for (std::size_t b = 0; b < batch; ++b) {
      Matrix image(1, forward_.output_dim());
      Matrix gradient(1, forward_.input_dim());
      const ConstBatchView point = x.view().rows_from(b, 1);
      forward_.apply(point, image);
      forward_.vjp(point, v.view().rows_from(b, 1), gradient);
      note(difference(images.row(b).first(image.cols()), image.values()),
           fmt::format("row {} of a batch of {} differs from apply on that row alone", b, batch));
      note(difference(pulled.row(b).first(gradient.cols()), gradient.values()),
           fmt::format("row {} of a batch of {} differs from vjp on that row alone", b, batch));
    }
  }

  static double difference(std::span<const double> a, std::span<const double> b) {
    double squares = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
    return relative(std::sqrt(squares), norm(b));
  }

  static constexpr std::size_t kGap = 3;
  const ForwardOperator& forward_;
  AdjointCheckOptions options_;
  RandomStream stream_;
  std::vector<double> bias_;
  AdjointReport report_;
  std::string first_failure_;
  bool any_slope_ = false;
};

}  // namespace

AdjointReport check_adjoint(const ForwardOperator& forward, const AdjointCheckOptions& options) {
  require(options.trials > 0, "check_adjoint: trials", "0", "must be at least 1");
  require_positive("check_adjoint: tolerance", options.tolerance);
  require_positive("check_adjoint: point_scale", options.point_scale);
  require_positive("check_adjoint: finite_difference_step", options.finite_difference_step);
  return AdjointCheck(forward, options).run();
}

}  // namespace fslens
