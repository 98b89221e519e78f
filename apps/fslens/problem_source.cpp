#include "problem_source.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "fslens/core/error.hpp"
#include "fslens/diagnosis/weight_schedule_file.hpp"
#include "fslens/io/file.hpp"

namespace fslens::app {
namespace {

namespace fs = std::filesystem;

void collect(const std::optional<ArrayRef>& ref, std::set<std::string>& files) {
  if (!ref || ref->is_inline()) return;
  // "archive.npz:key" names a file and a part of it.
  std::string path = ref->path;
  if (!fs::exists(path)) path = path.substr(0, path.rfind(':'));
  if (fs::is_regular_file(path)) files.insert(path);
}

void collect(const OperatorSpec& spec, std::set<std::string>& files) {
  for (const auto* ref : {&spec.matrix, &spec.bias, &spec.indices, &spec.mask, &spec.kernel, &spec.kernel_y, &spec.angles})
    collect(*ref, files);
  for (const OperatorSpec& part : spec.operators) collect(part, files);
}

std::vector<std::string> input_files(const std::string& problem_file, const ProblemSpec& spec) {
  std::set<std::string> files;
  for (const auto* ref : {&spec.prior.atoms, &spec.prior.weights, &spec.prior.labels, &spec.prior.mean, &spec.prior.cov,
                          &spec.prior.means, &spec.prior.covs, &spec.schedule.betas, &spec.noise.sigmas, &spec.noise.covariance,
                          &spec.measurement.y, &spec.modes.labels})
    collect(*ref, files);
  collect(spec.forward_operator, files);
  std::vector<std::string> out = {problem_file};
  out.insert(out.end(), files.begin(), files.end());
  return out;
}

std::int64_t modification_time(const struct stat& status) {
  return std::int64_t{1'000'000'000} * status.st_mtim.tv_sec + status.st_mtim.tv_nsec;
}

}  // namespace

SamplerEntry sampler_entry(const std::string& text) {
  SamplerSpec spec = parse_sampler_spec(text);
  resolved_parameters(spec);
  if (const auto named = spec.parameters.find("schedule"); named != spec.parameters.end())
    named->second = fs::absolute(named->second).lexically_normal().string();
  return {spec.name, spec.parameters};
}

SamplerSpec sampler_spec(const std::string& text) {
  SamplerEntry entry = sampler_entry(text);
  return with_schedule_read({std::move(entry.name), std::move(entry.parameters)});
}

InputFile fingerprint(const std::string& path) {
  struct stat status {};
  ::stat(path.c_str(), &status);  // before it is read, so that no change goes unseen; a file that is not there cannot be
  return {path, sha256_file(path), status.st_ino, static_cast<std::uint64_t>(status.st_size), modification_time(status)};
}

std::vector<InputFile> fingerprints(const ResolvedProblem& resolved) {
  std::vector<InputFile> inputs;
  for (const std::string& file : resolved.input_files) inputs.push_back(fingerprint(file));
  std::set<std::string> schedules;
  for (const SamplerEntry& sampler : resolved.spec.samplers)
    if (const auto named = sampler.parameters.find("schedule"); named != sampler.parameters.end()) schedules.insert(named->second);
  for (const std::string& file : schedules) inputs.push_back(fingerprint(file));
  return inputs;
}

void require_not_overwritten(const std::vector<InputFile>& inputs) {
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    const InputFile& file = inputs[i];
    struct stat status {};
    if (::stat(file.path.c_str(), &status) != 0 || status.st_ino != file.inode) continue;
    if (static_cast<std::uint64_t>(status.st_size) != file.size || modification_time(status) != file.modified)
      throw DataError(file.path, "was overwritten during the run, which reads large arrays from it until its end; run again, and "
                                 "write a new version beside the old one, then rename it");
  }
}

std::string problem_folder() {
  std::vector<fs::path> candidates;
  if (const char* given = std::getenv("FSLENS_DATA_DIR")) candidates.push_back(fs::path(given) / "problems");
  std::error_code ignored;
  const fs::path executable = fs::read_symlink("/proc/self/exe", ignored);
  candidates.push_back(executable.parent_path().parent_path() / "share" / "fslens" / "problems");
  candidates.push_back(fs::path(FSLENS_SOURCE_DIR) / "problems");
  for (const fs::path& folder : candidates)
    if (fs::is_directory(folder)) return folder.string();
  throw DataError(candidates.front().string(), "the built-in problems are not installed; set FSLENS_DATA_DIR to the folder that holds problems/ and data/");
}

std::vector<std::pair<std::string, std::string>> builtin_problems() {
  std::vector<std::pair<std::string, std::string>> problems;
  for (const auto& entry : fs::directory_iterator(problem_folder()))
    if (entry.path().extension() == ".toml") problems.emplace_back(entry.path().stem().string(), entry.path().string());
  std::sort(problems.begin(), problems.end());
  return problems;
}

ResolvedProblem resolve_problem(const ProblemArguments& arguments) {
  std::string path = arguments.problem;
  if (!path.ends_with(".toml") && path.find('/') == std::string::npos) {
    std::vector<std::string> names;
    path.clear();
    for (const auto& [name, file] : builtin_problems()) {
      names.push_back(name);
      if (name == arguments.problem) path = file;
    }
    if (path.empty())
      throw UsageError(unknown_name_message("problem", arguments.problem, names) + " (a problem file ends in .toml)");
  }
  std::vector<std::string> overrides = arguments.overrides;
  if (arguments.seed) overrides.push_back(fmt::format("run.seed={}", *arguments.seed));
  ResolvedProblem out;
  out.name = fs::path(path).stem().string();
  out.spec = read_problem_file(path, overrides);
  RunSpec& run = out.spec.run;
  if (!arguments.precision.empty()) {
    run.precision = arguments.precision;
    run.tolerance = tolerance_of_precision(arguments.precision);
  }
  run.tolerance = arguments.tolerance.value_or(run.tolerance);
  run.exact_scan = run.exact_scan || arguments.exact_scan;
  out.input_files = input_files(path, out.spec);
  return out;
}

}  // namespace fslens::app
