// From the plain TOML document to ProblemSpec, table by table.
#pragma once

#include <string>

#include "fslens/io/problem_file.hpp"
#include "problem_section.hpp"
#include "toml_value.hpp"

namespace fslens::io {

ProblemSpec read_problem(const TomlValue& document, const std::string& folder);

PriorSpec read_prior(const ProblemSection& section);
ScheduleSpec read_schedule(const ProblemSection& section);
OperatorSpec read_operator(const ProblemSection& section);

}  // namespace fslens::io
