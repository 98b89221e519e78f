// What the commands that judge samplers leave of a run beside its results, and how they exit.
#pragma once

#include <cstddef>
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

/// fslens-runs/NAME-TIME, with a number where that is taken.
std::string default_run_directory(const std::string& name, std::time_t now);
/// "2026-01-31T12:00:00Z"
std::string utc_time(std::time_t time);
std::string json_string(const std::string& text);


struct RunFacts {
  std::string command_line;
  std::uint64_t seed = 0;
  std::size_t threads = 0;  ///< 0: all cores
  std::time_t started = 0;
};
/// Writes manifest.json with the checksums of inputs and of `outputs`, which lie in the run already, and gives the run its name.
void commit_with_manifest(const RunFacts& facts, const std::vector<InputFile>& inputs, const std::vector<std::string>& outputs,
                          RunDirectory& run);

}  // namespace fslens::app
