// A calibration shown: for a terminal and for programs. Computes nothing.
#pragma once

#include <string>

#include "fslens/diagnosis/calibration.hpp"
#include "fslens/report/report.hpp"

namespace fslens {

/// The table of statistics, what was found and what each statistic may be made of.
std::string to_text(const CalibrationReport& report, const TextOptions& options = {});

/// calibration.json, schema 1 (docs/calibration.md). Undefined numbers are null.
std::string to_json(const CalibrationReport& report);

}  // namespace fslens
