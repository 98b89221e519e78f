// What is measured on a sampler's states: raw statistics, before any judgement.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "fslens/diagnosis/exact_reference.hpp"
#include "fslens/metrics/mode_weights.hpp"
#include "fslens/metrics/spread.hpp"

namespace fslens {

/// Statistics of the finite states at one judged time. Absent: not defined there.
struct TimeMeasurement {
  double t = 0.0;
  std::size_t num_finite = 0;
  std::optional<SpreadRatio> spread;              ///< Tr Cov over the exact one
  std::optional<SpreadRatio> spread_above_floor;  ///< the same with d s² taken from both
  std::vector<std::optional<SpreadRatio>> spread_along;  ///< along the principal directions
  std::optional<ModeWeights> mode_weights;        ///< W(t) from posterior responsibilities
  std::optional<ModeWeightsDistance> mode_tv;
  std::optional<double> sliced_w2_squared;        ///< against the reference's draws, biased: see its null
  std::optional<double> law_tv;                   ///< d ≤ 2
  StopErrors stop_rescaled;                       ///< errors of x̂_0 = (x − b)/a against exact x_0
  StopErrors stop_denoised;                       ///< errors of m(x, t); empty at t = 0
};

/// Statistics of the final states.
struct FinalMeasurement {
  std::size_t num_particles = 0;
  std::size_t num_finite = 0;
  std::optional<ModeWeights> mode_weights;
  std::optional<ModeWeightsDistance> mode_tv;
  std::size_t in_excluded_modes = 0;
  std::size_t at_excluded_atoms = 0;
  std::size_t fit_off_support = 0;
  std::size_t neither = 0;  ///< finite, neither fit nor on the support
  std::size_t repeated = 0; ///< equal to another one
  std::optional<double> sliced_w2_squared;
  double sliced_w2_squared_se = 0.0;  ///< √2 times that of a delete-a-group jackknife over the particles
  std::optional<EnergyDistance> energy;
  std::optional<MaximumMeanDiscrepancy> mmd;
  std::optional<double> ksd;
  double ksd_se = 0.0;
};

/// The rows that hold neither NaN nor Inf.
Matrix finite_rows(ConstBatchView x);
/// Standard error of SW2² between x and a sample of the same size, from leaving out one tenth of the particles at a time; 0 for fewer than
/// four particles.
double sliced_wasserstein_error(const Matrix& x, const ProjectedSample& reference);

TimeMeasurement measure_at(const ExactReference& reference, const Denoiser& denoiser, std::size_t index, ConstBatchView x);
FinalMeasurement measure_final(const ExactReference& reference, ConstBatchView x);

}  // namespace fslens
