#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "console.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/tuning.hpp"
#include "fslens/diagnosis/weight_schedule_file.hpp"
#include "fslens/io/file.hpp"
#include "fslens/report/report.hpp"
#include "run_record.hpp"

namespace fslens::app {
namespace {

constexpr const char* kScheduleFile = "schedule.csv";
constexpr const char* kTemperedFile = "schedule-tempered.csv";

struct TuneArguments {
  ProblemArguments problem;
  std::string sampler;
  std::string parameter;  ///< name=low:high
  std::string metric = "sliced-w2";
  std::size_t particles = 512;
  std::string schedule_out;
  std::string out;
  std::size_t threads = 0;
  bool json = false;
  TuneOptions options;
  std::string command_line;
};

/// "dps-zeta:schedule=…,zeta=2": the setting as a user writes it.
std::string as_argument(const TestedSetting& setting, const std::vector<std::pair<const WeightSchedule*, std::string>>& files) {
  std::string out = setting.spec.name;
  char separator = ':';
  for (const auto& [key, value] : setting.spec.parameters) {
    std::string shown = value;
    for (const auto& [schedule, file] : files)
      if (key == "schedule" && setting.spec.schedule == *schedule) shown = file;
    out += fmt::format("{}{}={}", separator, key, shown);
    separator = ',';
  }
  return out;
}

void write_run(const TuneArguments& arguments, const ResolvedProblem& resolved, const std::vector<InputFile>& inputs,
               const TuneResult& result, std::time_t started, RunDirectory& run) {
  std::vector<std::string> outputs = {"problem.resolved.toml", "tuning.json"};
  write_file_atomically(run.path("problem.resolved.toml"), to_toml(resolved.spec));
  write_file_atomically(run.path("tuning.json"), to_json(result));
  const auto write_schedule = [&](const std::string& file, const WeightSchedule& schedule) {
    if (schedule.t.empty()) return;
    write_file_atomically(run.path(file), to_csv(schedule));
    outputs.push_back(file);
  };
  write_schedule(kScheduleFile, result.schedule);
  write_schedule(kTemperedFile, result.tempered);
  commit_with_manifest({arguments.command_line, resolved.spec.run.seed, arguments.threads, started}, inputs, outputs, run);
}

int run_tune(const TuneArguments& arguments) {
  const std::time_t started = std::time(nullptr);
  const ThreadLimit limit(arguments.threads);
  const SamplerSpec spec = sampler_spec(arguments.sampler);
  const std::size_t equals = arguments.parameter.find('=');
  if (equals == std::string::npos || equals == 0) throw UsageError(fmt::format("--param '{}': write name=low:high", arguments.parameter));
  const std::string parameter = arguments.parameter.substr(0, equals);
  const TuningRange range = parse_tuning_range(arguments.parameter.substr(equals + 1));
  TuneOptions options = arguments.options;
  options.metric = parse_tuning_metric(arguments.metric);
  if (!arguments.schedule_out.empty()) at_unit_weight(spec);  // refuses a sampler that will have no schedule

  ResolvedProblem resolved = resolve_problem(arguments.problem);
  resolved.spec.run.particles = arguments.particles;
  resolved.spec.samplers = {sampler_entry(arguments.sampler)};
  RunDirectory run(arguments.out.empty() ? default_run_directory(resolved.name + "-tune", started) : arguments.out);
  const std::vector<InputFile> inputs = fingerprints(resolved);
  TuneResult result;
  {
    ConsoleObserver observer;
    result = tune(build_problem(resolved.spec, resolved.name, observer), spec, parameter, range, options, observer);
    require_not_overwritten(inputs);
  }
  write_run(arguments, resolved, inputs, result, started, run);
  const bool has_schedule = !result.schedule.t.empty();
  if (has_schedule && !arguments.schedule_out.empty()) write_file_atomically(arguments.schedule_out, to_csv(result.schedule));
  if (!has_schedule && !arguments.schedule_out.empty())
    fmt::print(stderr, "fslens: warning: {} was not written: the guidance is negligible at every time\n", arguments.schedule_out);
  if (arguments.json) {
    fmt::print("{}", to_json(result));
  } else {
    fmt::print("{}\n", to_text(result));
    const std::string folder = run.target() + "/";
    const std::string schedule_file = arguments.schedule_out.empty() ? folder + kScheduleFile : arguments.schedule_out;
    const std::vector<std::pair<const WeightSchedule*, std::string>> files = {{&result.schedule, schedule_file},
                                                                              {&result.tempered, folder + kTemperedFile}};
    for (const TestedSetting& setting : result.tested)
      if (setting.name != "default") fmt::print("{}: --sampler {}\n", setting.name, as_argument(setting, files));
    fmt::print("run directory: {}\n", run.target());
  }
  if (!result.search.best) return kExitFail;
  return result.search.edge == RangeEdge::none ? kExitPass : kExitInconclusive;
}

}  // namespace

Command add_tune(CLI::App& parent, const std::string& command_line) {
  auto arguments = std::make_shared<TuneArguments>();
  arguments->command_line = command_line;
  CLI::App* command = parent.add_subcommand("tune", "Choose a sampler's parameter and its best guidance weight along t; writes a run directory");
  command->add_option("problem", arguments->problem.problem, "problem file (.toml) or built-in problem")->required();
  command->add_option("--sampler", arguments->sampler, "NAME[:key=value,...]")->required();
  command->add_option("--param", arguments->parameter, "name=low:high, a scalar parameter of the sampler, such as zeta=0.01:10")->required();
  command->add_option("--metric", arguments->metric, "sliced-w2, energy, mode-weights or spread")->capture_default_str();
  command->add_option("--train", arguments->options.num_train, "simulated measurements to choose on")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--test", arguments->options.num_test, "further ones to judge on, at least 2")
      ->check(CLI::Range(2, 1'000'000))
      ->capture_default_str();
  command->add_option("--particles", arguments->particles, "particles of every chain, in the place of run.particles; at least 32")
      ->check(CLI::Range(32, 1'000'000'000))
      ->capture_default_str();
  command->add_option("--schedule-out", arguments->schedule_out, "also write the best weight along t here (.csv with t,weight)");
  command->add_option("--set", arguments->problem.overrides, "table.key=value, in the place of what the problem file says")
      ->allow_extra_args(false);
  command->add_option("--out", arguments->out, "run directory (default: fslens-runs/PROBLEM-tune-TIME)");
  command->add_option("--seed", arguments->problem.seed, "seed of every random number")->check(CLI::NonNegativeNumber);
  command->add_option("--threads", arguments->threads, "threads (default: all cores); results do not depend on it")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--exact-scan", arguments->problem.exact_scan, kExactScanHelp);
  command->add_flag("--json", arguments->json, "print tuning.json instead of the tables");
  return [arguments] { return run_tune(*arguments); };
}

}  // namespace fslens::app
