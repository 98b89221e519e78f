// From ranks to verdicts: what a calibration's numbers say of each sampler.
#pragma once

#include <optional>
#include <vector>

#include "fslens/diagnosis/calibration.hpp"
#include "fslens/diagnosis/checks.hpp"

namespace fslens {

/// One contestant's ranks, as they were gathered. A replicate with a draw that is not finite has none.
struct RankTable {
  std::vector<std::vector<std::optional<std::size_t>>> of;  ///< [statistics that have ranks][R]
};

/// Fills the levels, bands, detectable effect and, of every sampler, rank results, check and status, and the verdict. `report` has replicates,
/// draws, statistics and the samplers' names and options; tables and traits stand in the order of its samplers, the control first.
void judge_calibration(const std::vector<RankTable>& tables, const std::vector<SamplerTraits>& traits, double margin,
                       CalibrationReport& report);

}  // namespace fslens
