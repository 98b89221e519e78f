#include "mixture_law.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const Rows> rows_of(const Matrix& m) { return {m.data(), static_cast<Eigen::Index>(m.rows()), static_cast<Eigen::Index>(m.cols())}; }

Matrix matrix_of(const Rows& rows) {
  Matrix out(static_cast<std::size_t>(rows.rows()), static_cast<std::size_t>(rows.cols()));
  Eigen::Map<Rows>(out.data(), rows.rows(), rows.cols()) = rows;
  return out;
}

/// log √det(2π C)
double log_normaliser(const Eigen::LLT<Eigen::MatrixXd>& factor) {
  const auto d = factor.matrixLLT().rows();
  return factor.matrixLLT().diagonal().array().log().sum() + 0.5 * static_cast<double>(d) * std::log(2.0 * std::numbers::pi);
}

/// One group under the measurement; its weights are still logarithms of w_i N(y; A c_i + b, S).
GaussianComponents conditioned(const GaussianComponents& prior, const Likelihood& likelihood) {
  const ForwardOperator& forward = likelihood.forward();
  const Eigen::MatrixXd a = rows_of(forward.linear_part()), c = rows_of(prior.covariance);
  const Eigen::MatrixXd noise = rows_of(likelihood.noise().covariance());
  const Eigen::LLT<Eigen::MatrixXd> s(a * c * a.transpose() + noise);
  const Eigen::MatrixXd gain = s.solve(a * c).transpose();
  const std::vector<double> bias = forward.bias();
  Eigen::RowVectorXd target(a.rows());
  for (Eigen::Index k = 0; k < a.rows(); ++k) target[k] = likelihood.y()[static_cast<std::size_t>(k)] - bias[static_cast<std::size_t>(k)];
  const Rows residual = (-(rows_of(prior.centres) * a.transpose())).rowwise() + target;
  const Eigen::VectorXd squares = s.matrixL().solve(residual.transpose()).colwise().squaredNorm();
  GaussianComponents out{prior.weights, matrix_of(rows_of(prior.centres) + residual * gain.transpose()), {}};
  const Eigen::MatrixXd left = c - gain * a * c;
  out.covariance = matrix_of(0.5 * (left + left.transpose()));
  for (std::size_t i = 0; i < out.weights.size(); ++i)
    out.weights[i] = std::log(prior.weights[i]) - 0.5 * squares[static_cast<Eigen::Index>(i)] - log_normaliser(s);
  return out;
}

/// log w_i − log √det(2π C), and the centres whitened: L⁻¹ c_i with C = L Lᵀ.
struct Whitened {
  Eigen::LLT<Eigen::MatrixXd> factor;
  Rows centres;
  std::vector<double> log_scales;

  explicit Whitened(const GaussianComponents& some) : factor(Eigen::MatrixXd(rows_of(some.covariance))) {
    require(factor.info() == Eigen::Success, "covariance", "singular", "must be positive definite");
    centres = factor.matrixL().solve(Eigen::MatrixXd(rows_of(some.centres).transpose())).transpose();
    const double normaliser = log_normaliser(factor);
    for (const double weight : some.weights) log_scales.push_back(std::log(weight) - normaliser);
  }
};

}  // namespace

ConditionedLaw condition(std::span<const GaussianComponents> prior, const Likelihood& likelihood) {
  require(likelihood.forward().is_affine(), "operator", likelihood.forward().name(), "must be affine for a posterior in closed form");
  ConditionedLaw out;
  double best = -std::numeric_limits<double>::infinity(), sum = 0.0;
  for (const GaussianComponents& some : prior) {
    out.law.push_back(conditioned(some, likelihood));
    for (const double log_weight : out.law.back().weights) best = std::max(best, log_weight);
  }
  require(std::isfinite(best), "y", fmt::format("largest log-evidence of a component {}", best), "must be possible under at least one component");
  for (const GaussianComponents& some : out.law)
    for (const double log_weight : some.weights) sum += std::exp(log_weight - best);
  out.log_evidence = best + std::log(sum);
  for (GaussianComponents& some : out.law)
    for (double& weight : some.weights) weight = std::exp(weight - out.log_evidence);
  return out;
}

GaussianComponents without_copies(const GaussianComponents& components) {
  GaussianComponents out{{}, {}, components.covariance};
  std::vector<double> centres;
  for (std::size_t i = 0; i < components.weights.size(); ++i) {
    const auto centre = components.centres.row(i);
    if (i > 0 && std::ranges::equal(centre, components.centres.row(i - 1))) {
      out.weights.back() += components.weights[i];
      continue;
    }
    out.weights.push_back(components.weights[i]);
    centres.insert(centres.end(), centre.begin(), centre.end());
  }
  out.centres = Matrix(out.weights.size(), components.centres.cols(), std::move(centres));
  return out;
}

std::vector<GaussianComponents> noised(std::span<const GaussianComponents> law, const NoiseSchedule& schedule, double t) {
  const double a = schedule.a(t), s2 = schedule.s2(t), shift = schedule.shift(t);
  std::vector<GaussianComponents> out(law.begin(), law.end());
  for (GaussianComponents& some : out) {
    const std::size_t d = some.centres.cols();
    if (some.covariance.empty()) some.covariance = Matrix(d, d);
    for (double& value : some.centres.values()) value = a * value + shift;
    for (double& value : some.covariance.values()) value *= a * a;
    for (std::size_t j = 0; j < d; ++j) some.covariance(j, j) += s2;
  }
  return out;
}

Matrix score_of(std::span<const GaussianComponents> law, ConstBatchView x) {
  constexpr double kNegligible = 40.0;  // e^-40 of the largest term
  const std::vector<Whitened> groups(law.begin(), law.end());
  const auto d = static_cast<Eigen::Index>(x.cols());
  Matrix out(x.rows(), x.cols());
  parallel_for(x.rows(), [&](std::size_t b) {
    const Eigen::VectorXd point = Eigen::Map<const Eigen::VectorXd>(x.row(b).data(), d);
    double best = -std::numeric_limits<double>::infinity(), sum = 0.0;
    Eigen::VectorXd total = Eigen::VectorXd::Zero(d);
    for (const Whitened& group : groups) {
      const Eigen::VectorXd at = group.factor.matrixL().solve(point);
      std::vector<double> exponents(group.log_scales.size());
      double here = -std::numeric_limits<double>::infinity();
      for (std::size_t i = 0; i < exponents.size(); ++i) {
        double square = 0.0;
        for (Eigen::Index k = 0; k < d; ++k) square += std::pow(group.centres(static_cast<Eigen::Index>(i), k) - at[k], 2);
        exponents[i] = group.log_scales[i] - 0.5 * square;
        here = std::max(here, exponents[i]);
      }
      if (!std::isfinite(here)) continue;  // a group that y has left no weight
      if (here > best) {
        const double down = std::exp(best - here);
        sum *= down, total *= down, best = here;
      }
      Eigen::VectorXd along = Eigen::VectorXd::Zero(d);  // Σ w (L⁻¹ c − L⁻¹ x)
      for (std::size_t i = 0; i < exponents.size(); ++i) {
        if (exponents[i] < best - kNegligible) continue;
        const double weight = std::exp(exponents[i] - best);
        sum += weight;
        for (Eigen::Index k = 0; k < d; ++k) along[k] += weight * (group.centres(static_cast<Eigen::Index>(i), k) - at[k]);
      }
      total += group.factor.matrixL().transpose().solve(along);
    }
    for (Eigen::Index k = 0; k < d; ++k) out(b, static_cast<std::size_t>(k)) = total[k] / sum;
  });
  return out;
}

Moments moments_of(std::span<const GaussianComponents> law) {
  const std::size_t d = law.front().centres.cols();
  Moments out{std::vector<double>(d, 0.0), Matrix(d, d)};
  for (const GaussianComponents& some : law)
    for (std::size_t i = 0; i < some.weights.size(); ++i)
      for (std::size_t j = 0; j < d; ++j) out.mean[j] += some.weights[i] * some.centres(i, j);
  for (const GaussianComponents& some : law)
    for (std::size_t i = 0; i < some.weights.size(); ++i)
      for (std::size_t j = 0; j < d; ++j)
        for (std::size_t k = 0; k < d; ++k) {
          const double within = some.covariance.empty() ? 0.0 : some.covariance(j, k);
          out.covariance(j, k) += some.weights[i] * ((some.centres(i, j) - out.mean[j]) * (some.centres(i, k) - out.mean[k]) + within);
        }
  return out;
}

}  // namespace fslens
