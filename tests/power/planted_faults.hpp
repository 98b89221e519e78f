// Faults of one kind each, with the check or the row of the budget that must name them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fslens/diagnosis/diagnosis.hpp"

namespace fslens::test {

/// A problem with its court, before which runs with the fault are judged one after another.
class Trial {
 public:
  virtual ~Trial() = default;
  /// Runs with different numbers are independent, but for the court's own exact draws.
  virtual SamplerDiagnosis judge(std::uint64_t run) = 0;
};

struct PlantedFault {
  std::string name;
  std::string setting;        ///< problem, particles and steps, for the table
  std::string blamed;         ///< id of a check, or name of a row
  bool in_budget = false;     ///< `blamed` is a row
  std::size_t runs_per_trial = 1;
  std::function<std::unique_ptr<Trial>(std::uint64_t seed)> open;
  /// Beyond that the check fails, or that the row is the largest; null: nothing more.
  std::function<bool(const SamplerDiagnosis&)> also;

  bool detected(const SamplerDiagnosis& diagnosis) const { return diagnosis.verdict == Verdict::fail; }
  bool attributed(const SamplerDiagnosis& diagnosis) const;
};

/// All of them, in the order of the table. The gates are strict: margins of 0.05 posterior standard deviations, 0.1 in log variance and
/// 0.01 of the modes' mass.
std::vector<PlantedFault> planted_faults();

/// A few of them on the handwritten digits (64 dimensions, 1,796 images, 4 measurements), under the default margins.
std::vector<PlantedFault> faults_on_digits();

/// Runs without any fault before the same courts, so that it shows that it is the faults that are seen.
std::vector<PlantedFault> unharmed_runs();

}  // namespace fslens::test
