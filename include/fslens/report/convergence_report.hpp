// The convergence of lenses shown: for a terminal, for programs, for plots. Computes nothing.
#pragma once

#include <string>

#include "fslens/diagnosis/convergence.hpp"
#include "fslens/report/report.hpp"

namespace fslens {

/// Errors at some of the sizes with the rate of each, then how the lenses compare.
std::string to_text(const Convergence& convergence, const TextOptions& options = {});

/// convergence.json, schema 1 (docs/convergence.md). Undefined numbers are null.
std::string to_json(const Convergence& convergence);

/// One line an error: lens,statistic,t,atoms,repetition,error. `t` is empty for statistics of x_0.
std::string to_csv(const Convergence& convergence);

}  // namespace fslens
