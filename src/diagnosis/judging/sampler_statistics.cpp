#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "evidence.hpp"
#include "fslens/metrics/intervals.hpp"

namespace fslens {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double root(double squared) { return std::sqrt(std::max(0.0, squared)); }

Curve make_curve(std::string name, const Evidence& evidence, const auto& value) {
  Curve curve;
  curve.name = std::move(name);
  for (const TimeMeasurement& m : evidence.at) curve.value.push_back(value(m).value_or(kNan));
  return curve;
}

void add_band(Curve& curve, const ExactReference& reference, const auto& band) {
  for (std::size_t i = 0; i < reference.times().size(); ++i) {
    const std::optional<NullBand> null = band(reference.at(i));
    curve.null_low.push_back(null ? null->low : kNan);
    curve.null_mean.push_back(null ? null->mean : kNan);
    curve.null_high.push_back(null ? null->high : kNan);
  }
}

std::optional<double> stopping_slope(const ExactReference& reference, const Evidence& evidence) {
  const std::size_t last = evidence.at.size() - 1;
  if (last == 0 || evidence.at[last].t == 0.0) return std::nullopt;
  const auto change = [](const StopErrors& before, const StopErrors& end) -> std::optional<double> {
    if (before.empty() || end.size() != before.size()) return std::nullopt;
    double sum = 0.0;
    for (std::size_t g = 0; g < end.size(); ++g) sum += (before[g] - end[g]) / static_cast<double>(end.size());
    return sum;
  };
  const auto sampled = change(evidence.at[last - 1].stop_rescaled, evidence.at[last].stop_rescaled);
  const auto own = change(reference.at(last - 1).stop_rescaled, reference.at(last).stop_rescaled);
  if (!sampled || !own) return std::nullopt;
  return (*sampled - *own) / std::log(evidence.at[last - 1].t / evidence.at[last].t);
}

}  // namespace

std::vector<Curve> make_curves(const ExactReference& reference, const Evidence& evidence) {
  using Value = std::optional<double>;
  std::vector<Curve> curves;
  const auto ratio = [](const std::optional<SpreadRatio>& r) { return r ? Value(r->value) : Value(); };
  const auto normal_band = [](double mean, double sd) { return NullBand{0, mean, sd, mean - 1.96 * sd, mean + 1.96 * sd}; };
  curves.push_back(make_curve("spread_ratio", evidence, [&](const TimeMeasurement& m) { return ratio(m.spread); }));
  add_band(curves.back(), reference, [&](const TimeReference& r) {
    return r.total_variance > 0.0 ? std::optional(normal_band(1.0, r.total_variance_law.standard_error)) : std::nullopt;
  });
  curves.push_back(make_curve("spread_ratio_above_floor", evidence,
                              [&](const TimeMeasurement& m) { return ratio(m.spread_above_floor); }));
  for (std::size_t j = 0; j < reference.principal_directions().rows(); ++j) {
    curves.push_back(make_curve(fmt::format("spread_ratio_direction_{}", j + 1), evidence, [&](const TimeMeasurement& m) {
      return j < m.spread_along.size() ? ratio(m.spread_along[j]) : Value();
    }));
    add_band(curves.back(), reference, [&](const TimeReference& r) {
      const double exact = r.direction_variances[j];
      return exact > 0.0 ? std::optional(normal_band(1.0, r.direction_variance_laws[j].standard_error)) : std::nullopt;
    });
  }
  curves.push_back(make_curve("mode_weights_tv", evidence,
                              [](const TimeMeasurement& m) { return m.mode_tv ? Value(m.mode_tv->value) : Value(); }));
  add_band(curves.back(), reference, [](const TimeReference& r) { return r.mode_tv; });
  curves.push_back(make_curve("sliced_w2", evidence, [](const TimeMeasurement& m) {
    return m.sliced_w2_squared ? Value(root(*m.sliced_w2_squared)) : Value();
  }));
  add_band(curves.back(), reference, [](const TimeReference& r) {
    return std::optional(NullBand{r.sliced_w2.repetitions, root(r.sliced_w2.mean), r.sliced_w2.sd, root(r.sliced_w2.low),
                                  root(r.sliced_w2.high)});
  });
  if (reference.lens().dim() <= 2) {
    curves.push_back(make_curve("total_variation", evidence, [](const TimeMeasurement& m) { return m.law_tv; }));
    add_band(curves.back(), reference, [](const TimeReference& r) { return r.law_tv; });
  }
  const auto mean_error = [](const StopErrors& errors) {
    double sum = 0.0;
    for (const double error : errors) sum += error / static_cast<double>(errors.size());
    return errors.empty() ? Value() : Value(sum);
  };
  const auto stop_band = [&](const StopErrors& errors) -> std::optional<NullBand> {
    if (errors.size() < 2) return std::nullopt;
    const double sd = null_band(errors).sd / std::sqrt(static_cast<double>(errors.size()));
    return normal_band(*mean_error(errors), sd);
  };
  curves.push_back(make_curve("stop_error_rescaled", evidence, [&](const TimeMeasurement& m) { return mean_error(m.stop_rescaled); }));
  add_band(curves.back(), reference, [&](const TimeReference& r) { return stop_band(r.stop_rescaled); });
  curves.push_back(make_curve("stop_error_denoised", evidence, [&](const TimeMeasurement& m) { return mean_error(m.stop_denoised); }));
  add_band(curves.back(), reference, [&](const TimeReference& r) { return stop_band(r.stop_denoised); });
  return curves;
}

void fill_final(const ExactReference& reference, const Evidence& evidence, SamplerDiagnosis& out) {
  const FinalMeasurement& final = evidence.final;
  const FinalReference& exact = reference.final();
  if (final.num_finite < 2) {
    out.final.diverged = 1.0;
    return;
  }
  const double count = static_cast<double>(final.num_particles);
  const std::size_t last = evidence.at.size() - 1;
  FinalStatistics& f = out.final;
  f.mode_weights = final.mode_weights->weights;
  f.mode_weights_tv = final.mode_tv->value;
  f.prior_hallucination = static_cast<double>(final.in_excluded_modes) / count;
  if (!exact.atom_excluded.empty()) f.prior_hallucination_atoms = static_cast<double>(final.at_excluded_atoms) / count;
  f.likelihood_hallucination = static_cast<double>(final.fit_off_support) / count;
  f.diverged = static_cast<double>(final.num_particles - final.num_finite + final.neither) / count;
  f.duplicates = static_cast<double>(final.repeated) / count;
  if (evidence.at[last].spread) f.spread_ratio = evidence.at[last].spread->value;
  const NullBand& w2 = reference.at(last).sliced_w2;
  f.sliced_w2 = root(w2.effect(*final.sliced_w2_squared));
  f.energy = final.energy->value;
  if (final.mmd) f.mmd = final.mmd->value;
  f.ksd = final.ksd;
  f.total_variation = evidence.at[last].law_tv;
  f.early_stopping_slope = stopping_slope(reference, evidence);

  constexpr double kZ95 = 1.959963984540054;
  const auto interval = [&](const std::string& name, double value, double se, const NullBand* null) {
    FinalInterval entry{value, value - kZ95 * se, value + kZ95 * se, {}, {}, {}};
    if (null != nullptr) entry.null_low = null->low, entry.null_mean = null->mean, entry.null_high = null->high;
    out.intervals[name] = entry;
  };
  interval("mode_weights_tv", final.mode_tv->value, final.mode_tv->standard_error, &exact.mode_tv);
  interval("sliced_w2_squared", *final.sliced_w2_squared, final.sliced_w2_squared_se, &w2);
  interval("energy", final.energy->value, final.energy->standard_error, &exact.energy);
  if (final.mmd) interval("mmd", final.mmd->value, final.mmd->standard_error, &*exact.mmd);
  if (final.ksd) interval("ksd", *final.ksd, final.ksd_se, nullptr);
  if (evidence.at[last].spread)
    interval("spread_ratio", evidence.at[last].spread->value, evidence.at[last].spread->standard_error, nullptr);
  if (f.total_variation) out.intervals["total_variation"] = {*f.total_variation, {}, {}, reference.at(last).law_tv->low,
                                                            reference.at(last).law_tv->mean, reference.at(last).law_tv->high};
  const auto fraction = [&](const std::string& name, std::size_t successes, std::size_t exact_successes, std::size_t exact_draws) {
    const ConfidenceInterval cp = clopper_pearson(successes, final.num_particles);
    const double null = static_cast<double>(exact_successes) / static_cast<double>(exact_draws);
    out.intervals[name] = {static_cast<double>(successes) / count, cp.low, cp.high, {}, null, {}};
  };
  fraction("prior_hallucination", final.in_excluded_modes, exact.in_excluded_modes, exact.num_null_draws);
  if (f.prior_hallucination_atoms) fraction("prior_hallucination_atoms", final.at_excluded_atoms, exact.at_excluded_atoms, exact.num_null_draws);
  fraction("likelihood_hallucination", final.fit_off_support, exact.fit_off_support, exact.num_null_draws);
  fraction("duplicates", final.repeated, exact.repeated, reference.num_particles());
  fraction("diverged", final.num_particles - final.num_finite + final.neither, exact.diverged, exact.num_null_draws);
}

}  // namespace fslens
