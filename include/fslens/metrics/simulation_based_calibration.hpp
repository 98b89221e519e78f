// Simulation-based calibration: are the ranks of simulated truths among a sampler's draws uniform?
//
// Replicate r draws a truth θ_r from the prior, a measurement y_r given it, and L draws given y_r. For any fixed test quantity f(θ, y),
// the rank of f(θ_r, y_r) among those of the draws is uniform on 0 … L if the draws come from p(θ | y_r).
//
// Valid where the truths come from the very prior that the posterior is of, replicates are independent, and the L draws of a replicate are
// independent of each other and of the truth given y. What it cannot see: anything that f does not look at (two laws with the same f are
// the same to it), and errors that cancel in the average over y: draws from the prior, whatever y, have uniform ranks for every f of θ
// alone. Quantities that depend on y, such as log p(y | θ), see that (modrak2023simulation).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fslens/metrics/ecdf_band.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {

/// #{draws < truth} + a uniform number from 0 to #{draws = truth}: ties are broken at random, by particle `replicate` of `ties`.
/// Absent if the truth or a draw is not finite. @source talts2018validating, algorithm 1
std::optional<std::size_t> rank_of_truth(double truth, std::span<const double> draws, const RandomStream& ties, std::size_t replicate);

/// What R uniform ranks among L draws look like: bands and moments, computed once for all test quantities.
struct UniformRanks {
  std::size_t num_replicates = 0;
  std::size_t num_draws = 0;
  std::vector<double> cumulative;  ///< P(rank < i) = i/(L + 1) at i = 1 … L
  EcdfBand band;
  double deviation_median = 0.0;   ///< of max_i |F̂ − F|
  double confidence = 0.0;

  /// @throws InvalidArgument if R or L is 0, or confidence not in (0, 1)
  UniformRanks(std::size_t num_replicates, std::size_t num_draws, double confidence);
};

enum class Miscalibration {
  none,             ///< nothing certain
  over_confident,   ///< ranks pile up at both ends: the draws are too narrow
  under_confident,  ///< ranks pile up in the middle: the draws are too wide
  biased_low,       ///< ranks are high: the draws lie below the truths
  biased_high       ///< ranks are low: the draws lie above the truths
};
std::string to_string(Miscalibration direction);  ///< "none", "over-confident", "under-confident", "biased-low", "biased-high"

struct RankUniformity {
  std::vector<double> ecdf;        ///< F̂ = share of ranks < i, i = 1 … L
  bool within_band = false;        ///< F̂ stays within the simultaneous bands
  double max_deviation = 0.0;      ///< max_i |F̂ − i/(L + 1)|
  double mean_offset = 0.0;        ///< mean u − ½, u = (rank + ½)/(L + 1)
  double distance_offset = 0.0;    ///< mean |u − ½| less that of uniform ranks: minus half of what central intervals cover too much, over all levels
  Miscalibration direction = Miscalibration::none;  ///< by whichever of the two offsets is more standard errors from 0, if that is beyond chance
};

/// @throws InvalidArgument if there are not as many ranks as `uniform` is for, or one is above L
RankUniformity rank_uniformity(std::span<const std::size_t> ranks, const UniformRanks& uniform);

}  // namespace fslens
