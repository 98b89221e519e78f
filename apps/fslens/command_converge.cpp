#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <memory>

#include "commands.hpp"
#include "console.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/convergence.hpp"
#include "fslens/io/file.hpp"
#include "fslens/report/convergence_report.hpp"
#include "problem_source.hpp"
#include "run_record.hpp"

namespace fslens::app {
namespace {

struct ConvergeArguments {
  ProblemArguments problem;
  ConvergenceOptions options;
  std::string out;
  std::size_t threads = 0;
  bool json = false;
  std::string command_line;
};

int run_converge(const ConvergeArguments& arguments) {
  const std::time_t started = std::time(nullptr);
  const ThreadLimit limit(arguments.threads);
  const ResolvedProblem resolved = resolve_problem(arguments.problem);
  RunDirectory run(arguments.out.empty() ? default_run_directory(resolved.name, started) : arguments.out);
  const std::vector<InputFile> inputs = fingerprints(resolved);
  const AnalyticProblem problem = build_analytic_problem(resolved.spec, resolved.name);
  Convergence convergence;
  {
    ConsoleObserver observer;
    convergence = measure_convergence(problem, lens_methods(problem), arguments.options, observer);
  }
  write_file_atomically(run.path("problem.resolved.toml"), to_toml(resolved.spec));
  write_file_atomically(run.path("convergence.json"), to_json(convergence));
  write_file_atomically(run.path("errors.csv"), to_csv(convergence));
  commit_with_manifest({arguments.command_line, problem.seed, arguments.threads, started}, inputs,
                       {"problem.resolved.toml", "convergence.json", "errors.csv"}, run);
  if (arguments.json) {
    fmt::print("{}", to_json(convergence));
  } else {
    fmt::print("{}run directory: {}\n", to_text(convergence, {stdout_is_terminal(), terminal_width(), false}), run.target());
  }
  return kExitPass;
}

}  // namespace

Command add_converge(CLI::App& parent, const std::string& command_line) {
  auto arguments = std::make_shared<ConvergeArguments>();
  arguments->command_line = command_line;
  CLI::App* command = parent.add_subcommand("converge", "Measure how fast the lens of N atoms converges to an analytic posterior");
  command->add_option("problem", arguments->problem.problem, "problem file (.toml) or built-in problem; its prior is gaussian or gmm")->required();
  command->add_option("--atoms", arguments->options.atoms, "N1,N2,... ascending")->delimiter(',')->check(CLI::NonNegativeNumber)->capture_default_str();
  command->add_option("--repeats", arguments->options.repetitions, "repetitions at each N (default: 32, above 1,600 atoms fewer, 5 at least)")
      ->check(CLI::PositiveNumber);
  command->add_option("--times", arguments->options.times, "t1,t2,... (default: where s/a is 1, 0.29 and 0.08)")->delimiter(',');
  command->add_option("--set", arguments->problem.overrides, "table.key=value, in the place of what the problem file says")
      ->allow_extra_args(false);
  command->add_option("--out", arguments->out, "run directory (default: fslens-runs/PROBLEM-TIME)");
  command->add_option("--seed", arguments->problem.seed, "seed of every random number")->check(CLI::NonNegativeNumber);
  command->add_option("--threads", arguments->threads, "threads (default: all cores); results do not depend on it")->check(CLI::NonNegativeNumber);
  command->add_flag("--json", arguments->json, "print convergence.json instead of the table");
  return [arguments] { return run_converge(*arguments); };
}

}  // namespace fslens::app
