// One exact reference, and any number of samplers that are judged by it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/diagnosis/contestant.hpp"
#include "fslens/diagnosis/diagnosis.hpp"
#include "fslens/diagnosis/exact_reference.hpp"
#include "fslens/diagnosis/finite_sample_error.hpp"
#include "fslens/diagnosis/measurement_fit.hpp"
#include "fslens/diagnosis/problem.hpp"
#include "fslens/diagnosis/recording.hpp"

namespace fslens {

/// For which samplers hand-off and entry sweeps are run.
enum class Sweeps { none, unless_passed, all };

class BudgetMaker;

/// Exact draws, null bands and the runs of the exact score are made once and serve every sampler.
class Court {
 public:
  struct Rules {
    double z = 0.0;       ///< standard errors to the lower end of an effect: simultaneous_z over all that one verdict is made of
    double mode_z = 0.0;  ///< the same for the bands of mode weights
    bool error_budget = true;
    Sweeps sweeps = Sweeps::unless_passed;
  };
  /// Lower ends hold together with probability 1 − false_alarm_rate, over all checks and times of samplers of which each is judged at
  /// num_times[i] times. @throws InvalidArgument if there is none, or the rate is not in [1e-9, 0.5]
  static Rules rules(double false_alarm_rate, const std::vector<std::size_t>& num_times, std::size_t num_modes);

  /// @param times decreasing; for samplers that are run, some of the problem's grid; 0 only as the last
  Court(const Problem& problem, std::vector<double> times, std::size_t num_particles, const MeasurementFit& fit, const Rules& rules,
        const RandomStream& stream, Observer& observer);
  ~Court();

  const ExactReference& reference() const { return reference_; }
  /// Of the lens, which is the same for all. Absent where the prior is known completely.
  const std::optional<FiniteSampleError>& finite_sample_error() const { return finite_; }

  /// Runs the sampler, or draws exactly where it has none. @param stream the sampler's own random numbers
  /// @throws InvalidArgument unless the court's times are some of the grid's, the first and the last among them
  SamplerDiagnosis judge(const Contestant& contestant, const RandomStream& stream);
  /// @throws InvalidArgument unless the recording has this court's times, number of particles and dimension
  SamplerDiagnosis judge(const Recording& recording);

 private:
  BudgetMaker& budget();
  bool wants_sweeps(Verdict verdict) const;

  const Problem& problem_;
  Rules rules_;
  RandomStream stream_;
  Observer& observer_;
  std::shared_ptr<const Denoiser> denoiser_;
  MeasurementFit fit_;
  ExactReference reference_;
  std::optional<FiniteSampleError> finite_;
  std::unique_ptr<BudgetMaker> budget_;  // made when the first budget is asked for
};

}  // namespace fslens
