// Coverage of credible regions at every level: central intervals, and regions of highest density or nearest to a point.
//
// A region of nominal level α made of a sampler's draws holds the truth with probability α if the draws come from the posterior. Levels are
// those at which this is exact for L draws, so nothing is lost to interpolation. Valid under the conditions of simulation-based calibration.
// Coverage of central intervals cannot see a bias that is made up for by too much width; coverage of regions of highest density cannot see an
// error that keeps the law of log p(x | y), such as draws of one of two like modes; neither sees errors that cancel in the average over y.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fslens/metrics/ecdf_band.hpp"
#include "fslens/metrics/intervals.hpp"

namespace fslens {

/// Nested regions: which ranks of the truth lie within each, for L draws.
struct CoverageLevels {
  std::vector<double> level;              ///< ascending in (0, 1): what uniform ranks cover [K]
  std::vector<std::size_t> first, last;   ///< the region holds the truth if first ≤ rank ≤ last [K]
  EcdfBand band;                          ///< of the share of R truths that calibrated regions hold, all levels together

  /// Between the order statistics j and L + 1 − j of the draws: level (L + 1 − 2j)/(L + 1). `rank` is that of the truth among them.
  /// @throws InvalidArgument if L < 2, R = 0 or confidence is not in (0, 1)
  static CoverageLevels central(std::size_t num_replicates, std::size_t num_draws, double confidence);
  /// Bounded by the k-th draw in an order (descending density; ascending distance from a point): level k/(L + 1).
  /// `rank` is the number of draws before the truth in that order. @throws InvalidArgument as above, for L < 1
  static CoverageLevels nested(std::size_t num_replicates, std::size_t num_draws, double confidence);
};

struct CoverageCurve {
  std::vector<double> coverage;              ///< share of the truths within each region [K]
  std::vector<ConfidenceInterval> interval;  ///< Clopper–Pearson, for each level alone [K]
  bool within_band = false;
};

/// @throws InvalidArgument if there are no ranks
CoverageCurve credible_coverage(std::span<const std::size_t> ranks, const CoverageLevels& levels, double confidence = 0.95);

/// The index of the level nearest to `level`.
std::size_t nearest_level(const CoverageLevels& levels, double level);

}  // namespace fslens
