#include "run_files.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <filesystem>
#include <thread>

#include "fslens/io/file.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/report/report.hpp"

namespace fslens::app {

std::string default_run_directory(const std::string& problem, std::time_t now) {
  const std::string base = fmt::format("fslens-runs/{}-{:%Y%m%d-%H%M%S}", problem, fmt::localtime(now));
  std::string path = base;
  for (int n = 2; std::filesystem::exists(path); ++n) path = fmt::format("{}-{}", base, n);
  return path;
}

void commit_run(RunDirectory& run, const RunCall& call, const std::vector<InputFile>& inputs, const std::vector<std::string>& outputs) {
  Manifest manifest{FSLENS_VERSION, kernel_target_name(), call.command_line, call.seed,
                    call.threads > 0 ? call.threads : std::thread::hardware_concurrency(), call.started, {}, {}};
  for (const InputFile& input : inputs) manifest.inputs.emplace_back(input.path, input.sha256);
  for (const std::string& file : outputs) manifest.outputs.emplace_back(file, sha256_file(run.path(file)));
  write_file_atomically(run.path("manifest.json"), to_json(manifest));
  run.commit();
}

}  // namespace fslens::app
