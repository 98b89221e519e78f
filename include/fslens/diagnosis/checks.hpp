// From measurements to verdicts: effects with intervals against margins.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "fslens/diagnosis/diagnosis.hpp"
#include "fslens/diagnosis/measurement_fit.hpp"
#include "fslens/diagnosis/measurements.hpp"

namespace fslens {

/// What advice needs to know of a sampler beside its numbers.
struct SamplerTraits {
  std::string name;        ///< of the catalogue, "exact", or "" for a recording made elsewhere
  std::string integrator;  ///< "euler-maruyama", …
  std::string spacing;     ///< "uniform", …
  std::size_t steps = 0;
};

/// A departure of the modes' weights that is certain and still negligible is not one: it must exceed this share of the margin.
inline constexpr double kModeDeparture = 0.1;

struct JudgingContext {
  const ExactReference& reference;
  std::map<std::string, double> margins;
  double z = 0.0;  ///< lower ends are z standard errors away: simultaneous over samplers, checks and times
  bool is_population = false;
  SamplerTraits traits;
  bool is_smoothed = false;             ///< the lens is a smoothed one
  const MeasurementFit* fit = nullptr;  ///< null: the measurement's fit is not run
};

/// z for intervals that hold together with probability 1 − false_alarm_rate over `num_tests` (Bonferroni).
double simultaneous_z(double false_alarm_rate, std::size_t num_tests);
/// How many intervals a sampler that is judged at `num_times` gets.
std::size_t tests_per_sampler(std::size_t num_times);

/// All checks of a diagnosis, in the order of check_catalogue(). `at` holds one measurement a time of the reference.
std::vector<Check> run_checks(const JudgingContext& context, const std::vector<TimeMeasurement>& at,
                              const FinalMeasurement& final);

/// Cause and next step for a check that did not pass.
/// `direction` < 0: too narrow or too little; > 0: too wide or too much; 0: neither.
std::string advise(const std::string& check, const SamplerTraits& traits, double direction, double t);

}  // namespace fslens
