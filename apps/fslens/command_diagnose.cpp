#include <fmt/format.h>

#include <ctime>
#include <filesystem>
#include <memory>

#include "commands.hpp"
#include "console.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/diagnose.hpp"
#include "fslens/io/array.hpp"
#include "fslens/io/array_writer.hpp"
#include "fslens/io/file.hpp"
#include "fslens/io/run_directory.hpp"
#include "fslens/report/report.hpp"
#include "problem_source.hpp"
#include "run_record.hpp"

namespace fslens::app {
namespace {

struct DiagnoseArguments {
  ProblemArguments problem;
  std::vector<std::string> samplers;
  std::vector<std::string> trajectories;
  std::string out;
  std::size_t threads = 0;
  bool json = false;
  bool verbose = false;
  std::string fail_on = "inconclusive";
  std::string sweeps = "unless-passed";
  bool planar_laws = false;
  std::string command_line;
};

/// One line a sampler: what happened, for machines that read logs.
std::string log_lines(const Diagnosis& diagnosis, const std::string& command_line, const std::string& started) {
  std::string out = fmt::format("{{\"event\":\"start\",\"time\":\"{}\",\"command\":{}}}\n", started, json_string(command_line));
  for (const SamplerDiagnosis& sampler : diagnosis.samplers)
    out += fmt::format("{{\"event\":\"sampler\",\"name\":{},\"status\":\"{}\",\"verdict\":\"{}\",\"seconds\":{:.3f}}}\n",
                       json_string(sampler.name), sampler.status, to_string(sampler.verdict), sampler.seconds);
  return out + fmt::format("{{\"event\":\"end\",\"verdict\":\"{}\",\"seconds\":{:.3f}}}\n", to_string(diagnosis.verdict),
                           diagnosis.seconds);
}

/// The file, or the arrays of the directory, that a recording was read from.
std::vector<std::string> recording_files(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::string> files;
  for (const std::string& key : list_arrays(path))
    if (key == "t" || key == "sigma" || key == "x" || key == "x0") files.push_back(path + "/" + key + ".npy");
  return files;
}

/// What the run is made from, before anything of it is used: the checksums are those of what was judged.
std::vector<InputFile> fingerprints(const DiagnoseArguments& arguments, const ResolvedProblem& resolved) {
  std::vector<InputFile> inputs = fingerprints(resolved);
  for (const std::string& path : arguments.trajectories)
    for (const std::string& file : recording_files(path)) inputs.push_back(fingerprint(file));
  return inputs;
}

void write_run(const DiagnoseArguments& arguments, const ResolvedProblem& resolved, const std::vector<InputFile>& inputs,
               const Problem& problem, const Diagnosis& diagnosis, std::time_t started, RunDirectory& run) {
  write_file_atomically(run.path("problem.resolved.toml"), to_toml(resolved.spec));
  write_file_atomically(run.path("diagnosis.json"), to_json(diagnosis));
  write_file_atomically(run.path("junit.xml"), to_junit(diagnosis));
  write_file_atomically(run.path("log.jsonl"), log_lines(diagnosis, arguments.command_line, utc_time(started)));
  const auto weights = problem.lens->log_weights(Measure::posterior);
  write_npy(run.path("arrays/log_posterior_weights.npy"), {weights.size()}, weights);
  write_npy(run.path("arrays/y.npy"), {problem.likelihood->y().size()}, std::span<const double>(problem.likelihood->y()));
  const std::vector<std::int64_t> modes(problem.modes.mode_of_component.begin(), problem.modes.mode_of_component.end());
  write_npy(run.path("arrays/mode_of_component.npy"), {modes.size()}, std::span<const std::int64_t>(modes));
  commit_with_manifest({arguments.command_line, problem.seed, arguments.threads, started}, inputs,
                       {"problem.resolved.toml", "diagnosis.json", "junit.xml", "log.jsonl", "arrays/log_posterior_weights.npy", "arrays/y.npy",
                        "arrays/mode_of_component.npy"},
                       run);
}

DiagnoseOptions contestants(const DiagnoseArguments& arguments, const Problem& problem) {
  DiagnoseOptions options;
  options.samplers = problem.samplers;
  options.sweeps = arguments.sweeps == "none" ? Sweeps::none : arguments.sweeps == "all" ? Sweeps::all : Sweeps::unless_passed;
  options.planar_laws = arguments.planar_laws;
  constexpr std::size_t kMostTimes = 32;
  for (const std::string& path : arguments.trajectories)
    options.recordings.push_back(Recording::read(path, problem.lens->schedule(), problem.lens->dim(), kMostTimes));
  if (options.samplers.empty() && options.recordings.empty())
    throw UsageError("nothing to judge: the problem lists no sampler; give --sampler NAME or --trajectory FILE");
  return options;
}

int run_diagnose(const DiagnoseArguments& arguments) {
  const std::time_t started = std::time(nullptr);
  const ThreadLimit limit(arguments.threads);
  std::vector<SamplerEntry> samplers;
  for (const std::string& text : arguments.samplers) samplers.push_back(sampler_entry(text));  // names first
  ResolvedProblem resolved = resolve_problem(arguments.problem);
  if (!arguments.samplers.empty() || !arguments.trajectories.empty()) resolved.spec.samplers = std::move(samplers);
  RunDirectory run(arguments.out.empty() ? default_run_directory(resolved.name, started) : arguments.out);
  const std::vector<InputFile> inputs = fingerprints(arguments, resolved);
  Diagnosis diagnosis;
  std::unique_ptr<Problem> problem;
  {
    ConsoleObserver observer;
    problem = std::make_unique<Problem>(build_problem(resolved.spec, resolved.name, observer));
    diagnosis = diagnose(*problem, contestants(arguments, *problem), observer);
    require_not_overwritten(inputs);
  }
  write_run(arguments, resolved, inputs, *problem, diagnosis, started, run);
  if (arguments.json) {
    fmt::print("{}", to_json(diagnosis));
  } else {
    const TextOptions text{stdout_is_terminal(), terminal_width(), arguments.verbose};
    fmt::print("{}run directory: {}\n", to_text(diagnosis, text), run.target());
  }
  return exit_code(diagnosis.verdict, arguments.fail_on);
}

}  // namespace

Command add_diagnose(CLI::App& parent, const std::string& command_line) {
  auto arguments = std::make_shared<DiagnoseArguments>();
  arguments->command_line = command_line;
  CLI::App* command = parent.add_subcommand("diagnose", "Judge samplers against the exact posterior; writes a run directory");
  command->add_option("problem", arguments->problem.problem, "problem file (.toml) or built-in problem")->capture_default_str();
  command->add_option("--sampler", arguments->samplers, "NAME[:key=value,...]; replaces the problem's list; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--trajectory", arguments->trajectories, "recording made elsewhere (.npz); may be repeated")
      ->allow_extra_args(false);
  command->add_option("--set", arguments->problem.overrides, "table.key=value, in the place of what the problem file says")
      ->allow_extra_args(false);
  command->add_option("--out", arguments->out, "run directory (default: fslens-runs/PROBLEM-TIME)");
  command->add_option("--seed", arguments->problem.seed, "seed of every random number")->check(CLI::NonNegativeNumber);
  command->add_option("--threads", arguments->threads, "threads (default: all cores); results do not depend on it")->check(CLI::NonNegativeNumber);
  command->add_option("--sweeps", arguments->sweeps, "for which samplers to find out where along t their error enters")
      ->check(CLI::IsMember({"none", "unless-passed", "all"}))
      ->capture_default_str();
  command->add_flag("--planar-laws", arguments->planar_laws, "laws of chains without particles in two dimensions too (minutes)");
  command->add_flag("--exact-scan", arguments->problem.exact_scan, kExactScanHelp);
  command->add_flag("--json", arguments->json, "print diagnosis.json instead of the table");
  command->add_flag("--verbose", arguments->verbose, "also show the checks that pass, with their numbers");
  command->add_option("--fail-on", arguments->fail_on, "what makes the exit code differ from 0")
      ->check(CLI::IsMember({"fail", "inconclusive", "never"}))
      ->capture_default_str();
  return [arguments] { return run_diagnose(*arguments); };
}

Command add_report(CLI::App& parent) {
  struct Arguments {
    std::string run;
    bool verbose = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = parent.add_subcommand("report", "Show a run's verdict again");
  command->add_option("run", arguments->run, "run directory")->required();
  command->add_flag("--verbose", arguments->verbose, "also show the checks that pass");
  return [arguments] {
    const std::string path = arguments->run + "/diagnosis.json";
    const Diagnosis diagnosis = diagnosis_from_json(read_text_file(path), path);
    fmt::print("{}", to_text(diagnosis, {stdout_is_terminal(), terminal_width(), arguments->verbose}));
    return static_cast<int>(kExitPass);
  };
}

}  // namespace fslens::app
