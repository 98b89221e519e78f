#include "path_findings.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "fslens/core/error.hpp"
#include "fslens/diagnosis/chain_law.hpp"
#include "fslens/diagnosis/checks.hpp"
#include "fslens/diagnosis/diagnose.hpp"
#include "fslens/diagnosis/path_kl.hpp"
#include "score_error.hpp"

namespace fslens {
namespace {

void add_curve(SamplerDiagnosis& out, std::string name, std::vector<double> value) {
  out.curves.push_back({std::move(name), std::move(value), {}, {}, {}});
}

/// Values of the whole grid at its recorded times.
std::vector<double> at_recorded(const std::vector<double>& values, const std::vector<std::size_t>& recorded) {
  std::vector<double> out;
  for (const std::size_t index : recorded) out.push_back(values[std::min(index, values.size() - 1)]);
  return out;
}

/// KL of the step that leaves each recorded time, or of the last one that arrives, per unit of log-SNR.
std::vector<double> rate_per_log_snr(const PathKl& path, const NoiseSchedule& schedule, const std::vector<double>& grid,
                                     const std::vector<std::size_t>& recorded) {
  std::vector<double> rate;
  for (const std::size_t index : recorded) {
    const std::size_t k = std::min(index, path.step.size() - 1);
    rate.push_back(path.step[k] / (schedule.log_snr(grid[k + 1]) - schedule.log_snr(grid[k])));
  }
  return rate;
}

void set_middle_half(const std::vector<double>& accumulated, const std::vector<double>& times, PathKlSummary& out) {
  if (const std::optional<TimeInterval> half = middle_half(accumulated, times)) out.half_begin = half->begin, out.half_end = half->end;
}

void add_path(const PathKl& path, const NoiseSchedule& schedule, const std::vector<double>& grid, const std::vector<std::size_t>& recorded,
              SamplerDiagnosis& out) {
  add_curve(out, "path_kl", at_recorded(path.total, recorded));
  add_curve(out, "path_kl_standard_error", at_recorded(path.standard_error, recorded));
  add_curve(out, "path_kl_rate", rate_per_log_snr(path, schedule, grid, recorded));
  PathKlSummary summary;
  summary.total = path.total.back();
  summary.standard_error = path.standard_error.back();
  summary.initialisation = path.initialisation;
  summary.of_chain = true;
  summary.is_bound = path.largest_tau <= kMostTau;
  if (!path.discretisation.empty()) {
    add_curve(out, "path_kl_likelihood", at_recorded(path.likelihood, recorded));
    add_curve(out, "path_kl_discretisation", at_recorded(path.discretisation, recorded));
    summary.likelihood = path.likelihood.back();
    summary.discretisation = path.discretisation.back();
  }
  set_middle_half(path.total, grid, summary);
  out.path_kl = summary;
}

/// In the limit of infinitely small steps, for a chain whose own steps have no finite relative entropy.
void add_girsanov(const std::vector<double>& girsanov_kl, const std::vector<double>& times, SamplerDiagnosis& out) {
  add_curve(out, "path_kl", girsanov_kl);
  PathKlSummary summary;
  summary.total = girsanov_kl.back();
  set_middle_half(girsanov_kl, times, summary);
  out.path_kl = summary;
}

std::vector<std::optional<PathKl>> measure_paths(const Problem& problem, const std::vector<Contestant>& contestants,
                                                 const std::vector<std::size_t>& recorded, const RandomStream& stream, Observer& observer) {
  std::map<std::pair<Integrator, double>, std::unique_ptr<PosteriorSampler>> exact_scores;
  std::vector<PathContestant> paths;
  for (const Contestant& contestant : contestants) {
    PathContestant& path = paths.emplace_back(PathContestant{contestant.sampler.get(), nullptr});
    if (contestant.sampler == nullptr) continue;
    auto& made = exact_scores[{contestant.integrator, contestant.eta}];
    if (!made) made = exact_score_sampler(problem, contestant.integrator, contestant.eta);
    path.exact_score = made.get();
  }
  return path_kl(*problem.lens, paths, problem.grid, recorded, stream, observer);
}

// A law is worth about as much waiting as the run that it explains: more is for those who call chain_law.
constexpr double kMostLawEvaluations = 1e7, kMostPlanarEvaluations = 1e8;

void add_law(const Problem& problem, const Contestant& contestant, const std::vector<std::size_t>& recorded, Observer& observer,
             SamplerDiagnosis& out) {
  if (contestant.start) {
    out.law_absent = "the density of the states that it starts from is not known";
    return;
  }
  try {
    const double most = problem.lens->dim() == 1 ? kMostLawEvaluations : kMostPlanarEvaluations;
    const ChainLaw law = chain_law(*problem.lens, problem.modes, *contestant.sampler, problem.grid, recorded, {.max_evaluations = most}, observer);
    std::vector<double> kl, total_variation;
    for (const ChainLawAt& at : law.at) {
      kl.push_back(at.kl.value_or(std::numeric_limits<double>::quiet_NaN()));
      total_variation.push_back(at.total_variation);
    }
    add_curve(out, "kl", std::move(kl));
    add_curve(out, "law_total_variation", std::move(total_variation));
    out.law = NoiseFreeLaw{law.assigned_weights, law.at.back().total_variation, law.at.back().kl, law.error};
  } catch (const UnresolvedLaw& reason) {
    out.law_absent = reason.what();
  } catch (const InvalidArgument& reason) {
    out.law_absent = reason.what();
  }
}

}  // namespace

void add_path_findings(const Problem& problem, const DiagnoseOptions& options, const std::vector<Contestant>& contestants,
                       const std::vector<std::size_t>& recorded, const RandomStream& stream, Observer& observer,
                       std::vector<SamplerDiagnosis>& diagnoses) {
  const std::vector<double> times = at_recorded(problem.grid, recorded);
  const std::vector<SamplerSpec>& specs = options.samplers;
  std::vector<std::unique_ptr<Guidance>> guidances;
  std::vector<std::size_t> of;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (!has_guidance(specs[i])) continue;
    guidances.push_back(make_guidance(specs[i], problem.lens->denoiser(Measure::posterior)));
    of.push_back(i);
  }
  const std::vector<ScoreError> errors = score_errors(*problem.lens, guidances, times, stream.child("score error"), observer);
  const auto paths = measure_paths(problem, contestants, recorded, stream.child("path KL"), observer);
  for (std::size_t g = 0; g < of.size(); ++g) {
    add_curve(diagnoses[of[g]], "score_error", errors[g].error);
    if (!paths[of[g]]) add_girsanov(errors[g].girsanov_kl, times, diagnoses[of[g]]);
  }
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    if (paths[i]) add_path(*paths[i], problem.lens->schedule(), problem.grid, recorded, diagnoses[i]);
    if (contestants[i].sampler == nullptr || problem.lens->dim() > 2) continue;
    if (problem.lens->dim() == 1 || options.planar_laws) add_law(problem, contestants[i], recorded, observer, diagnoses[i]);
    else diagnoses[i].law_absent = "not asked for: in the plane it takes a minute or more";
  }
}

void add_mode_departures(const ExactReference& reference, const std::vector<TimeMeasurement>& at, double z, double margin,
                         SamplerDiagnosis& out) {
  const std::vector<double>& target = reference.mode_weights();
  out.mode_departures.assign(target.size(), std::nullopt);
  for (std::size_t i = 0; i < at.size(); ++i) {
    const std::vector<double>& sd = reference.at(i).mode_weight_sd;
    std::vector<double> low, high;
    for (std::size_t k = 0; k < sd.size(); ++k) {
      low.push_back(std::max(0.0, target[k] - z * sd[k]));
      high.push_back(std::min(1.0, target[k] + z * sd[k]));
      if (!at[i].mode_weights || out.mode_departures[k]) continue;
      // A sample that has missed a rare mode does not know its own error, and one that has too much of it has a larger one.
      const double error = std::max(at[i].mode_weights->standard_errors[k], sd[k]);
      const double distance = std::abs(at[i].mode_weights->weights[k] - target[k]);
      if (distance > z * error + kModeDeparture * margin) out.mode_departures[k] = at[i].t;
    }
    out.mode_weight_low.push_back(std::move(low));
    out.mode_weight_high.push_back(std::move(high));
  }
}

}  // namespace fslens
