#include "run_record.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <filesystem>
#include <thread>

#include "console.hpp"
#include "fslens/io/file.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/report/report.hpp"

namespace fslens::app {

int exit_code(Verdict verdict, const std::string& fail_on) {
  if (fail_on == "never" || verdict == Verdict::pass) return kExitPass;
  if (verdict == Verdict::fail) return kExitFail;
  return fail_on == "inconclusive" ? kExitInconclusive : kExitPass;
}

std::string default_run_directory(const std::string& name, std::time_t now) {
  const std::string base = fmt::format("fslens-runs/{}-{:%Y%m%d-%H%M%S}", name, fmt::localtime(now));
  std::string path = base;
  for (int n = 2; std::filesystem::exists(path); ++n) path = fmt::format("{}-{}", base, n);
  return path;
}

std::string utc_time(std::time_t time) { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(time)); }

std::string json_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else out += c;
  }
  return out + "\"";
}

void commit_with_manifest(const RunFacts& facts, const std::vector<InputFile>& inputs, const std::vector<std::string>& outputs,
                          RunDirectory& run) {
  Manifest manifest{FSLENS_VERSION, kernel_target_name(), facts.command_line, facts.seed,
                    facts.threads > 0 ? facts.threads : std::thread::hardware_concurrency(), utc_time(facts.started), {}, {}};
  for (const InputFile& input : inputs) manifest.inputs.emplace_back(input.path, input.sha256);
  for (const std::string& file : outputs) manifest.outputs.emplace_back(file, sha256_file(run.path(file)));
  write_file_atomically(run.path("manifest.json"), to_json(manifest));
  run.commit();
}

}  // namespace fslens::app
