// Run directories of commands: their default name, and the manifest that is written last.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include "fslens/io/run_directory.hpp"
#include "problem_source.hpp"

namespace fslens::app {

/// "fslens-runs/PROBLEM-TIME", with a number behind it if that exists.
std::string default_run_directory(const std::string& problem, std::time_t now);

/// What the manifest says of the call.
struct RunCall {
  std::string command_line;
  std::uint64_t seed = 0;
  std::size_t threads = 0;  ///< as given; 0: all cores
  std::string started;      ///< ISO 8601, UTC
};

/// Writes manifest.json with the checksums of the outputs, paths in the run directory, and gives the run its name. @throws IoError
void commit_run(RunDirectory& run, const RunCall& call, const std::vector<InputFile>& inputs, const std::vector<std::string>& outputs);

}  // namespace fslens::app
