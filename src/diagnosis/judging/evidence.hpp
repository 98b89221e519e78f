// What is gathered of one sampler while it runs, and what a report shows of it.
#pragma once

#include <cstddef>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/diagnosis/contestant.hpp"
#include "fslens/diagnosis/diagnosis.hpp"
#include "fslens/diagnosis/measurements.hpp"
#include "fslens/diagnosis/recording.hpp"

namespace fslens {

struct Evidence {
  std::vector<TimeMeasurement> at;  ///< one for each time of the reference
  FinalMeasurement final;
  Matrix last_states;               ///< as many as a budget asks for
  double seconds = 0.0;
  std::size_t first_bad_step = 0;   ///< after which a state was not finite; 0: never
};

/// Runs a sampler on the problem's grid and measures its states at the times of the reference, which are some of the grid's.
Evidence evidence_of(const Problem& problem, const ExactReference& reference, const Denoiser& denoiser, const Contestant& contestant,
                     const RandomStream& stream, Observer& observer);
/// Exact draws, anew at each time.
Evidence evidence_of_exact(const Problem& problem, const ExactReference& reference, const Denoiser& denoiser, const RandomStream& stream,
                           Observer& observer);
Evidence evidence_of(const ExactReference& reference, const Denoiser& denoiser, const Recording& recording, Observer& observer);

/// Statistics against t with the bands of exact draws.
std::vector<Curve> make_curves(const ExactReference& reference, const Evidence& evidence);
/// `final` and `intervals` of a diagnosis.
void fill_final(const ExactReference& reference, const Evidence& evidence, SamplerDiagnosis& out);

}  // namespace fslens
