#include "fslens/diagnosis/optimal_weight.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

/// Means over the draws of one measurement.
struct ScoreMoments {
  double gs = 0.0;  ///< E⟨g, s⟩
  double gg = 0.0;  ///< E‖g‖²
  double ss = 0.0;  ///< E‖s‖²
};

ScoreMoments score_moments(const Problem& problem, const Guidance& guidance, double t, std::size_t draws, const RandomStream& stream) {
  const Lens& lens = *problem.lens;
  const Matrix x = lens.sample(Measure::posterior, draws, t, stream).x;
  const LensFields exact = lens.fields(x, t);
  Matrix g(x.rows(), x.cols());
  guidance.score(*lens.denoiser(Measure::prior), *problem.likelihood, x, t, exact.denoiser_mean, g);
  ScoreMoments sum;
  const auto s = exact.likelihood_score.values();
  for (std::size_t k = 0; k < g.size(); ++k) {
    sum.gs += g.values()[k] * s[k];
    sum.gg += g.values()[k] * g.values()[k];
    sum.ss += s[k] * s[k];
  }
  const double n = static_cast<double>(draws);
  return {sum.gs / n, sum.gg / n, sum.ss / n};
}

/// Standard error of a ratio of means (Σ u)/(Σ v) whose terms leave the residuals u_y − ratio · v_y.
std::optional<double> ratio_error(const std::vector<double>& residuals, double sum_v) {
  const auto n = static_cast<double>(residuals.size());
  if (residuals.size() < 2) return std::nullopt;
  double square = 0.0;
  for (const double residual : residuals) square += residual * residual;  // they sum to 0
  return std::sqrt(square * n / (n - 1.0)) / sum_v;
}

OptimalWeight best_weight(double t, const std::vector<ScoreMoments>& measured, double negligible) {
  ScoreMoments sum;
  for (const ScoreMoments& m : measured) sum = {sum.gs + m.gs, sum.gg + m.gg, sum.ss + m.ss};
  const double count = static_cast<double>(measured.size());
  OptimalWeight out;
  out.t = t;
  out.exact_square = sum.ss / count;
  out.guidance_square = sum.gg / count;
  out.product = sum.gs / count;
  out.unit_error = (sum.gg - 2.0 * sum.gs + sum.ss) / count;
  // A tiny g may still need a weight, 1e4 say, and one that is all error the weight 0: only where both are rounding there is none.
  if (!(sum.gg > 0.0) || !(std::max(sum.gg, sum.ss) > negligible * count)) return out;
  const double weight = sum.gs / sum.gg;
  const double left = std::max(0.0, sum.ss - weight * sum.gs);  // Cauchy and Schwarz, but for rounding
  out.weight = weight;
  if (out.unit_error > negligible) out.removed = 1.0 - left / (out.unit_error * count);
  std::vector<double> of_weight, of_left;
  const double unrepairable = left / sum.ss;
  for (const ScoreMoments& m : measured) {
    of_weight.push_back(m.gs - weight * m.gg);
    // To first order the weight's own error plays no part: it is where the error is least.
    of_left.push_back(m.ss - 2.0 * weight * m.gs + weight * weight * m.gg - unrepairable * m.ss);
  }
  out.weight_error = ratio_error(of_weight, sum.gg);
  if (!(sum.ss > negligible * count)) return out;
  out.unrepairable = unrepairable;
  out.unrepairable_error = ratio_error(of_left, sum.ss);
  return out;
}

/// E‖s‖² and E‖g‖² below this are rounding beside the noise, whose score has E‖·‖² = d/s².
double negligible_square(const Problem& problem, double t) {
  constexpr double kNegligible = 1e-10;
  const double tolerance = problem.assignment.tolerance;
  const double dim = static_cast<double>(problem.lens->dim());
  return std::max(kNegligible, 100.0 * tolerance * tolerance) * dim / problem.lens->schedule().s2(t);
}

/// ∫ s² f dλ over the times, f their moments.
double integral(const NoiseSchedule& schedule, std::span<const OptimalWeight> moments, const std::function<double(const OptimalWeight&)>& f) {
  double sum = 0.0;
  for (std::size_t k = 0; k + 1 < moments.size(); ++k) {
    const OptimalWeight &here = moments[k], &next = moments[k + 1];
    sum += 0.5 * (schedule.s2(here.t) * f(here) + schedule.s2(next.t) * f(next)) * (schedule.log_snr(next.t) - schedule.log_snr(here.t));
  }
  return sum;
}

}  // namespace

double girsanov_kl(const NoiseSchedule& schedule, std::span<const OptimalWeight> moments, const std::function<double(double t)>& weight) {
  return 0.5 * integral(schedule, moments, [&](const OptimalWeight& at) {
    const double zeta = weight(at.t);
    return std::max(0.0, zeta * zeta * at.guidance_square - 2.0 * zeta * at.product + at.exact_square);
  });
}

double best_constant_weight(const NoiseSchedule& schedule, std::span<const OptimalWeight> moments) {
  const double square = integral(schedule, moments, [](const OptimalWeight& at) { return at.guidance_square; });
  return square > 0.0 ? integral(schedule, moments, [](const OptimalWeight& at) { return at.product; }) / square : 0.0;
}

SamplerSpec at_unit_weight(SamplerSpec spec) {
  const auto parameter = weight_parameter(spec.name);
  if (!parameter) throw UsageError(fmt::format("{} takes no weight schedule: it has no likelihood score that could be weighted", spec.name));
  spec.parameters[*parameter] = "1";
  spec.parameters.erase("schedule");
  spec.schedule.reset();
  return spec;
}

SamplerSpec with_schedule(const SamplerSpec& spec, const WeightSchedule& schedule, const std::string& name) {
  SamplerSpec out = at_unit_weight(spec);
  out.parameters["schedule"] = name;
  out.schedule = schedule;
  return out;
}

std::vector<OptimalWeight> optimal_weights(std::span<const Problem> problems, const SamplerSpec& spec, const OptimalWeightOptions& options,
                                           const RandomStream& stream, Observer& observer) {
  require(!problems.empty(), "problems", "none", "must hold at least one");
  require(options.num_times >= 2, "num_times", fmt::format("{}", options.num_times), "must be >= 2");
  require(options.num_draws >= 1, "num_draws", fmt::format("{}", options.num_draws), "must be >= 1");
  const Problem& first = problems.front();
  const std::vector<double> times = make_time_grid(first.lens->schedule(), {.steps = options.num_times - 1,
                                                                            .t_max = first.grid.front(),
                                                                            .t_min = first.grid.back(),
                                                                            .spacing = GridSpacing::log_snr});
  const SamplerSpec unit = at_unit_weight(spec);
  std::vector<std::unique_ptr<Guidance>> guidances;
  for (const Problem& problem : problems) {
    guidances.push_back(make_guidance(unit, problem.lens->denoiser(Measure::posterior)));
    guidances.back()->require_suitable(*problem.likelihood);
  }
  std::vector<OptimalWeight> out;
  for (const double t : times) {
    report_progress(observer, "optimal weight", out.size(), times.size());
    std::vector<ScoreMoments> measured(problems.size());
    parallel_for(problems.size(), [&](std::size_t y) {
      measured[y] = score_moments(problems[y], *guidances[y], t, options.num_draws, stream.child("measurement", y));
    });
    out.push_back(best_weight(t, measured, negligible_square(first, t)));
  }
  report_progress(observer, "optimal weight", times.size(), times.size());
  return out;
}

WeightSchedule tempered(const WeightSchedule& schedule) {
  WeightSchedule out = schedule;
  for (double& weight : out.weight) {
    if (!(weight > 0.0)) return {};
    weight = std::sqrt(weight);
  }
  return out;
}

WeightSchedule to_schedule(std::span<const OptimalWeight> weights) {
  WeightSchedule schedule;
  for (const OptimalWeight& weight : weights) {
    if (!weight.weight) continue;
    schedule.t.push_back(weight.t);
    schedule.weight.push_back(*weight.weight);
  }
  return schedule;
}

}  // namespace fslens
