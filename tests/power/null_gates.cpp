// How often a gate fails exact draws: the false-alarm rate that docs/power.md states.
//
//   null_gates [GATES [PARTICLES]]     10,000 gates with 100 particles, over all built-in problems
//
// A court is opened anew after every twenty gates, with other exact draws and another y, simulated from the problem itself (each problem's
// first court has its own y). Every gate is read twice: under the default margins, and as if they were 0, where any effect that is
// certainly not zero fails: what is left is the family-wise error of the intervals alone.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "fslens/diagnosis/court.hpp"
#include "fslens/diagnosis/margins.hpp"
#include "fslens/diagnosis/simulated_problem.hpp"
#include "fslens/io/problem_file.hpp"
#include "fslens/metrics/intervals.hpp"

namespace fslens::test {
namespace {

constexpr std::size_t kGatesPerCourt = 20;
constexpr double kFamilywise = 0.01, kConfidence = 0.99;

struct Tally {
  std::size_t gates = 0, courts = 0, failed = 0, failed_without_margins = 0, courts_with_failure = 0;
  std::map<std::string, std::size_t> checks;  // that failed without margins
};

/// Fails under a margin of 0, whatever the margin is.
bool is_certain(const Check& check) { return check.id != "lens-resolution" && check.low && *check.low > 0.0; }

std::vector<double> judged_times(const Problem& problem) {
  const std::vector<double>& grid = problem.grid;
  const std::size_t last = grid.size() - 1;
  return {grid[0], grid[last / 2], grid[last - last / 10], grid[last]};
}

void judge_court(const Problem& problem, std::size_t gates, std::size_t particles, const RandomStream& stream, Tally& out) {
  SilentObserver observer;
  const std::vector<double> times = judged_times(problem);
  Court::Rules rules = Court::rules(kFamilywise, {times.size()}, problem.modes.num_modes());
  rules.error_budget = false;
  Court court(problem, times, particles, measurement_fit(problem, stream, observer), rules, stream, observer);
  Contestant exact;
  exact.name = exact.method = "exact";
  bool any = false;
  for (std::size_t g = 0; g < gates; ++g) {
    const SamplerDiagnosis diagnosis = court.judge(exact, stream.child("gate", g));
    // Any failed check counts, also where a collapsed lens keeps the verdict from being one.
    const bool failed = std::ranges::any_of(diagnosis.checks, [](const Check& check) { return check.verdict == Verdict::fail; });
    const bool certain = std::ranges::any_of(diagnosis.checks, is_certain);
    for (const Check& check : diagnosis.checks) out.checks[check.id] += is_certain(check) ? 1 : 0;
    ++out.gates;
    out.failed += failed ? 1 : 0;
    out.failed_without_margins += certain ? 1 : 0;
    any = any || certain;
  }
  ++out.courts;
  out.courts_with_failure += any ? 1 : 0;
}

std::string rate(std::size_t count, std::size_t gates) {
  const ConfidenceInterval interval = clopper_pearson(count, gates, kConfidence);
  return fmt::format("{} ({:.4f} [{:.4f}, {:.4f}])", count, static_cast<double>(count) / static_cast<double>(gates), interval.low, interval.high);
}

void print(const std::string& name, const Tally& tally) {
  std::string checks;
  for (const auto& [check, count] : tally.checks)
    if (count > 0) checks += fmt::format("{}{} {}", checks.empty() ? "" : ", ", check, count);
  fmt::print("| {} | {} | {} | {} | {} of {} | {} |\n", name, tally.gates, rate(tally.failed, tally.gates),
             rate(tally.failed_without_margins, tally.gates), tally.courts_with_failure, tally.courts, checks);
  std::fflush(stdout);
}

void add(const Tally& from, Tally& to) {
  to.gates += from.gates, to.courts += from.courts, to.failed += from.failed, to.failed_without_margins += from.failed_without_margins;
  to.courts_with_failure += from.courts_with_failure;
  for (const auto& [check, count] : from.checks) to.checks[check] += count;
}

void measure(std::size_t gates, std::size_t particles) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(FSLENS_SOURCE_DIR "/problems"))
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  std::ranges::sort(files);
  fmt::print("| problem | gates | failed [99 %] | failed with margins of 0 [99 %] | courts with such a failure | its checks |\n|---|---|---|---|---|---|\n");
  Tally all;
  for (std::size_t p = 0; p < files.size(); ++p) {
    SilentObserver observer;
    const Problem given = build_problem(read_problem_file(files[p].string(), {"grid.steps=20"}), files[p].stem().string(), observer);
    const std::size_t share = gates * (p + 1) / files.size() - gates * p / files.size();
    const RandomStream stream = RandomStream(7).child(given.name);
    Tally tally;
    for (std::size_t done = 0, court = 0; done < share; ++court) {
      const std::size_t now = std::min(kGatesPerCourt, share - done);
      const Problem problem = court == 0 ? given : simulate_problem(given, stream.child("measurement"), court).problem;
      judge_court(problem, now, particles, stream.child("court", court), tally);
      done += now;
    }
    print(given.name, tally);
    add(tally, all);
  }
  print("all", all);
}

}  // namespace
}  // namespace fslens::test

int main(int argc, char** argv) {
  fslens::test::measure(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10000, argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100);
  return 0;
}
