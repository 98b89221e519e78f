// Times a step of a reverse chain against the number of atoms, at several diffusion times.
//
//   benchmark-scaling [--out=scaling.json] [--dim=784] [--atoms=1000,10000,100000,1000000] [--times=0.05,0.2,0.4,0.8]
//                     [--particles=256] [--warm-up=20] [--steps=20] [--tolerance=1e-6] [--seed=1] [--exact-scan]
//
// For each time t: exact draws of the posterior some steps before t, `warm-up` steps down to t, then `steps` steps that are timed. The
// steps are those of a uniform grid of 500, so that what one pass learns is worth to the next what it is in a whole chain.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "arguments.hpp"
#include "chain.hpp"
#include "fslens/core/error.hpp"
#include "fslens/diffusion/time_grid.hpp"
#include "machine.hpp"
#include "reference.hpp"

namespace fslens::benchmarks {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::size_t particles, warm_up, steps, seed;
  PassOptions pass;
};

/// Index of the grid time that is nearest to t, moved so that all steps fit.
std::size_t index_of(const std::vector<double>& grid, double t, const Options& options) {
  const auto nearest = std::ranges::min_element(grid, {}, [t](double time) { return std::abs(time - t); });
  const auto index = static_cast<std::size_t>(nearest - grid.begin());
  return std::clamp(index, options.warm_up, grid.size() - 1 - options.steps);
}

/// Not the median: what a step of a chain costs on average, the dear ones included.
double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Json time_steps(const Workload& workload, double t, const Options& options) {
  const std::vector<double> grid = make_time_grid(workload.schedule, {});
  const std::size_t at = index_of(grid, t, options), first = at - options.warm_up;
  const RandomStream stream = RandomStream(options.seed).child("scaling", at);
  PosteriorChain chain(workload, exact_draws(workload, workload.log_posterior, grid[first], options.particles, stream.child("start")),
                       stream, options.pass);
  std::vector<double> seconds;
  double seen = 0.0, computed = 0.0;
  for (std::size_t k = first; k < at + options.steps; ++k) {
    const double before = processor_seconds();
    const double pass = chain.pass(grid[k]);
    if (k >= at) computed += (processor_seconds() - before) / static_cast<double>(options.steps);
    const std::size_t checked = k == at ? 2 : 0;  // bounds always, means once
    if (const std::string problem = check_means(workload, chain.request(), grid[k], chain.result(), checked); !problem.empty())
      throw Error(fmt::format("{} atoms: {}", workload.count(), problem));
    if (k >= at) {
      seconds.push_back(pass);
      seen += chain.result().work.atoms_seen / static_cast<double>(options.particles * workload.count() * options.steps);
    }
    chain.move(grid[k], grid[k + 1], k);
  }
  return {{"atoms", workload.count()}, {"t", t}, {"grid_t", grid[at]}, {"step_seconds", mean(seconds)}, {"seconds", seconds},
          {"processor_seconds", computed},
          {"atoms_seen", seen}, {"peak_bytes", peak_memory_bytes()}};
}

int run(int& argc, char** argv) {
  const Arguments arguments(argc, argv,
                            {{"out", "scaling.json"}, {"dim", "784"}, {"atoms", "1000,10000,100000,1000000"}, {"times", "0.05,0.2,0.4,0.8"},
                             {"particles", "256"}, {"warm-up", "20"}, {"steps", "20"}, {"tolerance", "1e-6"}, {"seed", "1"},
                             {"exact-scan", "no"}});
  const Options options{arguments.count("particles"), arguments.count("warm-up"), arguments.count("steps"), arguments.count("seed"),
                        {arguments.number("tolerance"), arguments.flag("exact-scan")}};
  Json results{{"dim", arguments.count("dim")}, {"particles", options.particles}, {"tolerance", options.pass.tolerance},
               {"exact_scan", options.pass.exact_scan}};
  for (const std::size_t count : arguments.counts("atoms")) {
    const Workload workload = make_workload(arguments.count("dim"), count);
    for (const double t : arguments.numbers("times")) {
      const Json one = time_steps(workload, t, options);
      fmt::print("{:9} atoms, t = {:<5} {:10.3f} ms a step ({:.3f} of a processor), {:.4f} of the pairs seen\n", count, t,
                 1e3 * one["step_seconds"].get<double>(), 1e3 * one["processor_seconds"].get<double>(), one["atoms_seen"].get<double>());
      results["steps"].push_back(one);
    }
  }
  write_results(arguments.text("out"), results);
  return 0;
}

}  // namespace
}  // namespace fslens::benchmarks

int main(int argc, char** argv) {
  return fslens::benchmarks::run_program("benchmark-scaling", fslens::benchmarks::run, argc, argv);
}
