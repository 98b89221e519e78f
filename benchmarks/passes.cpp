// Times one full pass, denoiser, C v and TMPD step against the floor and the textbook rival, over N and d. With Google Benchmark.
//
//   benchmark-passes [--dims=1,64,784,3072] [--atoms=1000,…] [--times=0.05,…] [--particles=256] [--tolerance=1e-6]
//                    [--rival-memory=6e9] [--exact-scan] [--benchmark_…]
//
// Names are family/who/d:…/n:…[/t:…]. Every answer is checked before it is timed; the exit code is 1 if one was wrong.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "arguments.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "machine.hpp"
#include "reference.hpp"
#include "sgemm.hpp"
#include "stage.hpp"

namespace fslens::benchmarks {
namespace {

// The rivals' time does not depend on t: theirs is measured at one.
constexpr double kRivalTime = 0.2;
constexpr std::size_t kCheckedRows = 3;
// A rival is informative, not a reference: it is wrong only if it is not about the same computation. Float32 logits of 1e5 have errors of
// 1e-2, and a mean moves by the distance of two atoms where two are about as near.
constexpr double kRivalTolerance = 0.5;

struct Settings {
  Stage stage;
  double tolerance;
  double rival_bytes;
  std::set<std::string> warm, checked;
  std::map<std::string, double> errors;  ///< of the rivals
  bool all_right = true;
};

/// Times body(k) with k running through the batches of states. Google Benchmark calls this several times: memory is touched and threads
/// are made before the first.
template <class Body>
void time_batches(Settings& settings, benchmark::State& state, const std::string& name, const Body& body) {
  if (settings.warm.insert(name).second) body(0);
  settle();
  std::size_t k = 0;
  for (auto _ : state) {
    body(k);
    k = (k + 1) % kBatches;
  }
}

/// Runs `check` once for each benchmark; a message stops it, and the program ends with code 1.
template <class Check>
bool right(Settings& settings, benchmark::State& state, const std::string& name, const Check& check) {
  if (settings.checked.contains(name)) return true;
  const std::string problem = check();
  if (problem.empty()) {
    settings.checked.insert(name);
    return true;
  }
  settings.all_right = false;
  state.SkipWithError(("WRONG: " + problem).c_str());
  return false;
}

bool too_large(const Settings& settings, benchmark::State& state, const Shape& shape, double arrays) {
  const double bytes = settings.stage.rival_bytes(shape, arrays);
  if (bytes <= settings.rival_bytes) return false;
  state.SkipWithError(fmt::format("skipped: needs {:.1f} GB, limit {:.1f} GB", bytes / 1e9, settings.rival_bytes / 1e9).c_str());
  return true;
}

std::vector<double> to_double(std::span<const float> values) { return {values.begin(), values.end()}; }

/// Largest error of float32 means in the rows that are checked, as the tolerance counts it.
double rival_error(Stage& stage, const Workload& workload, double t, std::span<const float> means, std::size_t measure) {
  double worst = 0.0;
  for (const std::size_t b : checked_rows(stage.particles(), kCheckedRows)) {
    const auto mean = to_double(means.subspan(b * workload.dim(), workload.dim()));
    worst = larger(worst, relative_error(workload, t, mean, stage.reference(t, b).mean(measure)));
  }
  return worst;
}

/// Finds out a rival's error once and puts it into the results; false if it is not about the same computation.
template <class Error>
bool rival_right(Settings& settings, benchmark::State& state, const std::string& name, const Error& error) {
  if (!settings.errors.contains(name)) settings.errors[name] = error();
  const double found = settings.errors[name];
  state.counters["error"] = found;
  return right(settings, state, name, [found]() -> std::string {
    return found <= kRivalTolerance ? "" : fmt::format("a float32 mean is {:.3g} off, relative to the score's noise", found);
  });
}

// ---- the floor: single products ----

void time_sgemm(Settings& settings, benchmark::State& state, const Shape& shape, SgemmLibrary library, const std::string& product,
                const std::string& name) {
  const std::size_t measures = product == "sums_of_two" ? 2 : 1;
  if (too_large(settings, state, shape, static_cast<double>(measures))) return;
  settings.stage.workload(shape);
  const States& states = settings.stage.states(kRivalTime);
  const Textbook& rival = settings.stage.textbook();
  const std::size_t particles = settings.stage.particles();
  std::vector<float> weights(measures * particles * shape.count, 1.0F / static_cast<float>(shape.count));
  std::vector<float> sums(measures * particles * shape.dim);
  time_batches(settings, state, name, [&](std::size_t k) {
    if (product == "scores")
      multiply_by_transposed(library, particles, shape.count, shape.dim, 1.0F, states.single[k].data(), rival.atoms().data(),
                             weights.data());
    else
      multiply(library, measures * particles, shape.dim, shape.count, weights.data(), rival.atoms().data(), sums.data());
  });
  const double operations = 2.0 * static_cast<double>(measures * particles) * static_cast<double>(shape.dim * shape.count);
  state.counters["flops"] = benchmark::Counter(operations, benchmark::Counter::kIsIterationInvariantRate);
}

// ---- full pass and denoiser ----

void time_fslens_means(Settings& settings, benchmark::State& state, const Shape& shape, double t, bool both, bool exact_scan,
                       const std::string& name) {
  const Workload& workload = settings.stage.workload(shape);
  const States& states = settings.stage.states(t);
  const auto request = [&](std::size_t k) {
    SoftAssignmentRequest r = full_pass_request(workload, states.x[k], t, settings.tolerance, exact_scan);
    if (!both) r.log_weights.resize(1);
    return r;
  };
  SoftAssignmentResult result;
  const auto check = [&] {
    result = soft_assignment(request(0));
    return check_means(workload, request(0), t, result, kCheckedRows,
                       [&](std::size_t b) -> const Reference& { return settings.stage.reference(t, b); });
  };
  if (!right(settings, state, name, check)) return;
  time_batches(settings, state, name, [&](std::size_t k) { result = soft_assignment(request(k)); });
  const auto pairs = static_cast<double>(settings.stage.particles() * shape.count);
  state.counters["atoms_seen"] = result.work.atoms_seen / pairs;
  state.counters["fixed_point"] = static_cast<double>(result.work.fixed_point);
  state.counters["dense"] = static_cast<double>(result.work.dense);
  state.counters["direct"] = static_cast<double>(result.work.direct);
}

void time_textbook_means(Settings& settings, benchmark::State& state, const Shape& shape, bool both, const std::string& name) {
  if (too_large(settings, state, shape, both ? 2.0 : 1.0)) return;
  const Workload& workload = settings.stage.workload(shape);
  const States& states = settings.stage.states(kRivalTime);
  Textbook& rival = settings.stage.textbook();
  std::vector<float> prior(states.single[0].size()), posterior(prior.size());
  const auto run = [&](std::size_t k) {
    if (both)
      rival.full_pass(states.single[k], states.a, states.s2, prior, posterior);
    else
      rival.denoise(states.single[k], states.a, states.s2, prior);
  };
  const auto error = [&] {
    run(0);
    const double of_prior = rival_error(settings.stage, workload, kRivalTime, prior, 0);
    return both ? larger(of_prior, rival_error(settings.stage, workload, kRivalTime, posterior, 1)) : of_prior;
  };
  if (!rival_right(settings, state, name, error)) return;
  time_batches(settings, state, name, run);
}

// ---- C v ----

void time_fslens_vjp(Settings& settings, benchmark::State& state, const Shape& shape, double t, const std::string& name) {
  const Workload& workload = settings.stage.workload(shape);
  const States& states = settings.stage.states(t);
  const Products& products = settings.stage.products(t);
  const auto request = [&](std::size_t k) {
    SoftAssignmentRequest r = full_pass_request(workload, states.x[k], t, settings.tolerance, false);
    r.log_weights.resize(1);
    r.want_mean = false;
    r.direction = products.v;
    r.direction_mean = products.mean[k];
    return r;
  };
  SoftAssignmentResult result;
  const auto check = [&]() -> std::string {
    result = soft_assignment(request(0));
    for (const std::size_t b : checked_rows(settings.stage.particles(), kCheckedRows)) {
      const Reference& reference = settings.stage.reference(t, b);
      const std::vector<double> expected = reference.covariance_product(products.mean[0].row(b), products.v.row(b));
      const double error = distance(result.covariance_product.row(b), expected);
      const double bound = result.covariance_product_error.at(b);
      if (!(error <= bound + 1e-9 * std::sqrt(static_cast<double>(shape.dim))))
        return fmt::format("C v of particle {} is {:.3g} from the definition's, bound {:.3g}", b, error, bound);
    }
    return "";
  };
  if (!right(settings, state, name, check)) return;
  time_batches(settings, state, name, [&](std::size_t k) { result = soft_assignment(request(k)); });
}

void time_textbook_vjp(Settings& settings, benchmark::State& state, const Shape& shape, const std::string& name) {
  if (too_large(settings, state, shape, 2.0)) return;
  settings.stage.workload(shape);
  const States& states = settings.stage.states(kRivalTime);
  const Products& products = settings.stage.products(kRivalTime);
  Textbook& rival = settings.stage.textbook();
  const std::vector<float> v = to_float(products.v.values());
  std::array<std::vector<float>, kBatches> mean;
  for (std::size_t k = 0; k < kBatches; ++k) mean[k] = to_float(products.mean[k].values());
  std::vector<float> product(v.size());
  time_batches(settings, state, name, [&](std::size_t k) { rival.covariance_product(states.single[k], states.a, states.s2, mean[k], v, product); });
}

// ---- TMPD ----

/// The mean and C v of one particle by the definition.
std::string check_tmpd(Stage& stage, const Workload& workload, const States& states, double tolerance, const Matrix& mean,
                       const Matrix& product) {
  const TmpdDirection& tmpd = stage.tmpd();
  const std::size_t m = tmpd.num_measurements(), d = workload.dim();
  for (const std::size_t b : checked_rows(mean.rows(), kCheckedRows)) {
    const Reference& reference = stage.reference(states.t, b);
    const std::vector<double> expected = reference.mean(0);
    const double error = relative_error(workload, states.t, mean.row(b), expected);
    if (!(error <= tolerance + 1e-9)) return fmt::format("TMPD: mean of particle {} is {:.3g} off, tolerance {:.3g}", b, error, tolerance);
    std::vector<double> projected(m * m), v(d);
    for (std::size_t i = 0; i < m; ++i) {
      const std::vector<double> column = reference.covariance_product(expected, tmpd.projection().row(i));
      for (std::size_t j = 0; j < m; ++j)
        for (std::size_t k = 0; k < d; ++k) projected[i * m + j] += tmpd.projection()(j, k) * column[k];
    }
    tmpd(expected, projected, v);
    const std::vector<double> zero(d, 0.0), cv = reference.covariance_product(expected, v);
    // Errors of A C Aᵀ come back through (A C Aᵀ + σ² I)⁻¹: compared with the size that C v has where C is about s²/a².
    const double size = distance(cv, zero) + states.s2 / (states.a * states.a) * distance(v, zero);
    const double off = distance(product.row(b), cv);
    if (!(off <= 1e-4 * size)) return fmt::format("TMPD: C v of particle {} is {:.3g} off, size {:.3g}", b, off, size);
  }
  return "";
}

void time_fslens_tmpd(Settings& settings, benchmark::State& state, const Shape& shape, double t, const std::string& name) {
  const Workload& workload = settings.stage.workload(shape);
  const States& states = settings.stage.states(t);
  const TmpdDirection& tmpd = settings.stage.tmpd();
  const EmpiricalDenoiser denoiser(settings.stage.prior(), workload.schedule, {settings.tolerance});
  const Denoiser::Direction direction = [&](std::span<const std::size_t> rows, ConstBatchView means, ConstBatchView projected,
                                            BatchView directions) {
    for (std::size_t p = 0; p < rows.size(); ++p) tmpd(means.row(p), projected.row(p), directions.row(p));
  };
  Matrix mean(states.x[0].rows(), shape.dim), product(mean.rows(), mean.cols());
  const auto run = [&](std::size_t k) {
    denoiser.denoise_and_multiply(states.x[k], t, tmpd.projection().view(), direction, mean, product);
  };
  const auto check = [&] {
    run(0);
    return check_tmpd(settings.stage, workload, states, settings.tolerance, mean, product);
  };
  if (!right(settings, state, name, check)) return;
  time_batches(settings, state, name, run);
}

void time_textbook_tmpd(Settings& settings, benchmark::State& state, const Shape& shape, const std::string& name) {
  settings.stage.workload(shape);
  const TmpdDirection& tmpd = settings.stage.tmpd();
  const std::size_t m = tmpd.num_measurements(), q = m + m * (m + 1) / 2;
  if (too_large(settings, state, shape, 2.0 + static_cast<double>(q) / static_cast<double>(settings.stage.particles()))) return;
  const Workload& workload = settings.stage.workload(shape);
  const States& states = settings.stage.states(kRivalTime);
  const std::vector<float>& features = settings.stage.tmpd_features();
  Textbook& rival = settings.stage.textbook();
  const Textbook::Direction direction = [&](std::span<const float> means, std::span<const float> moments, std::span<float> directions) {
    parallel_for(settings.stage.particles(), [&](std::size_t b) {
      std::vector<double> projected(m * m), v(shape.dim);
      projected_covariance(moments.subspan(b * q, q), m, projected);
      tmpd(to_double(means.subspan(b * shape.dim, shape.dim)), projected, v);
      for (std::size_t j = 0; j < v.size(); ++j) directions[b * shape.dim + j] = static_cast<float>(v[j]);
    });
  };
  std::vector<float> mean(states.single[0].size()), product(mean.size());
  const auto run = [&](std::size_t k) {
    rival.denoise_and_multiply(states.single[k], states.a, states.s2, features, direction, mean, product);
  };
  const auto error = [&] {
    run(0);
    return rival_error(settings.stage, workload, kRivalTime, mean, 0);
  };
  if (!rival_right(settings, state, name, error)) return;
  time_batches(settings, state, name, run);
}

// ---- the list ----

template <class F>
void add(const std::string& name, F&& body) {
  benchmark::RegisterBenchmark(name.c_str(), [body, name](benchmark::State& state) { body(state, name); })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

void register_rivals(Settings& s, const Shape& shape, const std::string& at) {
  for (const SgemmLibrary library : kSgemmLibraries)
    for (const std::string product : {"scores", "sums", "sums_of_two"})
      add(fmt::format("sgemm_{}/{}{}", product, name_of(library), at),
          [&s, shape, library, product](benchmark::State& state, const std::string& name) {
            time_sgemm(s, state, shape, library, product, name);
          });
  add("full_pass/textbook" + at,
      [&s, shape](benchmark::State& state, const std::string& name) { time_textbook_means(s, state, shape, true, name); });
  add("denoiser/textbook" + at,
      [&s, shape](benchmark::State& state, const std::string& name) { time_textbook_means(s, state, shape, false, name); });
  add("vjp/textbook" + at, [&s, shape](benchmark::State& state, const std::string& name) { time_textbook_vjp(s, state, shape, name); });
  add("tmpd/textbook" + at,
      [&s, shape](benchmark::State& state, const std::string& name) { time_textbook_tmpd(s, state, shape, name); });
}

void register_fslens(Settings& s, const Shape& shape, double t, bool exact_scan, const std::string& at) {
  add("full_pass/fslens" + at, [&s, shape, t](benchmark::State& state, const std::string& name) {
    time_fslens_means(s, state, shape, t, true, false, name);
  });
  if (exact_scan)
    add("full_pass/fslens_exact_scan" + at, [&s, shape, t](benchmark::State& state, const std::string& name) {
      time_fslens_means(s, state, shape, t, true, true, name);
    });
  add("denoiser/fslens" + at, [&s, shape, t](benchmark::State& state, const std::string& name) {
    time_fslens_means(s, state, shape, t, false, false, name);
  });
  add("vjp/fslens" + at,
      [&s, shape, t](benchmark::State& state, const std::string& name) { time_fslens_vjp(s, state, shape, t, name); });
  add("tmpd/fslens" + at,
      [&s, shape, t](benchmark::State& state, const std::string& name) { time_fslens_tmpd(s, state, shape, t, name); });
}

int run(int& argc, char** argv) {
  const Arguments arguments(argc, argv,
                            {{"dims", "1,64,784,3072"},
                             {"atoms", "1000,10000,60000,100000,1000000"},
                             {"times", "0.05,0.2,0.4,0.8"},
                             {"particles", "256"},
                             {"tolerance", "1e-6"},
                             {"rival-memory", "6e9"},
                             {"exact-scan", "no"}},
                            "--benchmark_");
  Settings settings{Stage(arguments.count("particles")), arguments.number("tolerance"), arguments.number("rival-memory"), {}, {}, {}};
  for (const std::size_t dim : arguments.counts("dims"))
    for (const std::size_t count : arguments.counts("atoms")) {
      const std::string at = fmt::format("/d:{}/n:{}", dim, count);
      for (const double t : arguments.numbers("times"))
        register_fslens(settings, {dim, count}, t, arguments.flag("exact-scan"), fmt::format("{}/t:{}", at, t));
      register_rivals(settings, {dim, count}, at);
    }
  benchmark::Initialize(&argc, argv);
  for (const auto& [key, value] : machine_description()) benchmark::AddCustomContext(key, value);
  benchmark::AddCustomContext("particles", arguments.text("particles"));
  benchmark::AddCustomContext("tolerance", arguments.text("tolerance"));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return settings.all_right ? 0 : 1;
}

}  // namespace
}  // namespace fslens::benchmarks

int main(int argc, char** argv) { return fslens::benchmarks::run_program("benchmark-passes", fslens::benchmarks::run, argc, argv); }
