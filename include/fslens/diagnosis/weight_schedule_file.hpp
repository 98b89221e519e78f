// Guidance weights along t, in files: what the parameter `schedule` of a sampler names.
#pragma once

#include <string>

#include "fslens/guidance/scheduled_guidance.hpp"
#include "fslens/samplers/registry.hpp"

namespace fslens {

/// Reads ζ(t): an .npz archive with `t` (T,) and `weight` (T,), or a table of two columns whose first line is "t,weight".
/// @throws DataError naming the file and the rule
WeightSchedule read_weight_schedule(const std::string& path);
/// The table that read_weight_schedule reads back to the last bit.
std::string to_csv(const WeightSchedule& schedule);

/// The spec with the schedule that it names, if it names one, read in. @throws as read_weight_schedule
SamplerSpec with_schedule_read(SamplerSpec spec);

}  // namespace fslens
