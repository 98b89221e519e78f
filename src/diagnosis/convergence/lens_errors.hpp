// The errors of one lens of atoms against the exact posterior.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "density_grid.hpp"
#include "fslens/diagnosis/convergence.hpp"

namespace fslens {

/// What is measured, in the order in which LensErrors::of gives it.
struct ErrorStatistic {
  std::string name;
  std::optional<double> t;
  double floor = 0.0;                  ///< what the exact side is off by
  std::optional<double> saturation;    ///< an error above it has no room to follow a power law: it is bounded
};

class LensErrors {
 public:
  /// @param times > 0
  LensErrors(const AnalyticProblem& problem, ExactPosterior exact, std::vector<double> times);

  const ExactPosterior& exact() const { return exact_; }
  const std::vector<ErrorStatistic>& statistics() const { return statistics_; }
  const std::vector<AbsentStatistic>& absent() const { return absent_; }
  /// @param mode_of_atom the component of the prior that each atom was drawn from [N]. @shape result [statistics]
  std::vector<double> of(const AtomsLens& lens, const std::vector<std::size_t>& mode_of_atom) const;

 private:
  /// √(E ‖Δ ∇log p_t(x | y)‖² s²/d) over exact draws x.
  struct ScoreProbe {
    double t;
    Matrix draws;
    Matrix exact_score;
    double error(const AtomsLens& measured, const NoiseSchedule& schedule) const;
  };

  std::size_t dim() const { return exact_.lens->dim(); }
  double mode_weights_error(const std::vector<double>& weights, const std::vector<std::size_t>& mode_of_atom) const;

  ExactPosterior exact_;
  Moments moments_;
  SlicedProjections projections_;
  ProjectedLaw projected_;
  std::vector<DensityGrid> grids_;
  std::vector<ScoreProbe> probes_;
  std::vector<ErrorStatistic> statistics_;
  std::vector<AbsentStatistic> absent_;
};

}  // namespace fslens
