// How often the faults of planted_faults.cpp are seen and laid at the right door: the table of docs/power.md.
//
//   power_table [RUNS [NAME]]     200 runs of each fault, or of those whose name or problem contains NAME; a fifth as many on the digits
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "fslens/metrics/intervals.hpp"
#include "power/planted_faults.hpp"

namespace fslens::test {
namespace {

struct Tally {
  std::size_t runs = 0, detected = 0, attributed = 0;
  std::map<std::string, std::size_t> failed, largest;  // by check; by row
};

Tally tally(const PlantedFault& fault, std::size_t runs) {
  Tally out;
  std::unique_ptr<Trial> trial;
  for (std::size_t run = 0; run < runs; ++run) {
    if (run % fault.runs_per_trial == 0) trial = fault.open(1 + run / fault.runs_per_trial);
    const SamplerDiagnosis diagnosis = trial->judge(run);
    ++out.runs;
    const bool detected = fault.detected(diagnosis);
    out.detected += detected ? 1 : 0;
    out.attributed += detected && !fault.blamed.empty() && fault.attributed(diagnosis) ? 1 : 0;
    for (const Check& check : diagnosis.checks)
      if (check.verdict == Verdict::fail) ++out.failed[check.id];
    if (!diagnosis.budget.largest.empty()) ++out.largest[diagnosis.budget.largest];
  }
  return out;
}

std::string share(std::size_t count, std::size_t runs) {
  const ConfidenceInterval interval = clopper_pearson(count, runs);
  return fmt::format("{:.1f} % [{:.1f}, {:.1f}]", 100.0 * static_cast<double>(count) / static_cast<double>(runs), 100.0 * interval.low,
                     100.0 * interval.high);
}

std::string list(const std::map<std::string, std::size_t>& counts) {
  std::string out;
  for (const auto& [name, count] : counts) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, count);
  return out;
}

void print(const PlantedFault& fault, const Tally& tally, double seconds) {
  fmt::print("| {} | {} | {} | {} | {} | {} | {} |\n", fault.name, fault.setting, fault.blamed.empty() ? "" : (fault.in_budget ? "row " : "check ") + fault.blamed,
             share(tally.detected, tally.runs), fault.blamed.empty() ? "" : share(tally.attributed, tally.runs), list(tally.failed), list(tally.largest));
  std::fflush(stdout);
  fmt::print(stderr, "{:.1f} s\n", seconds);
}

void write_table(std::size_t runs, const std::string& name) {
  fmt::print("| fault | problem | blamed | detected | and laid at the right door | checks that failed | largest row |\n|---|---|---|---|---|---|---|\n");
  const auto add = [&](const std::vector<PlantedFault>& group, std::size_t count) {
    for (const PlantedFault& fault : group) {
      if ((fault.name + ", " + fault.setting).find(name) == std::string::npos) continue;
      const auto start = std::chrono::steady_clock::now();
      const Tally counted = tally(fault, count);
      print(fault, counted, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  };
  add(planted_faults(), runs);
  add(unharmed_runs(), runs);
  add(faults_on_digits(), (runs + 4) / 5);
}

}  // namespace
}  // namespace fslens::test

int main(int argc, char** argv) {
  fslens::test::write_table(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 200, argc > 2 ? argv[2] : "");
  return 0;
}
