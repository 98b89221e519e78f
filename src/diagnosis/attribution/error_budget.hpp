// Whose fault it is: runs that differ in one thing each, and sweeps over the time at which one sampler takes over from another.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "end_distance.hpp"
#include "fslens/diagnosis/contestant.hpp"
#include "fslens/diagnosis/finite_sample_error.hpp"
#include "fslens/diagnosis/measurement_fit.hpp"
#include "fslens/diagnosis/recording.hpp"

namespace fslens {

/// Particles of each run of a budget, and of a sweep: 1,024 and 256 where there are many dimensions, a fraction of the run that is judged; more
/// where they cost little, since a hundredth of a rare mode needs thousands.
std::size_t budget_particles(std::size_t num_particles, std::size_t dim);
std::size_t sweep_particles(std::size_t num_particles, std::size_t dim);
/// Of the runs without a measurement: 512 where there are many dimensions, as it is asked only whether something is there.
std::size_t dynamics_particles(std::size_t num_particles, std::size_t dim);

/// What is common to the budgets of all contestants of a problem. Runs of the exact score are made once for each integrator and start.
class BudgetMaker {
 public:
  /// `reference`: of the contestants' last time and number of particles. `fit` and `finite`: absent, the rows are too.
  BudgetMaker(const Problem& problem, const ExactReference& reference, const MeasurementFit& fit,
              const std::optional<FiniteSampleError>& finite, const RandomStream& stream, Observer& observer);

  /// `final`: the final states that were judged, or the first budget_particles of them. @cost up to three runs
  ErrorBudget of_contestant(const Contestant& contestant, ConstBatchView final);
  ErrorBudget of_exact(ConstBatchView final);
  ErrorBudget of_recording(const Recording& recording);
  /// Hand-off and entry sweeps over nine times, equally spaced in log-SNR. @cost about ten runs of sweep_particles
  ErrorLocation locate(const Contestant& contestant);
  /// The hand-off sweep alone, over the recorded times: nobody can enter a recording.
  std::optional<ErrorLocation> locate(const Recording& recording);

 private:
  Matrix run(const PosteriorSampler& sampler, Matrix start, double from, const RandomStream& stream);
  const PosteriorSampler& exact_score(Integrator integrator, double eta);
  RandomStream unguided_stream() const;
  std::optional<BudgetEntry> dynamics_row(const Contestant& contestant);
  const Matrix& prior_score_from_noise(Integrator integrator, double eta, std::size_t count);
  Matrix noise(std::size_t count, const RandomStream& stream) const;
  const Matrix& exact_score_from_exact(Integrator integrator, double eta);
  const Matrix& exact_score_from_noise(Integrator integrator, double eta);
  Matrix start_of(const Contestant& contestant, std::size_t count, const RandomStream& stream) const;
  Matrix exact_draws(std::size_t count, double t, const RandomStream& stream) const;
  void set_measurement_row(const MeasurementFit& fit);
  const EndDistance& sweep_distance();

  const Problem& problem_;
  const ExactReference& reference_;
  RandomStream stream_;
  Observer& observer_;
  InterruptsOnly quiet_;  // of runs that are parts of one stage
  std::size_t particles_;
  EndDistance distance_;
  ErrorBudget common_;
  std::map<std::pair<Integrator, double>, std::unique_ptr<PosteriorSampler>> exact_scores_;
  std::map<std::pair<Integrator, double>, Matrix> from_exact_, from_noise_, prior_from_noise_;
  std::unique_ptr<EndDistance> sweep_distance_;  // made when it is asked for
};

/// Fills `begin`, `half`, `end` and `finding` from the points. For BudgetMaker, and its tests.
void interpret_sweeps(const NoiseSchedule& schedule, ErrorLocation& location);

}  // namespace fslens
