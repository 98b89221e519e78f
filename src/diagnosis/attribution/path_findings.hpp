// When along the run a sampler's error is made: what is added to a diagnosis beside its checks.
#pragma once

#include <vector>

#include "fslens/diagnosis/contestant.hpp"
#include "fslens/diagnosis/diagnose.hpp"
#include "fslens/diagnosis/diagnosis.hpp"
#include "fslens/diagnosis/measurements.hpp"
#include "fslens/diagnosis/problem.hpp"

namespace fslens {

/// Adds score error, path KL and, for d ≤ 2, the law of the chain to the diagnoses of `contestants`, which stand in their order; the first of
/// them are options.samplers, and score errors are theirs alone. What a sampler does not have is absent, with the reason where that is not
/// plain.
void add_path_findings(const Problem& problem, const DiagnoseOptions& options, const std::vector<Contestant>& contestants,
                       const std::vector<std::size_t>& recorded, const RandomStream& stream, Observer& observer,
                       std::vector<SamplerDiagnosis>& diagnoses);

/// Adds the band Ω_k ± z sd of each mode's weight at each time, sd that of resampled exact draws, and the first time at which W_k is
/// outside of it by more than a tenth of the margin of mode-weights. z holds over contestants × times × modes.
void add_mode_departures(const ExactReference& reference, const std::vector<TimeMeasurement>& at, double z, double margin,
                         SamplerDiagnosis& out);

}  // namespace fslens
