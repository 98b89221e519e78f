#include "fslens/diagnosis/convergence.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "fslens/core/error.hpp"
#include "lens_errors.hpp"

namespace fslens {
namespace {

/// Errors within this factor of what the exact side is off by measure the exact side.
constexpr double kAboveFloor = 10.0;
constexpr std::size_t kFewestFittedLevels = 4;

void check(const ConvergenceOptions& options, const NoiseSchedule& schedule) {
  if (options.atoms.size() < 2) throw UsageError(fmt::format("atoms: {} given; a rate needs at least 2 sizes", options.atoms.size()));
  for (std::size_t j = 0; j < options.atoms.size(); ++j) {
    if (options.atoms[j] < 2) throw UsageError(fmt::format("atoms {}: must be at least 2", options.atoms[j]));
    if (j > 0 && options.atoms[j] <= options.atoms[j - 1])
      throw UsageError(fmt::format("atoms {}: must be larger than the one before it, {}", options.atoms[j], options.atoms[j - 1]));
  }
  if (options.repetitions == 1) throw UsageError("repeats 1: must be at least 2: intervals come from the spread of repetitions");
  for (const double t : options.times)
    if (!(t > 0.0 && t <= schedule.t_max())) throw UsageError(fmt::format("times {}: must lie in (0, {}]", t, schedule.t_max()));
}

std::size_t repetitions_at(std::size_t atoms, std::size_t wanted) {
  constexpr std::size_t kMost = 32, kFewest = 5, kAtomsInAll = 51200;
  return wanted > 0 ? wanted : std::clamp(kAtomsInAll / atoms, kFewest, kMost);
}

/// The curves of one lens, still without a fit.
std::vector<ErrorCurve> empty_curves(const std::string& lens, const LensErrors& errors) {
  std::vector<ErrorCurve> curves;
  for (const ErrorStatistic& statistic : errors.statistics())
    curves.push_back({lens, statistic.name, statistic.t, {}, {}, statistic.floor, {}, 0.0, 0.0, ""});
  return curves;
}

bool can_be_fitted(double error) { return std::isfinite(error) && error > 0.0; }

/// Errors that a power law can describe: defined, not at the exact side's own error, and with room to grow.
std::string reason_to_leave_out(const ErrorLevel& level, double mean, const ErrorStatistic& statistic) {
  if (!std::ranges::all_of(level.errors, can_be_fitted)) return "undefined or 0 in a repetition";
  if (statistic.saturation && mean > *statistic.saturation) return fmt::format("saturated (above {})", *statistic.saturation);
  if (mean < kAboveFloor * statistic.floor) return fmt::format("near the error of the exact side ({:.1e})", statistic.floor);
  return "";
}

void fit_rate(ErrorCurve& curve, const ErrorStatistic& statistic) {
  std::vector<ErrorLevel> candidates;
  std::vector<std::string> notes;
  for (const ErrorLevel& level : curve.levels) {
    const double sum = std::accumulate(level.errors.begin(), level.errors.end(), 0.0);
    curve.means.push_back(sum / static_cast<double>(level.errors.size()));
    const std::string reason = reason_to_leave_out(level, curve.means.back(), statistic);
    if (reason.empty()) candidates.push_back(level);
    else notes.push_back(fmt::format("N = {:.0f} {}", level.size, reason));
  }
  if (candidates.size() < 2) {
    notes.push_back("no rate: fewer than 2 sizes are left");
  } else {
    curve.fit = fit_power_law_tail(candidates, kFewestFittedLevels);
    curve.fitted_from = candidates[curve.fit->first].size;
    curve.fitted_to = candidates[curve.fit->last].size;
    if (curve.fit->first > 0) notes.push_back(fmt::format("bends below N = {:.0f}", curve.fitted_from));
    if (curve.fit->bends()) notes.push_back("bends over the sizes that were fitted");
  }
  curve.note = fmt::format("{}", fmt::join(notes, "; "));
}

/// factor^(1/r) and its interval by the delta method on D / r: D and r are from errors of lenses of the same atoms, but r is known from
/// all sizes, so that their dependence is left out.
void add_atoms_factor(const Estimate& log_factor, const Estimate& rate, ErrorRatio& ratio) {
  if (!rate.interval().contains(0.0) && rate.value > 0.0) {
    const double value = log_factor.value / rate.value;
    const double error = std::hypot(log_factor.standard_error, value * rate.standard_error) / rate.value;
    const ConfidenceInterval interval =
        student_interval(value, error, std::min(log_factor.degrees_of_freedom, rate.degrees_of_freedom));
    ratio.atoms_factor = std::exp(value);
    ratio.atoms_interval = ConfidenceInterval{std::exp(interval.low), std::exp(interval.high)};
  }
}

bool comparable(const ErrorLevel& first, const ErrorLevel& other) {
  return std::ranges::all_of(first.errors, can_be_fitted) && std::ranges::all_of(other.errors, can_be_fitted);
}

ErrorRatio error_ratio(double atoms, const Estimate& log_factor, const ErrorCurve& first) {
  const ConfidenceInterval interval = log_factor.interval();
  ErrorRatio ratio{atoms, std::exp(log_factor.value), {std::exp(interval.low), std::exp(interval.high)}, {}, {}};
  if (first.fit) add_atoms_factor(log_factor, first.fit->rate, ratio);
  return ratio;
}

/// The mean of independent estimates, every one counting alike; its degrees of freedom by Welch and Satterthwaite.
Estimate mean_of(const std::vector<Estimate>& estimates) {
  const double count = static_cast<double>(estimates.size());
  Estimate out;
  double variance = 0.0, below = 0.0;
  for (const Estimate& estimate : estimates) {
    const double part = estimate.standard_error * estimate.standard_error / (count * count);
    out.value += estimate.value / count;
    variance += part;
    below += part * part / estimate.degrees_of_freedom;
  }
  out.standard_error = std::sqrt(variance);
  out.degrees_of_freedom = below > 0.0 ? variance * variance / below : estimates.front().degrees_of_freedom;
  return out;
}

LensComparison compare(const ErrorCurve& first, const ErrorCurve& other) {
  LensComparison out{other.lens, other.statistic, other.t, {}, {}, {}};
  std::vector<Estimate> log_factors;
  std::vector<ErrorLevel> relative;  // other error / first error
  for (std::size_t j = 0; j < first.levels.size(); ++j) {
    if (!comparable(first.levels[j], other.levels[j])) continue;
    log_factors.push_back(log_error_ratio(first.levels[j].errors, other.levels[j].errors));
    out.ratios.push_back(error_ratio(first.levels[j].size, log_factors.back(), first));
    relative.push_back(other.levels[j]);
    for (std::size_t r = 0; r < relative.back().errors.size(); ++r) relative.back().errors[r] /= first.levels[j].errors[r];
  }
  if (!log_factors.empty()) out.overall = error_ratio(0.0, mean_of(log_factors), first);
  if (relative.size() >= 2) out.rate_gain = fit_power_law(relative).rate;
  return out;
}

/// Atoms drawn from the prior, with the component of each.
struct DrawnAtoms {
  std::shared_ptr<const EmpiricalPrior> prior;
  std::vector<std::size_t> component;
};

DrawnAtoms draw_atoms(const GaussianMixture& prior, std::size_t count, const RandomStream& stream, std::size_t repetition) {
  DrawnAtoms out;
  const Matrix atoms = prior.sample(count, stream, repetition, out.component);
  out.prior = std::make_shared<EmpiricalPrior>(
      AtomTable(std::vector<double>(atoms.values().begin(), atoms.values().end()), count, prior.dim()));
  return out;
}

double effective_size(const std::vector<double>& weights) {
  double squares = 0.0;
  for (const double weight : weights) squares += weight * weight;
  return 1.0 / squares;
}

/// All repetitions at one size: curves[method][statistic] gets one level.
void measure_size(const AnalyticProblem& problem, const std::vector<LensMethod>& methods, const LensErrors& errors,
                  std::size_t size, std::size_t repetitions, Matrix& effective_sizes, std::size_t size_index,
                  std::vector<std::vector<ErrorCurve>>& curves, std::vector<AbsentStatistic>& absent, Observer& observer) {
  const RandomStream stream = RandomStream(problem.seed).child("atoms", size);
  for (auto& of_method : curves)
    for (ErrorCurve& curve : of_method) curve.levels.push_back({static_cast<double>(size), {}});
  const std::string stage = fmt::format("{} atoms", size);
  for (std::size_t r = 0; r < repetitions; ++r) {
    report_progress(observer, stage, r, repetitions);
    const DrawnAtoms atoms = draw_atoms(*problem.prior, size, stream, r);
    for (std::size_t m = 0; m < methods.size(); ++m) {
      std::vector<double> values(curves[m].size(), std::numeric_limits<double>::quiet_NaN());
      double effective = values.front();
      try {
        const AtomsLens lens = methods[m].make(atoms.prior, errors.exact());
        values = errors.of(lens, atoms.component);
        effective = effective_size(lens.weights);
      } catch (const UnresolvedLens& reason) {
        absent.push_back({fmt::format("{} lens, N = {}, repetition {}", methods[m].name, size, r + 1), reason.what()});
      }
      for (std::size_t k = 0; k < values.size(); ++k) curves[m][k].levels.back().errors.push_back(values[k]);
      effective_sizes(m, size_index) += effective / static_cast<double>(repetitions);
    }
  }
  report_progress(observer, stage, repetitions, repetitions);
}

}  // namespace

std::vector<double> default_convergence_times(const NoiseSchedule& schedule, double t_min, double t_max) {
  std::vector<double> times;
  const double lowest = schedule.log_snr(t_max), highest = schedule.log_snr(t_min);
  for (const double log_snr : {0.0, 2.5, 5.0}) {
    const double t = schedule.time_of_log_snr(std::clamp(log_snr, lowest, highest), t_min, t_max);
    if (times.empty() || t < times.back()) times.push_back(t);
  }
  return times;
}

Convergence measure_convergence(const AnalyticProblem& problem, const std::vector<LensMethod>& methods,
                                const ConvergenceOptions& options, Observer& observer) {
  const auto start = std::chrono::steady_clock::now();
  check(options, problem.schedule);
  require(!methods.empty(), "methods", "none", "must be at least one");
  Convergence out;
  out.times = options.times.empty() ? default_convergence_times(problem.schedule, problem.t_min, problem.t_max) : options.times;
  const LensErrors errors(problem, exact_posterior(problem, out.times), out.times);
  out.problem = problem.name;
  out.title = problem.title;
  out.prior_kind = problem.prior_kind;
  out.forward_operator = problem.likelihood->forward().name();
  out.dim = problem.prior->dim();
  out.num_modes = problem.prior->num_components();
  out.exact_method = errors.exact().method;
  out.log_evidence = errors.exact().lens->log_evidence();
  out.seed = problem.seed;
  out.atoms = options.atoms;
  out.absent = errors.absent();
  out.effective_sizes = Matrix(methods.size(), options.atoms.size());
  std::vector<std::vector<ErrorCurve>> curves;
  for (const LensMethod& method : methods) {
    out.lenses.push_back(method.name);
    curves.push_back(empty_curves(method.name, errors));
  }
  for (std::size_t j = 0; j < options.atoms.size(); ++j) {
    out.repetitions.push_back(repetitions_at(options.atoms[j], options.repetitions));
    measure_size(problem, methods, errors, options.atoms[j], out.repetitions[j], out.effective_sizes, j, curves, out.absent, observer);
  }
  for (auto& of_method : curves)
    for (std::size_t k = 0; k < of_method.size(); ++k) fit_rate(of_method[k], errors.statistics()[k]);
  for (std::size_t m = 0; m < methods.size(); ++m)
    for (std::size_t k = 0; k < curves[m].size(); ++k) {
      if (m > 0) out.comparisons.push_back(compare(curves[0][k], curves[m][k]));
      out.curves.push_back(curves[m][k]);
    }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace fslens
