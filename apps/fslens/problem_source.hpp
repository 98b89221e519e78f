// Where problems come from: a file, or the name of a built-in one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fslens/diagnosis/problem.hpp"

namespace fslens::app {

inline constexpr const char* kDefaultProblem = "digits-superres";

/// What a user says of a problem on the command line.
struct ProblemArguments {
  std::string problem = kDefaultProblem;
  std::vector<std::string> overrides;  ///< --set key=value
  std::optional<std::uint64_t> seed;   ///< --seed
};

struct ResolvedProblem {
  std::string name;
  ProblemSpec spec;
  std::vector<std::string> input_files;  ///< the problem file and every array file that it names
};

/// Reads a problem file, or the built-in problem of that name. @throws UsageError, DataError
ResolvedProblem resolve_problem(const ProblemArguments& arguments);

/// Name and path of every built-in problem, by name.
std::vector<std::pair<std::string, std::string>> builtin_problems();
/// The folder that holds them. @throws DataError if there is none: the installation is incomplete
std::string problem_folder();

}  // namespace fslens::app
