#include "fslens/diagnosis/diagnose.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <set>

#include "fslens/core/error.hpp"
#include "fslens/diagnosis/checks.hpp"
#include "fslens/diagnosis/finite_sample_error.hpp"
#include "fslens/diagnosis/margins.hpp"
#include "fslens/diagnosis/measurement_fit.hpp"
#include "fslens/metrics/intervals.hpp"
#include "error_budget.hpp"
#include "path_findings.hpp"

namespace fslens {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// What is gathered of one contestant while it runs.
struct Evidence {
  std::vector<TimeMeasurement> at;
  FinalMeasurement final;
  Matrix last_states;  ///< as many as the budget asks for
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
                          const SamplerTraits& traits, const MeasurementFit& fit, double z) {
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
  out.checks = run_checks({reference, resolve_margins(problem.margins), z, problem.is_population, traits, problem.smoothing.has_value(), &fit},
                          evidence.at, evidence.final);
  std::vector<Verdict> verdicts;
  for (const Check& check : out.checks) verdicts.push_back(check.verdict);
  out.verdict = worst(verdicts);
  // A collapsed lens cannot convict: what it sees is these few atoms.
  const auto resolution = std::ranges::find(out.checks, "lens-resolution", &Check::id);
  if (resolution->verdict == Verdict::inconclusive) out.verdict = Verdict::inconclusive;
  return out;
}

void measure_end(const ExactReference& reference, ConstBatchView x, Evidence& evidence) {
  evidence.final = measure_final(reference, x);
  evidence.last_states = first_rows(x, budget_particles(x.rows(), x.cols()));
}

Evidence judge_exact(const Problem& problem, const ExactReference& reference, const Denoiser& denoiser,
                     const RandomStream& stream, Observer& observer) {
  Evidence evidence;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < reference.times().size(); ++i) {
    report_progress(observer, "judge exact", i, reference.times().size());
    const Matrix x = problem.lens->sample(Measure::posterior, reference.num_particles(), reference.times()[i], stream).x;
    evidence.at.push_back(measure_at(reference, denoiser, i, x));
    if (i + 1 == reference.times().size()) measure_end(reference, x, evidence);
  }
  report_progress(observer, "judge exact", reference.times().size(), reference.times().size());
  evidence.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return evidence;
}

Evidence judge_contestant(const Problem& problem, const ExactReference& reference, const Denoiser& denoiser,
                          const std::vector<std::size_t>& recorded, const Contestant& contestant, const RandomStream& stream,
                          Observer& observer) {
  Evidence evidence;
  const RandomStream initial = stream.child("initial state");
  Matrix start = contestant.start ? contestant.start(problem.num_particles, initial)
                                  : initial_states(problem.lens->schedule(), problem.grid.front(), problem.num_particles,
                                                   problem.lens->dim(), initial);
  const SamplerRun run = run_sampler(*contestant.sampler, problem.grid, std::move(start), stream, observer,
                                     [&](std::size_t index, double, ConstBatchView x) {
                                       const auto i = std::ranges::find(recorded, index) - recorded.begin();
                                       evidence.at.push_back(measure_at(reference, denoiser, static_cast<std::size_t>(i), x));
                                     },
                                     0, recorded);
  measure_end(reference, run.x, evidence);
  evidence.seconds = run.seconds;
  evidence.first_bad_step = run.first_bad_step;
  return evidence;
}

Evidence evidence_of(const ExactReference& reference, const Denoiser& denoiser, const Recording& recording, Observer& observer) {
  Evidence evidence;
  const std::string stage = "judge " + recording.name();
  for (std::size_t i = 0; i < recording.times().size(); ++i) {
    report_progress(observer, stage, i, recording.times().size());
    const Matrix x = recording.states(i);
    evidence.at.push_back(measure_at(reference, denoiser, i, x));
    if (i + 1 == recording.times().size()) measure_end(reference, x, evidence);
  }
  report_progress(observer, stage, recording.times().size(), recording.times().size());
  return evidence;
}

LensSummary summarise(const Problem& problem) {
  const Lens& lens = *problem.lens;
  LensSummary out{problem.prior_kind, lens.num_components(),          lens.dim(), lens.likelihood().output_dim(),
                  lens.effective_sample_size(), lens.log_evidence(), {}, {}, {}};
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
std::vector<Contestant> make_contestants(const Problem& problem, const DiagnoseOptions& options) {
  std::vector<Contestant> contestants;
  for (const SamplerSpec& spec : options.samplers) {
    contestants.push_back(make_contestant(problem, spec, options.denoiser));
    contestants.back().name = sampler_label(spec);
  }
  contestants.insert(contestants.end(), options.contestants.begin(), options.contestants.end());
  std::set<std::string> names;
  for (const Contestant& contestant : contestants)
    if (!names.insert(contestant.name).second) throw UsageError(fmt::format("sampler '{}' is named twice", contestant.name));
  return contestants;
}

bool wants_sweeps(const DiagnoseOptions& options, Verdict verdict) {
  return options.sweeps == Sweeps::all || (options.sweeps == Sweeps::unless_passed && verdict != Verdict::pass);
}

void add_budget(const Contestant& contestant, const DiagnoseOptions& options, const Evidence& evidence, BudgetMaker& budget,
                SamplerDiagnosis& out) {
  if (!options.error_budget) return;
  out.budget = contestant.sampler == nullptr ? budget.of_exact(evidence.last_states) : budget.of_contestant(contestant, evidence.last_states);
  if (contestant.sampler != nullptr && wants_sweeps(options, out.verdict)) out.location = budget.locate(contestant);
}

/// What all parts of a diagnosis share.
struct Court {
  const Problem& problem;
  const DiagnoseOptions& options;
  RandomStream stream;
  std::shared_ptr<const Denoiser> denoiser;
  MeasurementFit fit;
  double z;
  double mode_z;  ///< over contestants × times × modes
  double mode_margin;
  Observer& observer;
};

void judge_contestants(const Court& court, const std::vector<Contestant>& contestants, const std::vector<std::size_t>& recorded, Diagnosis& out) {
  const Problem& problem = court.problem;
  std::vector<double> times;
  for (const std::size_t i : recorded) times.push_back(problem.grid[i]);
  const ExactReference reference(problem.lens, problem.modes, times, problem.num_particles, court.stream, court.observer);
  const auto finite = finite_sample_error(problem, reference, court.stream);
  out.lens.finite_sample = finite;
  BudgetMaker budget(problem, reference, court.fit, finite, court.stream, court.observer);
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    const Contestant& contestant = contestants[i];
    const RandomStream own = i < court.options.samplers.size() ? sampler_stream(problem.seed, court.options.samplers[i])
                                                               : court.stream.child("sampler " + contestant.name);
    const Evidence evidence = contestant.sampler == nullptr
                                  ? judge_exact(problem, reference, *court.denoiser, own, court.observer)
                                  : judge_contestant(problem, reference, *court.denoiser, recorded, contestant, own, court.observer);
    const SamplerTraits traits{contestant.method, contestant.options.contains("integrator") ? contestant.options.at("integrator") : "",
                               to_string(problem.grid_options.spacing), problem.grid_options.steps};
    SamplerDiagnosis diagnosis = conclude(problem, reference, evidence, traits, court.fit, court.z);
    diagnosis.name = contestant.name;
    diagnosis.options = contestant.options;
    add_mode_departures(reference, evidence.at, court.mode_z, court.mode_margin, diagnosis);
    add_budget(contestant, court.options, evidence, budget, diagnosis);
    out.samplers.push_back(std::move(diagnosis));
  }
  add_path_findings(problem, court.options, contestants, recorded, court.stream, court.observer, out.samplers);
}

void judge_recording(const Court& court, const Recording& recording, Diagnosis& out) {
  const ExactReference reference(court.problem.lens, court.problem.modes, recording.times(), recording.num_particles(), court.stream, court.observer);
  const Evidence evidence = evidence_of(reference, *court.denoiser, recording, court.observer);
  SamplerDiagnosis diagnosis = conclude(court.problem, reference, evidence, {}, court.fit, court.z);
  diagnosis.name = recording.name();
  for (int n = 2; std::ranges::find(out.samplers, diagnosis.name, &SamplerDiagnosis::name) != out.samplers.end(); ++n)
    diagnosis.name = fmt::format("{} #{}", recording.name(), n);
  add_mode_departures(reference, evidence.at, court.mode_z, court.mode_margin, diagnosis);
  const auto finite = finite_sample_error(court.problem, reference, court.stream);
  if (!out.lens.finite_sample) out.lens.finite_sample = finite;
  if (court.options.error_budget) {
    BudgetMaker budget(court.problem, reference, court.fit, finite, court.stream, court.observer);
    diagnosis.budget = budget.of_recording(recording);
    if (wants_sweeps(court.options, diagnosis.verdict)) diagnosis.location = budget.locate(recording);
  }
  out.samplers.push_back(std::move(diagnosis));
}

}  // namespace

std::string sampler_label(const SamplerSpec& spec) {
  std::string label = canonical_sampler_name(spec.name);
  for (const auto& [key, value] : spec.parameters)
    label += fmt::format(" {}={}", key, key == "schedule" ? std::filesystem::path(value).filename().string() : value);
  return label;
}

RandomStream sampler_stream(std::uint64_t seed, const SamplerSpec& spec) {
  std::string address = "sampler " + sampler_label(spec);
  // A schedule counts by its numbers, wherever its file lies.
  if (spec.schedule) address += fmt::format(" {} {}", fmt::join(spec.schedule->t, ","), fmt::join(spec.schedule->weight, ","));
  return RandomStream(seed).child(address);
}

Diagnosis diagnose(const Problem& problem, const DiagnoseOptions& options, Observer& observer) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Contestant> contestants = make_contestants(problem, options);
  const std::vector<std::size_t> recorded = recorded_indices(problem.grid.size(), problem.num_recorded);
  std::size_t tests = contestants.size() * tests_per_sampler(recorded.size());
  for (const Recording& recording : options.recordings) tests += tests_per_sampler(recording.times().size());
  require(tests > 0, "samplers", "none", "must name at least one sampler or trajectory to judge");
  std::size_t mode_tests = contestants.size() * recorded.size();
  for (const Recording& recording : options.recordings) mode_tests += recording.times().size();

  const RandomStream stream(problem.seed);
  const Court court{problem,  options, stream, problem.lens->denoiser(Measure::prior), measurement_fit(problem, stream, observer),
                    simultaneous_z(options.false_alarm_rate, tests),
                    simultaneous_z(options.false_alarm_rate, mode_tests * problem.modes.num_modes()),
                    resolve_margins(problem.margins).at("mode-weights"), observer};
  Diagnosis out;
  out.problem = problem.name;
  out.title = problem.title;
  out.lens = summarise(problem);
  out.false_alarm_rate = options.false_alarm_rate;
  if (!contestants.empty()) judge_contestants(court, contestants, recorded, out);
  for (const Recording& recording : options.recordings) judge_recording(court, recording, out);
  std::vector<Verdict> verdicts;
  for (const SamplerDiagnosis& diagnosis : out.samplers) verdicts.push_back(diagnosis.verdict);
  out.verdict = worst(verdicts);
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace fslens
