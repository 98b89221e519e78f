#include "fslens/diagnosis/path_kl.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "fslens/samplers/integrator.hpp"

namespace fslens {
namespace {

constexpr std::size_t kDraws = 512;
constexpr double kCheapWork = 1e9;          // draws × components × dimension over all steps
constexpr std::size_t kFewestSteps = 64;

/// All steps where that is cheap; else evenly spaced ones, the first, the last and those that start at a recorded time.
std::vector<std::size_t> steps_looked_at(const Lens& lens, std::size_t num_steps, const std::vector<std::size_t>& recorded) {
  const double work = static_cast<double>(kDraws) * static_cast<double>(lens.num_components()) * static_cast<double>(lens.dim());
  const auto affordable = static_cast<std::size_t>(kCheapWork / work);
  const std::size_t count = std::min(num_steps, std::max(kFewestSteps, affordable));
  std::set<std::size_t> steps;
  for (std::size_t j = 0; j < count; ++j) steps.insert(count == 1 ? 0 : j * (num_steps - 1) / (count - 1));
  for (const std::size_t index : recorded) steps.insert(std::min(index, num_steps - 1));
  return {steps.begin(), steps.end()};
}

/// KL(p_T(·|y) ‖ N(b, s² I)) of a Gaussian with the moments of p_T.
double initialisation_kl(const Lens& lens, double t) {
  const Moments moments = lens.moments(Measure::posterior, t);
  const double s2 = lens.schedule().s2(t), shift = lens.schedule().shift(t);
  const auto d = static_cast<Eigen::Index>(lens.dim());
  const Eigen::Map<const Eigen::MatrixXd> covariance(moments.covariance.data(), d, d);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance, Eigen::EigenvaluesOnly);
  double kl = 0.0;
  for (std::size_t j = 0; j < lens.dim(); ++j) {
    const double excess = std::max(0.0, solver.eigenvalues()[static_cast<Eigen::Index>(j)] / s2 - 1.0);
    const double z2 = (moments.mean[j] - shift) * (moments.mean[j] - shift) / s2;
    kl += 0.5 * (excess - std::log1p(excess) + z2);
  }
  return kl;
}

/// States that stand for p_t(x | y): draws of equal weight, or, on the line, the points of a trapezoid rule. What an approximation does
/// wrong it often does between modes, where the exact path seldom is: a few hundred draws would miss it, and their own standard error
/// with it.
struct ExactStates {
  Matrix x;
  std::vector<double> weight;  ///< empty for draws
};

ExactStates exact_states(const Lens& lens, double t, const RandomStream& stream) {
  if (lens.dim() > 1) return {lens.sample(Measure::posterior, kDraws, t, stream).x, {}};
  constexpr std::size_t kRangeDraws = 4096;
  constexpr double kBeyondDraws = 7.0, kPointsPerS = 12.0;
  const double s = lens.schedule().s(t);
  const Matrix draws = lens.sample(Measure::posterior, kRangeDraws, t, stream).x;
  const auto [low, high] = std::ranges::minmax(draws.values());
  const double begin = low - kBeyondDraws * s, spacing = s / kPointsPerS;
  Matrix x(static_cast<std::size_t>(std::ceil((high + kBeyondDraws * s - begin) / spacing)) + 1, 1);
  for (std::size_t j = 0; j < x.rows(); ++j) x(j, 0) = begin + spacing * static_cast<double>(j);
  std::vector<double> weight = lens.fields(x, t).log_posterior_density;
  for (double& w : weight) w = std::exp(w) * spacing;
  return {std::move(x), std::move(weight)};
}

double expectation(const std::vector<double>& value, const std::vector<double>& weight) {
  double sum = 0.0;
  for (std::size_t b = 0; b < value.size(); ++b) sum += value[b] * (weight.empty() ? 1.0 / static_cast<double>(value.size()) : weight[b]);
  return sum;
}

/// The exact backward transition from each state.
struct ExactStep {
  Matrix mean;               ///< [B, d]
  double variance = 0.0;     ///< v_b
  std::vector<double> tau;   ///< ΔSNR Tr C̃ [B]
};

ExactStep exact_step(const Lens& lens, const Matrix& x, double t, double u) {
  const LensFields fields = lens.fields(x, t);
  const NoiseSchedule& schedule = lens.schedule();
  ExactStep out{Matrix(x.rows(), x.cols()), 0.0, fields.posterior_denoiser_variance};
  out.variance = ddim_mean(schedule, fields.posterior_denoiser_mean, 1.0, x, t, u, out.mean);
  const double snr_gain = std::exp(schedule.log_snr(u)) * -std::expm1(schedule.log_snr(t) - schedule.log_snr(u));
  for (double& tau : out.tau) tau *= snr_gain;
  return out;
}

/// KL of each exact transition to N(mean_b, v I). [B]
std::vector<double> step_kl(const ExactStep& exact, const StepLaw& law) {
  const Matrix& mean = law.mean.front();
  const double d = static_cast<double>(mean.cols());
  const double rho = exact.variance / law.variance;
  std::vector<double> kl(mean.rows());
  for (std::size_t b = 0; b < mean.rows(); ++b) {
    double square = 0.0;
    for (std::size_t j = 0; j < mean.cols(); ++j) square += (mean(b, j) - exact.mean(b, j)) * (mean(b, j) - exact.mean(b, j));
    kl[b] = 0.5 * (d * (rho - 1.0 - std::log(rho)) + rho * exact.tau[b] - std::log1p(exact.tau[b]) + square / law.variance);
  }
  return kl;
}

/// The kernel's KL at the steps that were looked at. Empty: not a Gaussian with noise.
struct PathSamples {
  std::vector<std::vector<double>> kl;  ///< [steps][B] of draws that are the same at all steps; [steps][1] where it is an integral
};

/// Per-step KL of every distinct kernel among the contestants, in the order of `kernels`; a kernel without one stays empty.
std::vector<PathSamples> sample_paths(const Lens& lens, const std::vector<const PosteriorSampler*>& kernels, const std::vector<double>& grid,
                                      const std::vector<std::size_t>& steps, const RandomStream& stream, Observer& observer,
                                      double& largest_tau) {
  std::vector<PathSamples> out(kernels.size());
  std::vector<bool> gaussian(kernels.size(), true);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    report_progress(observer, "path KL", i, steps.size());
    const double t = grid[steps[i]], u = grid[steps[i] + 1];
    const auto [x, weight] = exact_states(lens, t, stream);
    const ExactStep exact = exact_step(lens, x, t, u);
    largest_tau = std::max(largest_tau, expectation(exact.tau, weight));
    for (std::size_t n = 0; n < kernels.size(); ++n) {
      if (!gaussian[n]) continue;
      // One state tells whether the law is worth computing at all of them.
      const std::optional<StepLaw> first = i == 0 ? kernels[n]->step_law(x.view().rows_from(0, 1), t, u) : std::nullopt;
      if (i == 0 && (!first || first->mean.size() != 1 || first->variance == 0.0)) {
        gaussian[n] = false;
        continue;
      }
      std::vector<double> kl = step_kl(exact, *kernels[n]->step_law(x, t, u));
      if (!weight.empty()) kl = {expectation(kl, weight)};
      out[n].kl.push_back(std::move(kl));
    }
  }
  report_progress(observer, "path KL", steps.size(), steps.size());
  return out;
}

/// What accumulates along the grid, from values at some of its steps.
struct Accumulated {
  std::vector<double> step, total, standard_error;
};

Accumulated accumulate(const PathSamples& samples, const std::vector<std::size_t>& steps, double start) {
  Accumulated out{{}, {start}, {0.0}};
  const std::size_t draws = samples.kl.front().size();
  std::vector<double> sum(draws, 0.0);
  std::size_t after = 0;  // the first step looked at that is not before k
  for (std::size_t k = 0; k <= steps.back(); ++k) {
    if (steps[after] < k) ++after;
    const std::size_t before = steps[after] == k ? after : after - 1;
    const double share = before == after ? 0.0 : static_cast<double>(k - steps[before]) / static_cast<double>(steps[after] - steps[before]);
    double step = 0.0, total = 0.0, square = 0.0;
    for (std::size_t b = 0; b < draws; ++b) {
      const double value = (1.0 - share) * samples.kl[before][b] + share * samples.kl[after][b];
      sum[b] += value;
      step += value / static_cast<double>(draws);
      total += sum[b] / static_cast<double>(draws);
    }
    for (std::size_t b = 0; b < draws; ++b) square += (sum[b] - total) * (sum[b] - total);
    out.step.push_back(step);
    out.total.push_back(start + total);
    out.standard_error.push_back(draws > 1 ? std::sqrt(square / static_cast<double>(draws * (draws - 1))) : 0.0);
  }
  return out;
}

}  // namespace

std::vector<std::optional<PathKl>> path_kl(const Lens& lens, const std::vector<PathContestant>& contestants, const std::vector<double>& grid,
                                           const std::vector<std::size_t>& recorded, const RandomStream& stream, Observer& observer) {
  require(grid.size() >= 2, "grid", std::to_string(grid.size()) + " times", "must hold a step");
  std::vector<const PosteriorSampler*> kernels;
  for (const PathContestant& contestant : contestants)
    for (const PosteriorSampler* kernel : {contestant.sampler, contestant.exact_score})
      if (kernel != nullptr && std::ranges::find(kernels, kernel) == kernels.end()) kernels.push_back(kernel);
  std::vector<std::optional<PathKl>> out(contestants.size());
  if (kernels.empty()) return out;
  const std::vector<std::size_t> steps = steps_looked_at(lens, grid.size() - 1, recorded);
  double largest_tau = 0.0;
  const std::vector<PathSamples> samples = sample_paths(lens, kernels, grid, steps, stream, observer, largest_tau);
  const double start = initialisation_kl(lens, grid.front());
  const auto samples_of = [&](const PosteriorSampler* kernel) -> const PathSamples& {
    return samples[static_cast<std::size_t>(std::ranges::find(kernels, kernel) - kernels.begin())];
  };
  for (std::size_t c = 0; c < contestants.size(); ++c) {
    if (contestants[c].sampler == nullptr || samples_of(contestants[c].sampler).kl.empty()) continue;
    Accumulated own = accumulate(samples_of(contestants[c].sampler), steps, start);
    PathKl& path = out[c].emplace();
    path.initialisation = start;
    path.largest_tau = largest_tau;
    path.step = std::move(own.step);
    path.total = std::move(own.total);
    path.standard_error = std::move(own.standard_error);
    if (contestants[c].exact_score == nullptr || samples_of(contestants[c].exact_score).kl.empty()) continue;
    path.discretisation = accumulate(samples_of(contestants[c].exact_score), steps, 0.0).total;
    for (std::size_t k = 0; k < path.total.size(); ++k) path.likelihood.push_back(path.total[k] - start - path.discretisation[k]);
  }
  return out;
}

std::optional<TimeInterval> middle_half(const std::vector<double>& accumulated, const std::vector<double>& t) {
  if (accumulated.empty() || !(accumulated.back() > 0.0) || !std::isfinite(accumulated.back())) return std::nullopt;
  const auto crossing = [&](double share) {
    const double level = share * accumulated.back();
    for (std::size_t k = 0; k < t.size(); ++k) {
      if (accumulated[k] < level) continue;
      if (k == 0) return t[0];
      return t[k - 1] + (t[k] - t[k - 1]) * (level - accumulated[k - 1]) / (accumulated[k] - accumulated[k - 1]);
    }
    return t.back();
  };
  return TimeInterval{crossing(0.25), crossing(0.75)};
}

}  // namespace fslens
