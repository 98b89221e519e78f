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
  std::string precision;               ///< --precision; empty: not given
  std::optional<double> tolerance;     ///< --tolerance, which wins over --precision
  bool exact_scan = false;             ///< --exact-scan
};

struct ResolvedProblem {
  std::string name;
  ProblemSpec spec;
  std::vector<std::string> input_files;  ///< the problem file and every array file that it names, but for its samplers
};

/// Reads a problem file, or the built-in problem of that name. @throws UsageError, DataError
ResolvedProblem resolve_problem(const ProblemArguments& arguments);

/// "NAME[:key=value,…]" as an entry of a problem file: the file that it names with `schedule` is relative to the working directory.
/// @throws UsageError on an unknown name or key
SamplerEntry sampler_entry(const std::string& text);
/// The same, ready to be made, with its schedule read. @throws UsageError, DataError
SamplerSpec sampler_spec(const std::string& text);
/// A file that a run was made from, as it was when the run began.
struct InputFile {
  std::string path;
  std::string sha256;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t modified = 0;  ///< nanoseconds
};
/// @throws DataError, IoError
InputFile fingerprint(const std::string& path);
/// @throws DataError if one but the first was changed where it lies. Another file in its place, or none, is well: the first stays mapped.
void require_not_overwritten(const std::vector<InputFile>& inputs);
/// What a problem and its samplers are made from. The first is the problem file, which is read whole before anything else.
std::vector<InputFile> fingerprints(const ResolvedProblem& resolved);

/// Name and path of every built-in problem, by name.
std::vector<std::pair<std::string, std::string>> builtin_problems();
/// The folder that holds them. @throws DataError if there is none: the installation is incomplete
std::string problem_folder();

}  // namespace fslens::app
