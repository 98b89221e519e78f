#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "commands.hpp"
#include "console.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/diagnose.hpp"
#include "fslens/io/array_writer.hpp"
#include "problem_source.hpp"

namespace fslens::app {
namespace {

struct SampleArguments {
  ProblemArguments problem;
  std::string sampler;
  std::string out;
  std::optional<std::size_t> record;
  std::size_t threads = 0;
};

/// States at the recorded times, in the order of t.
struct Trajectory {
  std::vector<double> t;
  std::vector<double> x;
  void add(double time, ConstBatchView state) {
    t.push_back(time);
    for (std::size_t b = 0; b < state.rows(); ++b) x.insert(x.end(), state.row(b).begin(), state.row(b).end());
  }
};

std::vector<std::size_t> times_to_record(const Problem& problem, const std::optional<std::size_t>& count) {
  const std::size_t last = problem.grid.size() - 1;
  if (count && *count == 1) return {last};
  return recorded_indices(problem.grid.size(), count.value_or(problem.num_recorded));
}

int run_sample(const SampleArguments& arguments) {
  const ThreadLimit limit(arguments.threads);
  const SamplerSpec spec = sampler_spec(arguments.sampler);
  const ResolvedProblem resolved = resolve_problem(arguments.problem);
  ConsoleObserver observer;
  const Problem problem = build_problem(resolved.spec, resolved.name, observer);
  const std::vector<std::size_t> recorded = times_to_record(problem, arguments.record);
  const RandomStream stream = sampler_stream(problem.seed, spec);
  std::unique_ptr<PosteriorSampler> sampler;
  if (canonical_sampler_name(spec.name) != "exact")
    sampler = make_sampler(spec, sampler_context(problem));
  NpzWriter writer(arguments.out);
  Trajectory trajectory;
  if (sampler == nullptr) {
    for (const std::size_t i : recorded) {
      report_progress(observer, "sample exact", trajectory.t.size(), recorded.size());
      trajectory.add(problem.grid[i], problem.lens->sample(Measure::posterior, problem.num_particles, problem.grid[i], stream).x);
    }
    report_progress(observer, "sample exact", recorded.size(), recorded.size());
  } else {
    const Matrix start = initial_states(problem.lens->schedule(), problem.grid.front(), problem.num_particles, problem.lens->dim(),
                                        stream.child("initial state"));
    const SamplerRun run = run_sampler(*sampler, problem.grid, start, stream, observer,
                                       [&](std::size_t, double t, ConstBatchView x) { trajectory.add(t, x); }, 0, recorded);
    if (run.num_non_finite > 0)
      fmt::print(stderr, "fslens: warning: {} of {} final states are not finite (the first after step {})\n", run.num_non_finite,
                 problem.num_particles, run.first_bad_step);
  }
  writer.add("t", {trajectory.t.size()}, std::span<const double>(trajectory.t));
  writer.add("x", {trajectory.t.size(), problem.num_particles, problem.lens->dim()}, std::span<const double>(trajectory.x));
  writer.close();
  return kExitPass;
}

}  // namespace

Command add_sample(CLI::App& parent) {
  auto arguments = std::make_shared<SampleArguments>();
  CLI::App* command = parent.add_subcommand("sample", "Run one sampler and write its trajectory");
  command->add_option("problem", arguments->problem.problem, "problem file (.toml) or built-in problem")->required();
  command->add_option("--sampler", arguments->sampler, "NAME[:key=value,...], or exact")->required();
  command->add_option("--set", arguments->problem.overrides, "table.key=value")->allow_extra_args(false);
  command->add_option("--seed", arguments->problem.seed, "seed of every random number")->check(CLI::NonNegativeNumber);
  command->add_option("--out", arguments->out, "trajectory: .npz with t (T,) and x (T, B, d)")->required();
  command->add_option("--record", arguments->record, "number of recorded times (1: the last alone)")->check(CLI::PositiveNumber);
  command->add_flag("--exact-scan", arguments->problem.exact_scan, kExactScanHelp);
  command->add_option("--threads", arguments->threads, "threads (default: all cores)")->check(CLI::NonNegativeNumber);
  return [arguments] { return run_sample(*arguments); };
}

}  // namespace fslens::app
