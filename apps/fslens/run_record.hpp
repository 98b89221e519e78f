// What the commands that judge samplers write of a run beside its results, and how they exit.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include "fslens/diagnosis/diagnosis.hpp"
#include "fslens/io/run_directory.hpp"
#include "problem_source.hpp"

namespace fslens::app {

/// `fail_on`: "fail", "inconclusive" or "never", what makes the exit code differ from 0.
int exit_code(Verdict verdict, const std::string& fail_on);

/// fslens-runs/NAME-TIME, with a number behind it where that exists.
std::string default_run_directory(const std::string& name, std::time_t now);

std::string time_of_day(std::time_t time);  ///< ISO 8601, UTC
std::string json_string(const std::string& text);

/// The checksums of what the run is made from, before anything of it is used.
std::vector<InputFile> fingerprints(const ResolvedProblem& resolved);
/// @throws DataError if an array file changed meanwhile; the problem file itself was read whole
void require_arrays_not_overwritten(const std::vector<InputFile>& inputs, const ResolvedProblem& resolved);

struct RunOrigin {
  std::string command_line;
  std::uint64_t seed = 0;
  std::size_t threads = 0;  ///< 0: all cores
  std::string started;
};
/// manifest.json with the checksums of `outputs`, paths in the run that are written already.
void write_manifest(const RunOrigin& origin, const std::vector<InputFile>& inputs, const std::vector<std::string>& outputs,
                    const RunDirectory& run);

}  // namespace fslens::app
