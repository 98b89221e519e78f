// Times whole reverse chains on Fashion-MNIST: a full pass at every step, against the rivals on the same states.
//
//   benchmark-trajectories [--out=trajectories.json] [--save=DIR] [--atoms=60000] [--particles=256] [--steps=500] [--every=25]
//                          [--spacings=uniform,log-snr] [--tolerance=1e-6] [--seed=1] [--exact-scan] [--no-rivals]
//
// --save writes the states of every `every`-th step, with what fslens found there, for benchmarks/rivals.py.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>

#include "arguments.hpp"
#include "chain.hpp"
#include "fslens/core/error.hpp"
#include "fslens/diffusion/time_grid.hpp"
#include "fslens/io/array_writer.hpp"
#include "fslens/samplers/sampler.hpp"
#include "machine.hpp"
#include "reference.hpp"
#include "sgemm.hpp"
#include "textbook.hpp"

namespace fslens::benchmarks {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::size_t particles, steps, every, seed;
  PassOptions pass;
};

/// States that are kept: what the rivals are timed on.
struct Kept {
  std::vector<double> t;
  std::vector<Matrix> x, prior_mean, posterior_mean;
};

struct Run {
  Json results;
  Kept kept;
};

Run run_chain(const Workload& workload, const std::string& spacing, const Options& options) {
  const std::vector<double> grid =
      make_time_grid(workload.schedule, {.steps = options.steps, .t_max = 1.0, .t_min = 0.01, .spacing = parse_grid_spacing(spacing)});
  const RandomStream stream = RandomStream(options.seed).child(spacing);
  PosteriorChain chain(workload, initial_states(workload.schedule, grid.front(), options.particles, workload.dim(), stream.child("start")),
                       stream, options.pass);
  Run run;
  std::vector<double> pass_seconds, move_seconds, seen, bounds;
  const auto pairs = static_cast<double>(options.particles * workload.count());
  for (std::size_t k = 0; k + 1 < grid.size(); ++k) {
    const double t = grid[k];
    pass_seconds.push_back(chain.pass(t));
    const SoftAssignmentResult& result = chain.result();
    seen.push_back(result.work.atoms_seen / pairs);
    double bound = 0.0;
    for (const SoftAssignmentMoments& moments : result.measures) bound = std::max(bound, std::ranges::max(moments.mean_error));
    bounds.push_back(workload.schedule.a(t) * bound / (workload.schedule.s(t) * std::sqrt(static_cast<double>(workload.dim()))));
    // The bounds of all particles at every step, the means of some at some.
    const std::size_t checked = k % options.every == 0 ? 2 : 0;
    if (const std::string problem = check_means(workload, chain.request(), t, result, checked); !problem.empty())
      throw Error(fmt::format("{} grid, step {}: {}", spacing, k, problem));
    if (k % options.every == 0) {
      run.kept.t.push_back(t);
      run.kept.x.push_back(chain.x());
      run.kept.prior_mean.push_back(result.measures[0].mean);
      run.kept.posterior_mean.push_back(result.measures[1].mean);
    }
    move_seconds.push_back(chain.move(t, grid[k + 1], k));
    if (!std::isfinite(chain.x()(0, 0))) throw Error(fmt::format("{} grid: the chain diverged at step {}", spacing, k));
  }
  double pass_total = 0.0, move_total = 0.0;
  for (const double s : pass_seconds) pass_total += s;
  for (const double s : move_seconds) move_total += s;
  run.results = {{"spacing", spacing},
                 {"fslens_seconds", pass_total},
                 {"integrator_seconds", move_total},
                 {"fslens_peak_bytes", peak_memory_bytes()},
                 {"largest_error_bound", std::ranges::max(bounds)},
                 {"t", std::vector<double>(grid.begin(), grid.end() - 1)},
                 {"pass_seconds", pass_seconds},
                 {"atoms_seen", seen}};
  return run;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

template <class F>
double median_seconds(const F& body) {
  constexpr std::size_t kRepetitions = 7;
  body();  // pages and threads
  std::vector<double> seconds;
  for (std::size_t i = 0; i < kRepetitions; ++i) {
    const double started = seconds_now();
    body();
    seconds.push_back(seconds_now() - started);
  }
  return median(seconds);
}

/// Medians of the products by both libraries. Two sums at once may be faster than one after the other: the floor takes the better.
Json time_floor(const Textbook& rival, const Matrix& x) {
  const std::vector<float> states = to_float(x.values());
  const std::size_t particles = x.rows(), count = rival.count(), dim = rival.dim();
  std::vector<float> weights(2 * particles * count, 1.0F / static_cast<float>(count)), sums(2 * particles * dim);
  Json floor;
  double scores = HUGE_VAL, sum = HUGE_VAL, two_sums = HUGE_VAL;
  for (const SgemmLibrary library : kSgemmLibraries) {
    settle();
    const double times[] = {
        median_seconds([&] {
          multiply_by_transposed(library, particles, count, dim, 1.0F, states.data(), rival.atoms().data(), weights.data());
        }),
        median_seconds([&] { multiply(library, particles, dim, count, weights.data(), rival.atoms().data(), sums.data()); }),
        median_seconds([&] { multiply(library, 2 * particles, dim, count, weights.data(), rival.atoms().data(), sums.data()); })};
    floor[std::string(name_of(library))] = {{"scores", times[0]}, {"sums", times[1]}, {"sums_of_two", times[2]}};
    scores = std::min(scores, times[0]);
    sum = std::min(sum, times[1]);
    two_sums = std::min(two_sums, times[2]);
  }
  floor["step_seconds"] = scores + std::min(2.0 * sum, two_sums);
  return floor;
}

/// The textbook rival at every state that was kept: its seconds, and its error against fslens, whose own is far smaller.
Json time_textbook(const Workload& workload, Textbook& rival, const Kept& kept) {
  std::vector<double> seconds, errors;
  std::vector<float> prior(kept.x[0].size()), posterior(prior.size());
  settle();
  for (std::size_t k = 0; k < kept.t.size(); ++k) {
    const double t = kept.t[k];
    const std::vector<float> x = to_float(kept.x[k].values());
    if (k == 0) rival.full_pass(x, workload.schedule.a(t), workload.schedule.s2(t), prior, posterior);  // pages and threads
    const double started = seconds_now();
    rival.full_pass(x, workload.schedule.a(t), workload.schedule.s2(t), prior, posterior);
    seconds.push_back(seconds_now() - started);
    double worst = 0.0;
    for (std::size_t b = 0; b < kept.x[k].rows(); ++b) {
      const std::size_t d = workload.dim();
      const std::vector<double> p(&prior[b * d], &prior[b * d] + d), q(&posterior[b * d], &posterior[b * d] + d);
      worst = larger(worst, relative_error(workload, t, p, kept.prior_mean[k].row(b)));
      worst = larger(worst, relative_error(workload, t, q, kept.posterior_mean[k].row(b)));
    }
    if (!std::isfinite(worst)) throw Error(fmt::format("the textbook rival's means at t = {} are not finite", t));
    errors.push_back(worst);
  }
  double mean = 0.0;
  for (const double s : seconds) mean += s / static_cast<double>(seconds.size());
  return {{"step_seconds", mean}, {"t", kept.t}, {"seconds", seconds}, {"errors", errors}, {"largest_error", std::ranges::max(errors)}};
}

void save_stack(const std::filesystem::path& path, const std::vector<Matrix>& stack) {
  std::vector<double> values;
  for (const Matrix& matrix : stack) values.insert(values.end(), matrix.values().begin(), matrix.values().end());
  write_npy(path.string(), {stack.size(), stack[0].rows(), stack[0].cols()}, std::span<const double>(values));
}

void save_states(const std::filesystem::path& folder, const std::string& spacing, const Workload& workload, const Kept& kept) {
  save_stack(folder / (spacing + "-states.npy"), kept.x);
  save_stack(folder / (spacing + "-prior-means.npy"), kept.prior_mean);
  save_stack(folder / (spacing + "-posterior-means.npy"), kept.posterior_mean);
  std::vector<double> times;
  for (const double t : kept.t) times.insert(times.end(), {t, workload.schedule.a(t), workload.schedule.s2(t)});
  write_npy((folder / (spacing + "-times.npy")).string(), {kept.t.size(), 3}, std::span<const double>(times));
}

/// The pixels as they are stored, and what maps them: a rival in double precision then has the very same atoms.
void save_atoms(const std::filesystem::path& folder, const Workload& workload) {
  const AtomTable& atoms = workload.set.atoms;
  std::vector<float> pixels(atoms.count() * atoms.dim());
  for (std::size_t i = 0; i < atoms.count(); ++i)
    for (std::size_t j = 0; j < atoms.dim(); ++j)
      pixels[i * atoms.dim() + j] = static_cast<float>(std::to_integer<int>(atoms.stored_atom(i)[j]));
  write_npy((folder / "pixels.npy").string(), {atoms.count(), atoms.dim()}, std::span<const float>(pixels));
  const double scale[] = {atoms.low(), (atoms.high() - atoms.low()) / 255.0};
  write_npy((folder / "scale.npy").string(), {2}, std::span<const double>(scale));
  std::vector<double> log_weights = workload.log_prior;
  log_weights.insert(log_weights.end(), workload.log_posterior.begin(), workload.log_posterior.end());
  write_npy((folder / "log-weights.npy").string(), {2, workload.count()}, std::span<const double>(log_weights));
}

int run(int& argc, char** argv) {
  const Arguments arguments(argc, argv,
                            {{"out", "trajectories.json"}, {"save", ""}, {"atoms", "60000"}, {"particles", "256"}, {"steps", "500"},
                             {"every", "25"}, {"spacings", "uniform,log-snr"}, {"tolerance", "1e-6"}, {"seed", "1"}, {"exact-scan", "no"},
                             {"no-rivals", "no"}});
  const Options options{arguments.count("particles"), arguments.count("steps"), arguments.count("every"), arguments.count("seed"),
                        {arguments.number("tolerance"), arguments.flag("exact-scan")}};
  const double started = seconds_now();
  const Workload workload = make_workload(kFashion, arguments.count("atoms"));
  Json results{{"atoms", workload.count()}, {"dim", workload.dim()}, {"particles", options.particles}, {"steps", options.steps},
               {"tolerance", options.pass.tolerance}, {"exact_scan", options.pass.exact_scan}, {"seed", options.seed},
               {"sigma", workload.likelihood->noise().scalar_sigma()}, {"effective_atoms", workload.effective_atoms},
               {"set_up_seconds", seconds_now() - started}};
  // All of fslens first: its memory is known before the rivals take theirs.
  std::vector<Run> runs;
  for (const std::string& spacing : arguments.texts("spacings")) {
    runs.push_back(run_chain(workload, spacing, options));
    fmt::print("{:8} fslens {:8.2f} s for {} full passes, {:.2f} s for the steps between them, error at most {:.1e}, peak memory {:.0f} MB\n",
               spacing, runs.back().results["fslens_seconds"].get<double>(), options.steps,
               runs.back().results["integrator_seconds"].get<double>(), runs.back().results["largest_error_bound"].get<double>(),
               static_cast<double>(peak_memory_bytes()) / 1e6);
  }
  if (const std::string& folder = arguments.text("save"); !folder.empty()) {
    std::filesystem::create_directories(folder);
    save_atoms(folder, workload);
    for (const Run& one : runs) save_states(folder, one.results["spacing"], workload, one.kept);
  }
  if (!arguments.flag("no-rivals")) {
    Textbook rival(single_precision(workload.set.atoms), workload.count(), workload.dim(),
                   {to_float(workload.log_prior), to_float(workload.log_posterior)});
    const auto steps = static_cast<double>(options.steps);
    for (Run& one : runs) {
      const Json floor = time_floor(rival, one.kept.x.front()), textbook = time_textbook(workload, rival, one.kept);
      fmt::print("{:8} three sgemms {:.2f} s, textbook OpenBLAS {:.2f} s (error {:.1e}), both from single steps\n",
                 one.results["spacing"].get<std::string>(), steps * floor["step_seconds"].get<double>(),
                 steps * textbook["step_seconds"].get<double>(), textbook["largest_error"].get<double>());
      one.results["floor"] = floor;
      one.results["textbook"] = textbook;
    }
  }
  for (const Run& one : runs) results["runs"].push_back(one.results);
  results["peak_bytes"] = peak_memory_bytes();
  write_results(arguments.text("out"), results);
  return 0;
}

}  // namespace
}  // namespace fslens::benchmarks

int main(int argc, char** argv) {
  return fslens::benchmarks::run_program("benchmark-trajectories", fslens::benchmarks::run, argc, argv);
}
