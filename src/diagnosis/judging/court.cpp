#include "fslens/diagnosis/court.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "error_budget.hpp"
#include "evidence.hpp"
#include "fslens/core/error.hpp"
#include "fslens/diagnosis/checks.hpp"
#include "fslens/diagnosis/margins.hpp"
#include "path_findings.hpp"

namespace fslens {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

SamplerDiagnosis conclude(const Problem& problem, const ExactReference& reference, const Evidence& evidence,
                          const SamplerTraits& traits, const MeasurementFit& fit, const Court::Rules& rules) {
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
  const std::map<std::string, double> margins = resolve_margins(problem.margins);
  out.checks = run_checks({reference, margins, rules.z, problem.is_population, traits, problem.smoothing.has_value(), &fit},
                          evidence.at, evidence.final);
  std::vector<Verdict> verdicts;
  for (const Check& check : out.checks) verdicts.push_back(check.verdict);
  out.verdict = worst(verdicts);
  // A collapsed lens cannot convict: what it sees is these few atoms.
  const auto resolution = std::ranges::find(out.checks, "lens-resolution", &Check::id);
  if (resolution->verdict == Verdict::inconclusive) out.verdict = Verdict::inconclusive;
  add_mode_departures(reference, evidence.at, rules.mode_z, margins.at("mode-weights"), out);
  return out;
}

}  // namespace

Court::Rules Court::rules(double false_alarm_rate, const std::vector<std::size_t>& num_times, std::size_t num_modes) {
  require_between("false_alarm_rate", false_alarm_rate, 1e-9, 0.5);
  std::size_t tests = 0, weights = 0;
  for (const std::size_t times : num_times) tests += tests_per_sampler(times), weights += times * num_modes;
  require(tests > 0, "samplers", "none", "must name at least one sampler or trajectory to judge");
  Rules out;
  out.z = simultaneous_z(false_alarm_rate, tests);
  out.mode_z = simultaneous_z(false_alarm_rate, weights);
  return out;
}

Court::Court(const Problem& problem, std::vector<double> times, std::size_t num_particles, const MeasurementFit& fit, const Rules& rules,
             const RandomStream& stream, Observer& observer)
    : problem_(problem), rules_(rules), stream_(stream), observer_(observer), denoiser_(problem.lens->denoiser(Measure::prior)), fit_(fit),
      reference_(problem.lens, problem.modes, std::move(times), num_particles, stream, observer),
      finite_(fslens::finite_sample_error(problem, reference_, stream)) {}

Court::~Court() = default;

BudgetMaker& Court::budget() {
  if (budget_ == nullptr) budget_ = std::make_unique<BudgetMaker>(problem_, reference_, fit_, finite_, stream_, observer_);
  return *budget_;
}

bool Court::wants_sweeps(Verdict verdict) const {
  return rules_.sweeps == Sweeps::all || (rules_.sweeps == Sweeps::unless_passed && verdict != Verdict::pass);
}

SamplerDiagnosis Court::judge(const Contestant& contestant, const RandomStream& stream) {
  const std::vector<double>& times = reference_.times();
  require(contestant.sampler == nullptr || (times.front() == problem_.grid.front() && times.back() == problem_.grid.back()), "times",
          fmt::format("{} to {}", times.front(), times.back()),
          fmt::format("must begin and end as the grid that samplers run on, {} to {}", problem_.grid.front(), problem_.grid.back()));
  const bool runs = contestant.sampler != nullptr;
  const Evidence evidence = runs ? evidence_of(problem_, reference_, *denoiser_, contestant, stream, observer_)
                                 : evidence_of_exact(problem_, reference_, *denoiser_, stream, observer_);
  const SamplerTraits traits{contestant.method, contestant.options.contains("integrator") ? contestant.options.at("integrator") : "",
                             to_string(problem_.grid_options.spacing), problem_.grid_options.steps};
  SamplerDiagnosis out = conclude(problem_, reference_, evidence, traits, fit_, rules_);
  out.name = contestant.name;
  out.options = contestant.options;
  if (!rules_.error_budget) return out;
  out.budget = runs ? budget().of_contestant(contestant, evidence.last_states) : budget().of_exact(evidence.last_states);
  if (runs && wants_sweeps(out.verdict)) out.location = budget().locate(contestant);
  return out;
}

SamplerDiagnosis Court::judge(const Recording& recording) {
  require(recording.times() == reference_.times(), "recording.times", fmt::format("{}", fmt::join(recording.times(), ", ")),
          fmt::format("must be those of the court, {}", fmt::join(reference_.times(), ", ")));
  require_size("recording.num_particles", recording.num_particles(), reference_.num_particles(), "the particles of the court");
  require_size("recording.dim", recording.dim(), reference_.lens().dim(), "the dimension of the problem");
  SamplerDiagnosis out = conclude(problem_, reference_, evidence_of(reference_, *denoiser_, recording, observer_), {}, fit_, rules_);
  out.name = recording.name();
  if (!rules_.error_budget) return out;
  out.budget = budget().of_recording(recording);
  if (wants_sweeps(out.verdict)) out.location = budget().locate(recording);
  return out;
}

}  // namespace fslens
