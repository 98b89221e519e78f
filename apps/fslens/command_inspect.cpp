#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <thread>

#include "commands.hpp"
#include "console.hpp"
#include "fslens/core/error.hpp"
#include "fslens/io/array.hpp"
#include "fslens/io/file.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/operators/adjoint_check.hpp"
#include "problem_source.hpp"

namespace fslens::app {
namespace {

void print_array(const ArrayInfo& info) {
  const std::string range = info.min ? fmt::format("{:.6g} .. {:.6g}", *info.min, *info.max) : "no finite value";
  fmt::print("{:<40} {:<8} {:<20} {}{}\n", info.name, info.stored_type, shape_text(info.shape), range,
             info.num_non_finite > 0 ? fmt::format(", {} not finite", info.num_non_finite) : "");
}

void inspect_arrays(const std::string& path) {
  const bool is_part = !std::filesystem::exists(path);
  const std::vector<std::string> keys = is_part ? std::vector<std::string>{} : list_arrays(path);
  if (keys.empty()) return print_array(inspect_array(path));
  for (const std::string& key : keys) print_array(inspect_array(path + ":" + key));
}

void inspect_problem(const std::string& name) {
  ConsoleObserver observer;
  ProblemArguments arguments;
  arguments.problem = name;
  const ResolvedProblem resolved = resolve_problem(arguments);
  const ProblemSpec& spec = resolved.spec;
  const Problem problem = build_problem(spec, resolved.name, observer);
  const Lens& lens = *problem.lens;
  fmt::print("problem      {}{}\n", problem.name, problem.title.empty() ? "" : ": " + problem.title);
  if (!spec.answer.empty()) fmt::print("known        {}\n", spec.answer);
  if (!spec.source.empty()) fmt::print("source       {}\n", spec.source);
  fmt::print("prior        {}, {} components in {} dimensions{}\n", spec.prior.kind, lens.num_components(), lens.dim(),
             problem.is_population ? " (the prior itself)" : " (a sample of the prior)");
  fmt::print("schedule     {}\n", spec.schedule.kind);
  const ForwardOperator& forward = problem.likelihood->forward();
  fmt::print("operator     {}: {} -> {}, {}\n", forward.name(), forward.input_dim(), forward.output_dim(),
             forward.is_affine() ? "affine" : "nonlinear");
  const AdjointReport adjoint = check_adjoint(forward);
  fmt::print("adjoint      {} (largest relative error {:.2g})\n", adjoint.passed ? "ok" : "WRONG", adjoint.max_relative_error);
  if (const double sigma = problem.likelihood->noise().scalar_sigma(); sigma > 0.0)
    fmt::print("noise        gaussian, sigma {:.4g}\n", sigma);
  else
    fmt::print("noise        gaussian, per component or full covariance\n");
  fmt::print("grid         {} steps from t = {} to {}, {}, {}\n", spec.grid.steps, spec.grid.t_max, spec.grid.t_min,
             spec.grid.spacing, spec.grid.integrator);
  fmt::print("run          {} particles, seed {}, tolerance {:g}{}\n", spec.run.particles, spec.run.seed, spec.run.tolerance,
             spec.run.exact_scan ? ", exact scan" : "");
  fmt::print("evidence     log p(y) = {:.6g}\n", lens.log_evidence());
  fmt::print("ess          {:.2f}\n", lens.effective_sample_size());
  if (const auto& s = problem.smoothing)
    fmt::print("smoothed     {}, bandwidth {:.4g}{}{}; raw ess {:.2f}{}\n", to_string(s->kernel.shape), s->kernel.bandwidth,
               s->kernel.by_leave_one_out ? " by leave-one-out" : "",
               s->copies > 0 ? fmt::format(", {} jittered copies of each atom", s->copies) : "", s->raw_ess,
               s->automatic ? " (collapsed: diagnose, sample and the like use the smoothed lens)" : "");
  const std::vector<double> prior = problem.modes.weights(lens.log_weights(Measure::prior));
  const std::vector<double> posterior = problem.modes.weights(lens.log_weights(Measure::posterior));
  fmt::print("modes        {}\n", problem.modes.num_modes());
  constexpr std::size_t kShown = 20;
  for (std::size_t k = 0; k < std::min(kShown, problem.modes.num_modes()); ++k)
    fmt::print("  {:<10} prior {:.4f}  posterior {:.4f}\n", problem.modes.labels[k], prior[k], posterior[k]);
}

int run_inspect(const std::string& file) {
  const bool is_builtin = file.find('/') == std::string::npos && file.find('.') == std::string::npos && !std::filesystem::exists(file);
  if (file.ends_with(".toml") || is_builtin) inspect_problem(file);
  else inspect_arrays(file);
  return kExitPass;
}

bool can_write_here() {
  try {
    const std::string probe = ".fslens-doctor";
    write_file_atomically(probe, "ok\n");
    std::filesystem::remove(probe);
    return true;
  } catch (const Error&) {
    return false;
  }
}

int run_doctor() {
  fmt::print("fslens       {}\n", FSLENS_VERSION);
  fmt::print("instructions {}\n", kernel_target_name());
  fmt::print("cores        {}\n", std::thread::hardware_concurrency());
  int problems_broken = 0;
  const auto problems = builtin_problems();
  fmt::print("problems     {} in {}\n", problems.size(), problem_folder());
  for (const auto& [name, path] : problems) {
    try {
      read_problem_file(path);
    } catch (const Error& error) {
      fmt::print("  {}: {}\n", name, error.what());
      ++problems_broken;
    }
  }
  const bool writable = can_write_here();
  fmt::print("this folder  {}\n", writable ? "writable" : "NOT writable: give --out a folder that is");
  if (problems_broken > 0 || problems.empty()) {
    fmt::print("NOT well: {}\n", problems.empty() ? "no built-in problem was found" : "a built-in problem cannot be read");
    return kExitInvalidInput;
  }
  return writable ? kExitPass : kExitIo;
}

}  // namespace

Command add_inspect(CLI::App& parent) {
  auto file = std::make_shared<std::string>();
  CLI::App* command = parent.add_subcommand("inspect", "Show what a problem or an array file holds");
  command->add_option("file", *file, "problem file (.toml), built-in problem, or array file[:key]")->required();
  return [file] { return run_inspect(*file); };
}

Command add_doctor(CLI::App& parent) {
  parent.add_subcommand("doctor", "Show what this installation runs on and whether it is complete");
  return [] { return run_doctor(); };
}

}  // namespace fslens::app
