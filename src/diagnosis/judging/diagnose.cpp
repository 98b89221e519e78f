#include "fslens/diagnosis/diagnose.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <set>

#include "fslens/core/error.hpp"
#include "path_findings.hpp"

namespace fslens {
namespace {

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

struct Docket {
  std::vector<Contestant> contestants;
  std::vector<std::size_t> recorded;  ///< indices into the grid
  Court::Rules rules;
};

Docket make_docket(const Problem& problem, const DiagnoseOptions& options) {
  Docket out;
  out.contestants = make_contestants(problem, options);
  out.recorded = recorded_indices(problem.grid.size(), problem.num_recorded);
  std::vector<std::size_t> num_times(out.contestants.size(), out.recorded.size());
  for (const Recording& recording : options.recordings) num_times.push_back(recording.times().size());
  out.rules = Court::rules(options.false_alarm_rate, num_times, problem.modes.num_modes());
  out.rules.error_budget = options.error_budget;
  out.rules.sweeps = options.sweeps;
  return out;
}

void judge_contestants(const Problem& problem, const DiagnoseOptions& options, const Docket& docket, const MeasurementFit& fit, Observer& observer,
                       Diagnosis& out) {
  const RandomStream stream(problem.seed);
  std::vector<double> times;
  for (const std::size_t i : docket.recorded) times.push_back(problem.grid[i]);
  Court court(problem, times, problem.num_particles, fit, docket.rules, stream, observer);
  out.lens.finite_sample = court.finite_sample_error();
  for (std::size_t i = 0; i < docket.contestants.size(); ++i) {
    const Contestant& contestant = docket.contestants[i];
    out.samplers.push_back(court.judge(contestant, i < options.samplers.size() ? sampler_stream(problem.seed, options.samplers[i])
                                                                                : stream.child("sampler " + contestant.name)));
  }
  add_path_findings(problem, options, docket.contestants, docket.recorded, stream, observer, out.samplers);
}

/// Each recording has its own times and number of particles, so that it needs its own reference.
void judge_recording(const Problem& problem, const Recording& recording, const Court::Rules& rules, const MeasurementFit& fit, Observer& observer,
                     Diagnosis& out) {
  Court court(problem, recording.times(), recording.num_particles(), fit, rules, RandomStream(problem.seed), observer);
  SamplerDiagnosis diagnosis = court.judge(recording);
  for (int n = 2; std::ranges::find(out.samplers, diagnosis.name, &SamplerDiagnosis::name) != out.samplers.end(); ++n)
    diagnosis.name = fmt::format("{} #{}", recording.name(), n);
  if (!out.lens.finite_sample) out.lens.finite_sample = court.finite_sample_error();
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
  const Docket docket = make_docket(problem, options);
  const MeasurementFit fit = measurement_fit(problem, RandomStream(problem.seed), observer);
  Diagnosis out;
  out.problem = problem.name;
  out.title = problem.title;
  out.lens = summarise(problem);
  out.false_alarm_rate = options.false_alarm_rate;
  if (!docket.contestants.empty()) judge_contestants(problem, options, docket, fit, observer, out);
  for (const Recording& recording : options.recordings) judge_recording(problem, recording, docket.rules, fit, observer, out);
  std::vector<Verdict> verdicts;
  for (const SamplerDiagnosis& diagnosis : out.samplers) verdicts.push_back(diagnosis.verdict);
  out.verdict = worst(verdicts);
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace fslens
