#include "fslens/diagnosis/diagnose.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <set>

#include "fslens/core/error.hpp"
#include "fslens/diagnosis/checks.hpp"
#include "fslens/diagnosis/margins.hpp"
#include "fslens/metrics/intervals.hpp"
#include "score_error.hpp"

namespace fslens {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// What is gathered of one contestant while it runs.
struct Evidence {
  std::vector<TimeMeasurement> at;
  FinalMeasurement final;
  double seconds = 0.0;
  std::size_t first_bad_step = 0;
};

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

std::vector<Curve> make_curves(const ExactReference& reference, const Evidence& evidence) {
  using Value = std::optional<double>;
  std::vector<Curve> curves;
  const auto ratio = [](const std::optional<SpreadRatio>& r) { return r ? Value(r->value) : Value(); };
  const auto normal_band = [](double mean, double sd) { return NullBand{0, mean, sd, mean - 1.96 * sd, mean + 1.96 * sd}; };
  curves.push_back(make_curve("spread_ratio", evidence, [&](const TimeMeasurement& m) { return ratio(m.spread); }));
  add_band(curves.back(), reference, [&](const TimeReference& r) {
    return r.total_variance > 0.0 ? std::optional(normal_band(1.0, r.total_variance_se / r.total_variance)) : std::nullopt;
  });
  curves.push_back(make_curve("spread_ratio_above_floor", evidence,
                              [&](const TimeMeasurement& m) { return ratio(m.spread_above_floor); }));
  for (std::size_t j = 0; j < reference.principal_directions().rows(); ++j) {
    curves.push_back(make_curve(fmt::format("spread_ratio_direction_{}", j + 1), evidence, [&](const TimeMeasurement& m) {
      return j < m.spread_along.size() ? ratio(m.spread_along[j]) : Value();
    }));
    add_band(curves.back(), reference, [&](const TimeReference& r) {
      const double exact = r.direction_variances[j];
      return exact > 0.0 ? std::optional(normal_band(1.0, r.direction_variance_se[j] / exact)) : std::nullopt;
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
  if (evidence.at[last].spread) f.spread_ratio = evidence.at[last].spread->value;
  const NullBand& w2 = reference.at(last).sliced_w2;
  f.sliced_w2 = root(w2.effect(*final.sliced_w2_squared));
  out.monte_carlo = root(w2.mean);
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
  const auto fraction = [&](const std::string& name, std::size_t successes, double null) {
    const ConfidenceInterval cp = clopper_pearson(successes, final.num_particles);
    out.intervals[name] = {static_cast<double>(successes) / count, cp.low, cp.high, {}, null, {}};
  };
  fraction("prior_hallucination", final.in_excluded_modes, exact.mode_excluded_rate);
  if (f.prior_hallucination_atoms) fraction("prior_hallucination_atoms", final.at_excluded_atoms, exact.atom_excluded_rate);
  fraction("likelihood_hallucination", final.fit_off_support, exact.fit_off_support_rate);
  fraction("diverged", final.num_particles - final.num_finite + final.neither, exact.diverged_rate);
}

SamplerDiagnosis conclude(const Problem& problem, const ExactReference& reference, const Evidence& evidence,
                          const SamplerTraits& traits, double z) {
  SamplerDiagnosis out;
  out.num_particles = evidence.final.num_particles;
  out.seconds = evidence.seconds;
  out.t = reference.times();
  out.curves = make_curves(reference, evidence);
  for (const TimeMeasurement& m : evidence.at)
    out.mode_weight_curves.push_back(m.mode_weights ? m.mode_weights->weights
                                                    : std::vector<double>(problem.modes.num_modes(), kNan));
  fill_final(reference, evidence, out);
  if (evidence.final.num_finite < evidence.final.num_particles) {
    out.status = "diverged";
    out.message = fmt::format("{} of {} final states are not finite", evidence.final.num_particles - evidence.final.num_finite,
                              evidence.final.num_particles);
    if (evidence.first_bad_step > 0) out.message += fmt::format(", the first after step {}", evidence.first_bad_step);
  }
  out.checks = run_checks({reference, resolve_margins(problem.margins), z, problem.is_population, traits}, evidence.at,
                          evidence.final);
  std::vector<Verdict> verdicts;
  for (const Check& check : out.checks) verdicts.push_back(check.verdict);
  out.verdict = worst(verdicts);
  // A collapsed lens cannot convict: what it sees is these few atoms.
  if (out.checks.back().verdict == Verdict::inconclusive) out.verdict = Verdict::inconclusive;
  return out;
}

Evidence judge_exact(const Problem& problem, const ExactReference& reference, const Denoiser& denoiser,
                     const RandomStream& stream, Observer& observer) {
  Evidence evidence;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < reference.times().size(); ++i) {
    report_progress(observer, "judge exact", i, reference.times().size());
    const Matrix x = problem.lens->sample(Measure::posterior, reference.num_particles(), reference.times()[i], stream).x;
    evidence.at.push_back(measure_at(reference, denoiser, i, x));
    if (i + 1 == reference.times().size()) evidence.final = measure_final(reference, x);
  }
  report_progress(observer, "judge exact", reference.times().size(), reference.times().size());
  evidence.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return evidence;
}

Evidence judge_sampler(const Problem& problem, const ExactReference& reference, const Denoiser& denoiser,
                       const std::vector<std::size_t>& recorded, const PosteriorSampler& sampler, const RandomStream& stream,
                       Observer& observer) {
  Evidence evidence;
  const Matrix start = initial_states(problem.lens->schedule(), problem.grid.front(), problem.num_particles,
                                      problem.lens->dim(), stream.child("initial state"));
  const SamplerRun run = run_sampler(sampler, problem.grid, start, stream, observer,
                                     [&](std::size_t index, double, ConstBatchView x) {
                                       const auto i = std::ranges::find(recorded, index) - recorded.begin();
                                       evidence.at.push_back(measure_at(reference, denoiser, static_cast<std::size_t>(i), x));
                                     },
                                     0, recorded);
  evidence.final = measure_final(reference, run.x);
  evidence.seconds = run.seconds;
  evidence.first_bad_step = run.first_bad_step;
  return evidence;
}

Evidence judge_recording(const ExactReference& reference, const Denoiser& denoiser, const Recording& recording, Observer& observer) {
  Evidence evidence;
  const std::string stage = "judge " + recording.name();
  for (std::size_t i = 0; i < recording.times().size(); ++i) {
    report_progress(observer, stage, i, recording.times().size());
    const Matrix x = recording.states(i);
    evidence.at.push_back(measure_at(reference, denoiser, i, x));
    if (i + 1 == recording.times().size()) evidence.final = measure_final(reference, x);
  }
  report_progress(observer, stage, recording.times().size(), recording.times().size());
  return evidence;
}

LensSummary summarise(const Problem& problem) {
  const Lens& lens = *problem.lens;
  LensSummary out{problem.prior_kind, lens.num_components(),          lens.dim(), lens.likelihood().output_dim(),
                  lens.effective_sample_size(), lens.log_evidence(), {}, {}};
  if (const auto& s = problem.smoothing)
    out.smoothing = {to_string(s->kernel.shape), s->kernel.bandwidth, s->kernel.by_leave_one_out, s->automatic, s->copies, s->raw_ess,
                     s->raw_log_evidence};
  const std::vector<double> prior = problem.modes.weights(lens.log_weights(Measure::prior));
  const std::vector<double> posterior = problem.modes.weights(lens.log_weights(Measure::posterior));
  for (std::size_t k = 0; k < problem.modes.num_modes(); ++k)
    out.modes.push_back({k, problem.modes.labels[k], prior[k], posterior[k]});
  return out;
}

/// Makes every sampler before any runs, so that a wrong name or option costs no waiting.
std::vector<std::unique_ptr<PosteriorSampler>> make_samplers(const Problem& problem, const std::vector<SamplerSpec>& specs) {
  const SamplerContext context{problem.lens->denoiser(Measure::prior), problem.lens->denoiser(Measure::posterior),
                               problem.likelihood, problem.integrator, problem.eta};
  std::vector<std::unique_ptr<PosteriorSampler>> samplers;
  std::set<std::string> labels;
  for (const SamplerSpec& spec : specs) {
    if (!labels.insert(sampler_label(spec)).second)
      throw UsageError(fmt::format("sampler '{}' is named twice", sampler_label(spec)));
    samplers.push_back(canonical_sampler_name(spec.name) == "exact" ? nullptr : make_sampler(spec, context));
  }
  return samplers;
}

/// Adds the curves of the samplers that have a likelihood score to their diagnoses, which stand in the order of `specs`.
void add_score_errors(const Problem& problem, const std::vector<SamplerSpec>& specs, const std::vector<double>& times,
                      const RandomStream& stream, Observer& observer, std::vector<SamplerDiagnosis>& diagnoses) {
  std::vector<std::unique_ptr<Guidance>> guidances;
  std::vector<std::size_t> of;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (!has_guidance(specs[i])) continue;
    guidances.push_back(make_guidance(specs[i], problem.lens->denoiser(Measure::posterior)));
    of.push_back(i);
  }
  const std::vector<ScoreError> errors = score_errors(*problem.lens, guidances, times, stream.child("score error"), observer);
  for (std::size_t g = 0; g < of.size(); ++g) {
    diagnoses[of[g]].curves.push_back({"score_error", errors[g].error, {}, {}, {}});
    diagnoses[of[g]].curves.push_back({"path_kl", errors[g].path_kl, {}, {}, {}});
  }
}

}  // namespace

std::string sampler_label(const SamplerSpec& spec) {
  std::string label = canonical_sampler_name(spec.name);
  for (const auto& [key, value] : spec.parameters) label += fmt::format(" {}={}", key, value);
  return label;
}

RandomStream sampler_stream(std::uint64_t seed, const SamplerSpec& spec) {
  return RandomStream(seed).child("sampler " + sampler_label(spec));
}

Diagnosis diagnose(const Problem& problem, const DiagnoseOptions& options, Observer& observer) {
  const auto start = std::chrono::steady_clock::now();
  const auto samplers = make_samplers(problem, options.samplers);
  const std::vector<std::size_t> recorded = recorded_indices(problem.grid.size(), problem.num_recorded);
  std::vector<double> times;
  for (const std::size_t i : recorded) times.push_back(problem.grid[i]);
  const RandomStream stream(problem.seed);
  const auto denoiser = problem.lens->denoiser(Measure::prior);

  std::size_t tests = samplers.size() * tests_per_sampler(times.size());
  for (const Recording& recording : options.recordings) tests += tests_per_sampler(recording.times().size());
  require(tests > 0, "samplers", "none", "must name at least one sampler or trajectory to judge");
  const double z = simultaneous_z(options.false_alarm_rate, tests);

  Diagnosis out;
  out.problem = problem.name;
  out.title = problem.title;
  out.lens = summarise(problem);
  out.false_alarm_rate = options.false_alarm_rate;
  std::unique_ptr<ExactReference> reference;
  if (!samplers.empty())
    reference = std::make_unique<ExactReference>(problem.lens, problem.modes, times, problem.num_particles, stream, observer);
  for (std::size_t i = 0; i < samplers.size(); ++i) {
    const SamplerSpec& spec = options.samplers[i];
    const RandomStream own = sampler_stream(problem.seed, spec);
    const Evidence evidence =
        samplers[i] == nullptr ? judge_exact(problem, *reference, *denoiser, own, observer)
                               : judge_sampler(problem, *reference, *denoiser, recorded, *samplers[i], own, observer);
    const auto parameters = resolved_parameters(spec, problem.integrator, problem.eta);
    const auto parameter = [&](const std::string& key) { return parameters.contains(key) ? parameters.at(key) : std::string(); };
    SamplerDiagnosis diagnosis =
        conclude(problem, *reference, evidence,
                 {canonical_sampler_name(spec.name), parameter("integrator"), to_string(problem.grid_options.spacing),
                  problem.grid_options.steps}, z);
    diagnosis.name = sampler_label(spec);
    diagnosis.options = parameters;
    out.samplers.push_back(std::move(diagnosis));
  }
  add_score_errors(problem, options.samplers, times, stream, observer, out.samplers);
  for (const Recording& recording : options.recordings) {
    const ExactReference own(problem.lens, problem.modes, recording.times(), recording.num_particles(), stream, observer);
    SamplerDiagnosis diagnosis = conclude(problem, own, judge_recording(own, *denoiser, recording, observer), {}, z);
    diagnosis.name = recording.name();
    for (int n = 2; std::ranges::find(out.samplers, diagnosis.name, &SamplerDiagnosis::name) != out.samplers.end(); ++n)
      diagnosis.name = fmt::format("{} #{}", recording.name(), n);
    out.samplers.push_back(std::move(diagnosis));
  }
  std::vector<Verdict> verdicts;
  for (const SamplerDiagnosis& diagnosis : out.samplers) verdicts.push_back(diagnosis.verdict);
  out.verdict = worst(verdicts);
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace fslens
