#include "evidence.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "error_budget.hpp"
#include "fslens/core/error.hpp"

namespace fslens {
namespace {

/// Where `times` stand in the grid. @throws InvalidArgument if one does not
std::vector<std::size_t> indices_of(const std::vector<double>& times, const std::vector<double>& grid) {
  std::vector<std::size_t> indices;
  for (const double t : times) {
    const auto found = std::ranges::find(grid, t);
    require(found != grid.end(), "times", std::to_string(t), "must be a time of the problem's grid: a sampler that is run has no other states");
    indices.push_back(static_cast<std::size_t>(found - grid.begin()));
  }
  return indices;
}

void measure_end(const ExactReference& reference, ConstBatchView x, Evidence& evidence) {
  evidence.final = measure_final(reference, x);
  evidence.last_states = first_rows(x, budget_particles(x.rows(), x.cols()));
}

}  // namespace

Evidence evidence_of(const Problem& problem, const ExactReference& reference, const Denoiser& denoiser, const Contestant& contestant,
                     const RandomStream& stream, Observer& observer) {
  Evidence evidence;
  const std::vector<std::size_t> judged = indices_of(reference.times(), problem.grid);
  const RandomStream initial = stream.child("initial state");
  const std::size_t count = reference.num_particles();
  Matrix start = contestant.start ? contestant.start(count, initial)
                                  : initial_states(problem.lens->schedule(), problem.grid.front(), count, problem.lens->dim(), initial);
  const SamplerRun run = run_sampler(*contestant.sampler, problem.grid, std::move(start), stream, observer,
                                     [&](std::size_t, double, ConstBatchView x) {
                                       evidence.at.push_back(measure_at(reference, denoiser, evidence.at.size(), x));
                                     },
                                     0, judged);
  measure_end(reference, run.x, evidence);
  evidence.seconds = run.seconds;
  evidence.first_bad_step = run.first_bad_step;
  return evidence;
}

Evidence evidence_of_exact(const Problem& problem, const ExactReference& reference, const Denoiser& denoiser, const RandomStream& stream,
                           Observer& observer) {
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

}  // namespace fslens
