#include "fslens/diagnosis/checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fslens/diagnosis/margins.hpp"
#include "fslens/metrics/effective_sample_size.hpp"
#include "fslens/metrics/intervals.hpp"

namespace fslens {
namespace {

struct Effect {
  double value = 0.0;
  double low = 0.0;
  double high = 0.0;
  double standard_error = 0.0;          ///< what the smallest visible effect follows from …
  std::optional<double> detectable{};  ///< … where it is not margin + (z + z₀.₉₅) standard errors
};

/// z of 95 %: how often the smallest visible effect is seen.
constexpr double kPowerZ = 1.6448536269514722;

Verdict judge(const Effect& effect, double margin) {
  if (!std::isfinite(effect.value)) return Verdict::inconclusive;
  if (effect.low > margin) return Verdict::fail;
  return effect.high <= margin ? Verdict::pass : Verdict::inconclusive;
}

Check start(const JudgingContext& context, const std::string& id) {
  Check check;
  check.id = id;
  check.margin = context.margins.at(id);
  return check;
}

Check not_run(const JudgingContext& context, const std::string& id, std::string why) {
  Check check = start(context, id);
  check.finding = std::move(why);
  return check;
}

void conclude(const JudgingContext& context, const Effect& effect, double direction, Check& check) {
  check.effect = effect.value;
  check.low = effect.low;
  check.high = effect.high;
  check.verdict = judge(effect, check.margin);
  check.detectable = effect.detectable ? effect.detectable : check.margin + (context.z + kPowerZ) * effect.standard_error;
  if (check.verdict == Verdict::fail)
    check.advice = advise(check.id, context.traits, direction, check.worst_t.value_or(0.0));
  if (check.verdict == Verdict::inconclusive)
    check.advice = fmt::format(
        "The interval [{:.3g}, {:.3g}] straddles the margin {:.3g}: use more particles (it shrinks with their square root).",
        effect.low, effect.high, check.margin);
}

/// `kPassZ`: 99 %, one-sided, for the upper ends. That every effect is within its margin is claimed if each is, tested on its
/// own: an intersection–union test, whose error is at most that of one test (Berger 1982). Only failing needs the
/// simultaneous z.
constexpr double kPassZ = 2.3263478740408408;

Effect interval_around(const JudgingContext& context, double value, double standard_error) {
  return {value, std::max(0.0, value - context.z * standard_error), value + kPassZ * standard_error, standard_error};
}

/// |log ratio| at one time, told in units in which the margin is the same for the total and for single directions.
struct SpreadEffect {
  Effect effect;
  double ratio = 1.0;
  double t = 0.0;
  bool total = true;
};

/// |log ratio| beyond what a law as skewed as that of exact draws explains, at the level of z; 0 where it explains all of it.
double beyond_exact_draws(double ratio, const VarianceLaw& law, double z) {
  const double p = normal_cdf(ratio < 1.0 ? -z : z);
  const double by_chance = 1.0 + law.standard_error * skewed_quantile(p, law.skewness);
  if (by_chance <= 0.0) return 0.0;
  return std::max(0.0, ratio < 1.0 ? std::log(by_chance / ratio) : std::log(ratio / by_chance));
}

std::vector<SpreadEffect> spread_effects(const JudgingContext& context, const std::vector<TimeMeasurement>& at) {
  constexpr double kDirectionAllowance = 2.0;
  std::vector<SpreadEffect> effects;
  const auto add = [&](const SpreadRatio& ratio, const VarianceLaw& law, double t, bool total) {
    const double allowance = total ? 1.0 : kDirectionAllowance;
    // The sample's own error bar is too small where it misses rare modes: never below that of exact draws, which are skewed by them.
    const double se = std::max(ratio.standard_error / ratio.value, law.standard_error);
    Effect effect = interval_around(context, std::abs(std::log(ratio.value)) / allowance, se / allowance);
    effect.low = std::min(effect.low, beyond_exact_draws(ratio.value, law, context.z) / allowance);
    effects.push_back({effect, ratio.value, t, total});
  };
  for (std::size_t i = 0; i < at.size(); ++i) {
    const TimeReference& exact = context.reference.at(i);
    if (!at[i].spread) continue;
    add(*at[i].spread, exact.total_variance_law, exact.t, true);
    for (std::size_t j = 0; j < at[i].spread_along.size(); ++j)
      if (at[i].spread_along[j] && context.reference.lens().dim() > 1)
        add(*at[i].spread_along[j], exact.direction_variance_laws[j], exact.t, false);
  }
  return effects;
}

Check check_spread(const JudgingContext& context, const std::vector<TimeMeasurement>& at) {
  const std::vector<SpreadEffect> effects = spread_effects(context, at);
  if (effects.empty())
    return not_run(context, "spread", "The exact posterior is a point, or too few samples are finite: no ratio of variances.");
  Check check = start(context, "spread");
  const auto by_severity = [](const SpreadEffect& a, const SpreadEffect& b) {
    return std::pair(a.effect.low, a.effect.value) < std::pair(b.effect.low, b.effect.value);
  };
  const SpreadEffect& worst = *std::max_element(effects.begin(), effects.end(), by_severity);
  for (const SpreadEffect& effect : effects)
    if (effect.effect.low > check.margin && !check.first_t) check.first_t = effect.t;
  check.worst_t = worst.t;
  check.null = 0.0;
  std::size_t beyond = 0;
  for (const SpreadEffect& effect : effects) beyond += effect.total && effect.effect.low > check.margin ? 1 : 0;
  check.finding = fmt::format("variance {}{:.3g} times the exact one at t = {:.3g}{}", worst.total ? "" : "along a principal direction ",
                              worst.ratio, worst.t,
                              beyond > 1 ? fmt::format("; beyond the margin at {} of {} times", beyond, at.size()) : "");
  Effect effect = worst.effect;
  for (const SpreadEffect& other : effects) effect.high = std::max(effect.high, other.effect.high);
  conclude(context, effect, std::log(worst.ratio), check);
  return check;
}

Check check_mode_weights(const JudgingContext& context, const std::vector<TimeMeasurement>& at, const FinalMeasurement& final) {
  if (!final.mode_tv) return not_run(context, "mode-weights", "Too few finite samples.");
  const FinalReference& exact = context.reference.final();
  Check check = start(context, "mode-weights");
  const double se = std::max(final.mode_tv->standard_error, exact.mode_tv.sd);
  check.null = exact.mode_tv.mean;
  check.worst_t = context.reference.times().back();
  for (std::size_t i = 0; i < at.size() && !check.first_t; ++i) {
    if (!at[i].mode_tv || !context.reference.at(i).mode_tv) continue;
    const NullBand& null = *context.reference.at(i).mode_tv;
    const double error = std::max(at[i].mode_tv->standard_error, null.sd);
    if (at[i].mode_tv->value - null.mean - context.z * error > kModeDeparture * check.margin) check.first_t = at[i].t;
  }
  const Effect effect = {std::max(0.0, exact.mode_tv.effect(final.mode_tv->value)),
                         std::max(0.0, exact.mode_tv.effect(final.mode_tv->value) - context.z * se),
                         final.mode_tv->value + kPassZ * se, se};
  std::size_t worst = 0;
  double largest = -1.0;
  for (std::size_t k = 0; k < exact.mode_target.size(); ++k)
    if (const double error = std::abs(final.mode_weights->weights[k] - exact.mode_target[k]); error > largest) {
      largest = error;
      worst = k;
    }
  check.finding = fmt::format("total variation {:.3g} of the mode weights; mode '{}' has {:.3f}, exact {:.3f}{}",
                              final.mode_tv->value, context.reference.modes().labels[worst], final.mode_weights->weights[worst],
                              exact.mode_target[worst],
                              check.first_t ? fmt::format("; the weights leave their band at t = {:.3g}", *check.first_t) : "");
  conclude(context, effect, 0.0, check);
  return check;
}

/// So many of so many samples.
struct Share {
  std::size_t count = 0;
  std::size_t total = 0;
  double value() const { return static_cast<double>(count) / static_cast<double>(total); }
  /// Clopper and Pearson's limits, each missed with this probability at most.
  ConfidenceInterval limits(double missed) const { return clopper_pearson(count, total, 1.0 - 2.0 * missed); }
};

/// The share of samples beyond that of exact draws, which is an estimate too.
Effect excess_fraction(const JudgingContext& context, const Share& sampled, const Share& exact, double margin) {
  const double margin_rate = std::clamp(margin + exact.value(), 0.0, 1.0);
  const double n = static_cast<double>(sampled.total), m = static_cast<double>(exact.total);
  const double half = 0.5 * normal_cdf(-context.z);  // for each of the two
  return {std::max(0.0, sampled.value() - exact.value()), std::max(0.0, sampled.limits(half).low - exact.limits(half).high),
          std::max(0.0, sampled.limits(normal_cdf(-kPassZ)).high - exact.value()),
          std::sqrt(margin_rate * (1.0 - margin_rate) * (1.0 / n + 1.0 / m))};
}

Check check_prior_hallucination(const JudgingContext& context, const FinalMeasurement& final) {
  if (!final.mode_tv) return not_run(context, "prior-hallucination", "Too few finite samples.");
  const FinalReference& exact = context.reference.final();
  Check check = start(context, "prior-hallucination");
  const Share exact_modes{exact.in_excluded_modes, exact.num_null_draws}, exact_atoms{exact.at_excluded_atoms, exact.num_null_draws};
  const Effect modes = excess_fraction(context, {final.in_excluded_modes, final.num_particles}, exact_modes, check.margin);
  const Effect atoms = exact.atom_excluded.empty()
                           ? Effect{}
                           : excess_fraction(context, {final.at_excluded_atoms, final.num_particles}, exact_atoms, check.margin);
  const bool by_atoms = atoms.low > modes.low || (atoms.low == modes.low && atoms.value > modes.value);
  check.null = (by_atoms ? exact_atoms : exact_modes).value();
  check.worst_t = context.reference.times().back();
  const double percent = 100.0 / static_cast<double>(final.num_particles);
  check.finding = fmt::format("{:.2f} % of the samples in modes that the data exclude",
                              percent * static_cast<double>(final.in_excluded_modes));
  if (!exact.atom_excluded.empty())
    check.finding += fmt::format(", {:.2f} % at atoms outside the posterior's 99.9 % (exact draws: {:.2f} %)",
                                 percent * static_cast<double>(final.at_excluded_atoms), 100.0 * exact_atoms.value());
  Effect effect = by_atoms ? atoms : modes;
  effect.high = std::max(atoms.high, modes.high);
  conclude(context, effect, 1.0, check);
  return check;
}

Check check_fraction(const JudgingContext& context, const std::string& id, const FinalMeasurement& final, std::size_t count,
                     const Share& exact, const std::string& what) {
  if (final.num_particles == 0) return not_run(context, id, "No samples.");
  if (final.num_finite < 2 && id != "divergence") return not_run(context, id, "Too few finite samples.");
  Check check = start(context, id);
  check.null = exact.value();
  check.worst_t = context.reference.times().back();
  check.finding = fmt::format("{:.2f} % of the samples {} (exact draws: {:.2f} %)",
                              100.0 * static_cast<double>(count) / static_cast<double>(final.num_particles), what, 100.0 * exact.value());
  conclude(context, excess_fraction(context, {count, final.num_particles}, exact, check.margin), 1.0, check);
  return check;
}

/// Student's t quantile that belongs to the normal quantile z.
double student_z(double z, double degrees) { return -student_quantile(normal_cdf(-z), degrees); }

/// How much better stopping at t would have been than at the last time, less what exact draws show, in units of the
/// mean distance between exact draws. Groups are the same particles at both times, so their differences are paired.
Effect stopping_gain(const JudgingContext& context, const StopErrors& here, const StopErrors& end, const StopErrors& exact_here,
                     const StopErrors& exact_end) {
  const std::size_t groups = std::min({here.size(), end.size(), exact_here.size(), exact_end.size()});
  if (groups < 2) return {std::numeric_limits<double>::quiet_NaN(), 0.0, 0.0};
  const double scale = context.reference.final().mean_distance;
  double mean = 0.0, square = 0.0, own_mean = 0.0, own_square = 0.0;
  for (std::size_t g = 0; g < groups; ++g) {
    const double gain = (end[g] - here[g]) / scale, own = (exact_end[g] - exact_here[g]) / scale;
    mean += gain, square += gain * gain, own_mean += own, own_square += own * own;
  }
  const double n = static_cast<double>(groups);
  mean /= n, own_mean /= n;
  const double variance = (square / n - mean * mean + own_square / n - own_mean * own_mean) / (n - 1.0);
  const double error = std::sqrt(std::max(0.0, variance));
  const double gain = mean - std::max(0.0, own_mean);
  return {std::max(0.0, gain), std::max(0.0, gain - student_z(context.z, n - 1.0) * error),
          std::max(0.0, gain + student_z(kPassZ, n - 1.0) * error), error};
}

Check check_early_stopping(const JudgingContext& context, const std::vector<TimeMeasurement>& at) {
  if (at.size() < 2 || at.back().t == 0.0)
    return not_run(context, "early-stopping", "Needs states at intermediate times; only final samples were given.");
  Check check = start(context, "early-stopping");
  const TimeReference& exact_end = context.reference.at(at.size() - 1);
  Effect worst;
  bool denoised = false;
  const auto consider = [&](const Effect& effect, double t, bool is_denoised) {
    const double high = std::max(worst.high, effect.high);
    if (std::pair(effect.low, effect.value) > std::pair(worst.low, worst.value)) {
      worst = effect;
      check.worst_t = t;
      denoised = is_denoised;
    }
    worst.high = high;
  };
  for (std::size_t i = 0; i + 1 < at.size(); ++i) {
    const TimeReference& exact = context.reference.at(i);
    const Effect rescaled =
        stopping_gain(context, at[i].stop_rescaled, at.back().stop_rescaled, exact.stop_rescaled, exact_end.stop_rescaled);
    if (!std::isfinite(rescaled.value)) return not_run(context, "early-stopping", "Too few finite samples.");
    consider(rescaled, at[i].t, false);
    consider(stopping_gain(context, at[i].stop_denoised, at.back().stop_denoised, exact.stop_denoised, exact_end.stop_denoised),
             at[i].t, true);
  }
  check.null = 0.0;
  check.finding = worst.value > 0.0 ? fmt::format("{} samples would have been closer to the posterior at t = {:.3g} than at the end",
                                                  denoised ? "denoised" : "rescaled", *check.worst_t)
                                    : "the last time is the best one to stop at";
  conclude(context, worst, 1.0, check);
  return check;
}

Check check_distance(const JudgingContext& context, const FinalMeasurement& final) {
  if (!final.sliced_w2_squared) return not_run(context, "distance", "Too few finite samples.");
  Check check = start(context, "distance");
  const NullBand& null = context.reference.at(context.reference.times().size() - 1).sliced_w2;
  const double scale = context.reference.final().scale;
  const double se = std::max(final.sliced_w2_squared_se, null.sd);
  const double excess = null.effect(*final.sliced_w2_squared);
  const auto in_units = [&](double squared) { return std::sqrt(std::max(0.0, squared)) / scale; };
  check.null = std::sqrt(null.mean) / scale;
  check.worst_t = context.reference.times().back();
  check.finding = fmt::format("sliced W2 {:.3g}, {:.2f} posterior standard deviations", in_units(excess) * scale, in_units(excess));
  const double margin = check.margin * scale;
  conclude(context, {in_units(excess), in_units(excess - context.z * se), in_units(excess + kPassZ * se), 0.0,
                     in_units(margin * margin + (context.z + kPowerZ) * se)}, 1.0, check);
  return check;
}

constexpr double kTwoSided99 = 2.5758293035489004;

/// Can y have come from this operator and this noise? One measurement can contradict them; it cannot prove them right.
Check check_measurement_fit(const JudgingContext& context) {
  if (context.fit == nullptr) return not_run(context, "measurement-fit", "The measurement was not compared with its own model.");
  Check check = start(context, "measurement-fit");
  const MeasurementFit& fit = *context.fit;
  const double shift = fit.log_scale - fit.null_median;
  // Few measurements have a skewed null: each side has its own width. Beyond its quantiles a tail is taken for Gaussian.
  const double side = shift < 0.0 ? fit.null_median - fit.null_low : fit.null_high - fit.null_median;
  const double sd = std::max(fit.null_sd, side / kTwoSided99);
  // Beyond the 99 % that chance gives; that the factor is no larger than it seems cannot be shown from one y, and is not claimed.
  const double beyond = std::max(0.0, std::abs(shift) - kTwoSided99 * sd);
  const Effect effect{beyond, std::min(beyond, std::max(0.0, std::abs(shift) - context.z * sd)), beyond, 0.0,
                      check.margin + (context.z + kPowerZ) * sd};
  check.null = 0.0;
  conclude(context, effect, shift, check);
  if (check.verdict == Verdict::inconclusive)
    check.advice = "y is odd under this operator and this noise, and not odd enough to say that they are wrong: another measurement would tell.";
  check.finding = fmt::format("y asks for {:.2g} times the noise, where measurements of this problem ask for {:.2g} to {:.2g} times (99 %); "
                              "a factor below {:.2g} would not be noticed",
                              std::exp(fit.log_scale), std::exp(fit.null_low), std::exp(fit.null_high), std::exp(*check.detectable));
  return check;
}

Check check_lens_resolution(const JudgingContext& context) {
  Check check = start(context, "lens-resolution");
  const double ess = context.reference.lens().effective_sample_size();
  check.effect = ess;
  if (context.is_population) {
    check.verdict = Verdict::pass;
    check.finding = "the prior is known completely: the lens has no finite-sample error";
    return check;
  }
  check.verdict = ess >= check.margin ? Verdict::pass : Verdict::inconclusive;
  check.finding = fmt::format("the posterior is carried by {:.1f} effective atoms of {}{}", ess, context.reference.lens().num_components(),
                              context.is_smoothed ? ", smoothed" : "");
  if (check.verdict != Verdict::pass) check.advice = advise(check.id, context.traits, 0.0, 0.0);
  return check;
}

}  // namespace

double simultaneous_z(double false_alarm_rate, std::size_t num_tests) {
  return -normal_quantile(0.5 * false_alarm_rate / static_cast<double>(num_tests));
}

std::size_t tests_per_sampler(std::size_t num_times) {
  // Spread: the total and three directions at every time. Two hallucination counts by modes and atoms, one by
  // likelihood, mode weights, divergence, duplicates, distance; early stopping raw and denoised at every time.
  // The measurement's fit is one more, the same for all.
  return 4 * num_times + 8 + 2 * num_times;
}

std::vector<Check> run_checks(const JudgingContext& context, const std::vector<TimeMeasurement>& at,
                              const FinalMeasurement& final) {
  const FinalReference& exact = context.reference.final();
  return {check_spread(context, at),
          check_mode_weights(context, at, final),
          check_prior_hallucination(context, final),
          check_fraction(context, "likelihood-hallucination", final, final.fit_off_support, {exact.fit_off_support, exact.num_null_draws},
                         "fit the data but lie off the prior's support"),
          check_fraction(context, "divergence", final, final.num_particles - final.num_finite + final.neither,
                         {exact.diverged, exact.num_null_draws}, "are not finite, or neither fit the data nor lie on the support"),
          check_fraction(context, "duplicates", final, final.repeated, {exact.repeated, context.reference.num_particles()}, "are copies of another"),
          check_early_stopping(context, at),
          check_distance(context, final),
          check_measurement_fit(context),
          check_lens_resolution(context)};
}

}  // namespace fslens
