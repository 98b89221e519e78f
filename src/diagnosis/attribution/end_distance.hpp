// Distances between laws of final states, in posterior standard deviations.
#pragma once

#include <optional>

#include "fslens/diagnosis/diagnosis.hpp"
#include "fslens/diagnosis/exact_reference.hpp"

namespace fslens {

/// Sliced W2 between samples of `particles` states, less what two exact samples of that size show.
class EndDistance {
 public:
  EndDistance(const ExactReference& reference, std::size_t particles, const RandomStream& stream);

  std::size_t particles() const { return particles_; }
  /// The floor itself: root mean square and central 95 % of SW2 between two exact samples.
  BudgetEntry floor() const;
  /// Absent if fewer than kFewestParticles states of a sample are finite. @shape [particles, d]
  std::optional<BudgetEntry> to_exact(ConstBatchView x) const;
  std::optional<BudgetEntry> between(ConstBatchView x, ConstBatchView y) const;
  /// The same of two runs of any law that had the same start and the same random numbers, particle by particle: what chance moves in one it
  /// moves in the other. What is left of chance, which is of order 1/B whether they stayed together or not, a jackknife over pairs takes away.
  std::optional<BudgetEntry> between_coupled(ConstBatchView x, ConstBatchView y) const;

 private:
  std::optional<BudgetEntry> entry(ConstBatchView x, const ProjectedSample& other, double width) const;
  double in_units(double squared) const;

  SlicedProjections projections_;
  std::size_t particles_;
  double variance_;                       // Tr Cov of exact draws
  double scale_;
  std::optional<ProjectedSample> exact_;  // as many draws as there are particles
  NullBand null_;                         // of SW2² between two exact samples
};

}  // namespace fslens
