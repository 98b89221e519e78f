#include <fmt/format.h>

#include <ctime>
#include <memory>

#include "commands.hpp"
#include "console.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/calibration.hpp"
#include "fslens/io/array_writer.hpp"
#include "fslens/io/file.hpp"
#include "fslens/report/calibration_report.hpp"
#include "problem_source.hpp"
#include "run_record.hpp"

namespace fslens::app {
namespace {

struct CalibrateArguments {
  ProblemArguments problem;
  std::vector<std::string> samplers;
  std::size_t replicates = CalibrateOptions{}.replicates;
  std::size_t draws = CalibrateOptions{}.draws;
  std::string out;
  std::size_t threads = 0;
  bool json = false;
  bool verbose = false;
  std::string fail_on = "inconclusive";
  std::string command_line;
};

/// One line a sampler, for machines that read logs.
std::string calibration_log(const CalibrationReport& report, const std::string& command_line, const std::string& started) {
  std::string out = fmt::format("{{\"event\":\"start\",\"time\":\"{}\",\"command\":{}}}\n", started, json_string(command_line));
  for (const SamplerCalibration& sampler : report.samplers)
    out += fmt::format("{{\"event\":\"sampler\",\"name\":{},\"status\":\"{}\",\"verdict\":\"{}\",\"seconds\":{:.3f}}}\n", json_string(sampler.name),
                       sampler.status, to_string(sampler.check.verdict), sampler.seconds);
  return out + fmt::format("{{\"event\":\"end\",\"verdict\":\"{}\",\"seconds\":{:.3f}}}\n", to_string(report.verdict), report.seconds);
}

/// arrays/ranks_<i>.npy of sampler i: [statistics, ranked replicates]. @return the paths in the run
std::vector<std::string> write_ranks(const CalibrationReport& report, const RunDirectory& run) {
  std::vector<std::string> files;
  for (std::size_t i = 0; i < report.samplers.size(); ++i) {
    const std::vector<RankResult>& results = report.samplers[i].ranks;
    std::vector<std::int64_t> ranks;
    for (const RankResult& result : results) ranks.insert(ranks.end(), result.ranks.begin(), result.ranks.end());
    files.push_back(fmt::format("arrays/ranks_{}.npy", i));
    write_npy(run.path(files.back()), {results.size(), results.empty() ? 0 : results.front().ranks.size()}, std::span<const std::int64_t>(ranks));
  }
  return files;
}

void write_calibration(const CalibrateArguments& arguments, const ResolvedProblem& resolved, const std::vector<InputFile>& inputs, std::uint64_t seed,
                       const CalibrationReport& report, std::time_t started, RunDirectory& run) {
  write_file_atomically(run.path("problem.resolved.toml"), to_toml(resolved.spec));
  write_file_atomically(run.path("calibration.json"), to_json(report));
  write_file_atomically(run.path("log.jsonl"), calibration_log(report, arguments.command_line, utc_time(started)));
  std::vector<std::string> outputs = write_ranks(report, run);
  outputs.insert(outputs.begin(), {"problem.resolved.toml", "calibration.json", "log.jsonl"});
  commit_with_manifest({arguments.command_line, seed, arguments.threads, started}, inputs, outputs, run);
}

int run_calibrate(const CalibrateArguments& arguments) {
  const std::time_t started = std::time(nullptr);
  const ThreadLimit limit(arguments.threads);
  std::vector<SamplerEntry> samplers;
  for (const std::string& text : arguments.samplers) samplers.push_back(sampler_entry(text));  // names first
  ResolvedProblem resolved = resolve_problem(arguments.problem);
  if (!samplers.empty()) resolved.spec.samplers = std::move(samplers);
  RunDirectory run(arguments.out.empty() ? default_run_directory(resolved.name + "-calibration", started) : arguments.out);
  const std::vector<InputFile> inputs = fingerprints(resolved);
  CalibrationReport report;
  std::uint64_t seed = 0;
  {
    ConsoleObserver observer;
    const Problem problem = build_problem(resolved.spec, resolved.name, observer);
    seed = problem.seed;
    report = calibrate(problem, {.samplers = problem.samplers, .replicates = arguments.replicates, .draws = arguments.draws}, observer);
    require_not_overwritten(inputs);
  }
  write_calibration(arguments, resolved, inputs, seed, report, started, run);
  if (arguments.json) {
    fmt::print("{}", to_json(report));
  } else {
    fmt::print("{}run directory: {}\n", to_text(report, {stdout_is_terminal(), terminal_width(), arguments.verbose}), run.target());
  }
  return exit_code(report.verdict, arguments.fail_on);
}

}  // namespace

Command add_calibrate(CLI::App& parent, const std::string& command_line) {
  auto arguments = std::make_shared<CalibrateArguments>();
  arguments->command_line = command_line;
  CLI::App* command = parent.add_subcommand("calibrate", "Over many simulated measurements: do draws hold the truth as often as they say?");
  command->add_option("problem", arguments->problem.problem, "problem file (.toml) or built-in problem")->required();
  command->add_option("--sampler", arguments->samplers, "NAME[:key=value,...]; replaces the problem's list; may be repeated; exact always runs too")
      ->allow_extra_args(false);
  command->add_option("--replicates", arguments->replicates, "simulated measurements")->check(CLI::NonNegativeNumber)->capture_default_str();
  command->add_option("--draws", arguments->draws, "draws of each sampler for each measurement")->check(CLI::NonNegativeNumber)->capture_default_str();
  command->add_option("--set", arguments->problem.overrides, "table.key=value, in the place of what the problem file says")->allow_extra_args(false);
  command->add_option("--out", arguments->out, "run directory (default: fslens-runs/PROBLEM-calibration-TIME)");
  command->add_option("--seed", arguments->problem.seed, "seed of every random number")->check(CLI::NonNegativeNumber);
  command->add_option("--threads", arguments->threads, "threads (default: all cores); results do not depend on it")->check(CLI::NonNegativeNumber);
  command->add_flag("--exact-scan", arguments->problem.exact_scan, kExactScanHelp);
  command->add_flag("--json", arguments->json, "print calibration.json instead of the table");
  command->add_flag("--verbose", arguments->verbose, "also show what passes, and what each statistic asks and cannot see");
  command->add_option("--fail-on", arguments->fail_on, "what makes the exit code differ from 0")
      ->check(CLI::IsMember({"fail", "inconclusive", "never"}))
      ->capture_default_str();
  return [arguments] { return run_calibrate(*arguments); };
}

}  // namespace fslens::app
