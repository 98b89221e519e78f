#include "fslens/diagnosis/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <set>

#include "calibration_verdict.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/diagnose.hpp"
#include "fslens/diagnosis/margins.hpp"
#include "test_quantities.hpp"

namespace fslens {
namespace {

constexpr std::size_t kFewestReplicates = 50, kFewestDraws = 9;
constexpr std::size_t kClassifiedPairs = 4000;  // its cost is their square

struct CalibratedSampler {
  SamplerSpec spec;
  RandomStream stream;
  bool is_exact = false;
  RankTable table;
  std::vector<double> seconds;                // of drawing [R]
  std::vector<std::vector<double>> features;  // of the first draw [R][F]; empty where a draw is not finite
};

bool all_finite(const Matrix& x) {
  return std::ranges::all_of(x.values(), [](double value) { return std::isfinite(value); });
}

/// The replicates of a calibration: independent, each with its own measurement, lens and samplers.
class Replicates {
 public:
  Replicates(const Problem& problem, const CalibrateOptions& options, Observer& observer)
      : problem_(problem),
        options_(options),
        observer_(observer),
        t_(problem.grid.back()),
        stream_(RandomStream(problem.seed).child("calibrate")),
        quantities_(problem, t_, stream_.child("test quantities")),
        truth_features_(options.replicates) {
    add({"exact", {}});
    for (const SamplerSpec& spec : options.samplers) {
      resolved_parameters(spec);  // names and keys, of exact too
      if (canonical_sampler_name(spec.name) != "exact") add(spec);
    }
    check_samplers();
  }

  void run() {
    std::atomic<bool> stopped = false;
    std::mutex mutex;
    std::size_t done = 0;
    report_progress(observer_, kStage, 0, options_.replicates);
    parallel_for(options_.replicates, [&](std::size_t r) {
      if (stopped) return;
      try {
        run_replicate(r);
        const std::lock_guard lock(mutex);
        report_progress(observer_, kStage, ++done, options_.replicates);
      } catch (...) {
        stopped = true;
        throw;
      }
    });
  }

  const TestQuantities& quantities() const { return quantities_; }
  std::vector<CalibratedSampler>& contestants() { return contestants_; }

  std::optional<ClassifierTwoSample> classify(const CalibratedSampler& contestant) const {
    std::vector<std::size_t> pairs;
    for (std::size_t r = 0; r < options_.replicates && pairs.size() < kClassifiedPairs; ++r)
      if (!contestant.features[r].empty()) pairs.push_back(r);
    const ClassifierOptions classifier;
    if (pairs.size() < 2 * classifier.folds) return std::nullopt;
    const std::size_t num_features = truth_features_.front().size();
    Matrix truths(pairs.size(), num_features), draws(pairs.size(), num_features);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      std::ranges::copy(truth_features_[pairs[i]], truths.row(i).begin());
      std::ranges::copy(contestant.features[pairs[i]], draws.row(i).begin());
    }
    return classifier_two_sample(truths, draws, contestant.stream.child("classifier"), classifier);
  }

 private:
  static constexpr const char* kStage = "calibrate";

  void add(const SamplerSpec& spec) {
    CalibratedSampler contestant{spec, sampler_stream(problem_.seed, spec).child("calibrate"), canonical_sampler_name(spec.name) == "exact", {}, {}, {}};
    contestant.table.of.assign(quantities_.num_ranked(), std::vector<std::optional<std::size_t>>(options_.replicates));
    contestant.seconds.assign(options_.replicates, 0.0);
    contestant.features.resize(options_.replicates);
    contestants_.push_back(std::move(contestant));
  }

  static SamplerContext context_of(const Problem& problem) {
    return {problem.lens->denoiser(Measure::prior), problem.lens->denoiser(Measure::posterior), problem.likelihood, problem.integrator, problem.eta};
  }

  /// A name or an option that is wrong is said before anything runs.
  void check_samplers() const {
    std::set<std::string> labels;
    for (const CalibratedSampler& contestant : contestants_) {
      if (!labels.insert(sampler_label(contestant.spec)).second)
        throw UsageError(fmt::format("sampler '{}' is named twice", sampler_label(contestant.spec)));
      if (!contestant.is_exact) make_sampler(contestant.spec, context_of(problem_));
    }
  }

  void run_replicate(std::size_t r) {
    const SimulatedProblem simulated = simulate_problem(problem_, stream_, r);
    const NoiseSchedule& schedule = problem_.lens->schedule();
    Matrix truth(1, simulated.truth.size());
    for (std::size_t j = 0; j < truth.cols(); ++j)
      truth(0, j) = schedule.a(t_) * simulated.truth[j] + schedule.shift(t_) + schedule.s(t_) * stream_.child("noised truth").normal(0, r, j);
    const Matrix reference = problem_.lens->sample(Measure::prior, 1, t_, stream_.child("reference point"), r).x;
    const Matrix truth_values = quantities_.values(simulated, truth, reference.row(0));
    truth_features_[r] = quantities_.features(simulated, truth.row(0));
    for (CalibratedSampler& contestant : contestants_) {
      const auto start = std::chrono::steady_clock::now();
      const Matrix draws = draw(contestant, simulated.problem, r);
      contestant.seconds[r] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      if (!all_finite(draws)) continue;
      const Matrix values = quantities_.values(simulated, draws, reference.row(0));
      for (std::size_t q = 0; q < values.rows(); ++q)
        contestant.table.of[q][r] = rank_of_truth(truth_values(q, 0), values.row(q), contestant.stream.child("ties", q), r);
      contestant.features[r] = quantities_.features(simulated, draws.row(0));
    }
  }

  Matrix draw(const CalibratedSampler& contestant, const Problem& simulated, std::size_t r) {
    const RandomStream stream = contestant.stream.child("replicate", r);
    if (contestant.is_exact) return simulated.lens->sample(Measure::posterior, options_.draws, t_, stream).x;
    InterruptsOnly observer(observer_);
    const auto sampler = make_sampler(contestant.spec, context_of(simulated));
    return run_sampler(*sampler, simulated.grid,
                       initial_states(simulated.lens->schedule(), simulated.grid.front(), options_.draws, simulated.lens->dim(), stream.child("initial state")),
                       stream, observer)
        .x;
  }

  const Problem& problem_;
  const CalibrateOptions& options_;
  Observer& observer_;
  double t_;
  RandomStream stream_;
  TestQuantities quantities_;
  std::vector<std::vector<double>> truth_features_;  // [R][F]
  std::vector<CalibratedSampler> contestants_;
};

void validate(const CalibrateOptions& options) {
  require(options.replicates >= kFewestReplicates, "replicates", fmt::format("{}", options.replicates),
          fmt::format("must be at least {}: fewer ranks have no distribution to speak of", kFewestReplicates));
  require(options.draws >= kFewestDraws, "draws", fmt::format("{}", options.draws), fmt::format("must be at least {}", kFewestDraws));
  require(options.false_alarm_rate > 0.0 && options.false_alarm_rate < 1.0, "false_alarm_rate", fmt::format("{}", options.false_alarm_rate),
          "must lie in (0, 1)");
}

}  // namespace

std::string to_string(Validity validity) {
  switch (validity) {
    case Validity::valid: return "valid";
    case Validity::marked: return "marked";
    case Validity::refused: return "refused";
  }
  throw Error("validity out of range");
}

CalibrationReport calibrate(const Problem& problem, const CalibrateOptions& options, Observer& observer) {
  const auto start = std::chrono::steady_clock::now();
  validate(options);
  Replicates replicates(problem, options, observer);
  replicates.run();

  CalibrationReport report;
  report.problem = problem.name, report.title = problem.title, report.prior_kind = problem.prior_kind;
  report.num_atoms = problem.lens->num_components(), report.dim = problem.lens->dim();
  report.num_measurements = problem.likelihood->output_dim();
  report.replicates = options.replicates, report.draws = options.draws;
  report.t = problem.grid.back();
  report.left_out = !problem.is_population;
  report.false_alarm_rate = options.false_alarm_rate;
  report.statistics = replicates.quantities().statistics();
  std::vector<RankTable> tables;
  std::vector<SamplerTraits> traits;
  for (CalibratedSampler& contestant : replicates.contestants()) {
    SamplerCalibration sampler;
    sampler.name = sampler_label(contestant.spec);
    sampler.options = resolved_parameters(contestant.spec, problem.integrator, problem.eta);
    for (const double seconds : contestant.seconds) sampler.seconds += seconds;
    sampler.c2st = replicates.classify(contestant);
    const auto integrator = sampler.options.find("integrator");
    traits.push_back({canonical_sampler_name(contestant.spec.name), integrator == sampler.options.end() ? "" : integrator->second,
                      to_string(problem.grid_options.spacing), problem.grid_options.steps});
    report.samplers.push_back(std::move(sampler));
    tables.push_back(std::move(contestant.table));
  }
  judge_calibration(tables, traits, resolve_margins(problem.margins).at("calibration"), report);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace fslens
