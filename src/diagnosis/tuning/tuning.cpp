#include "fslens/diagnosis/tuning.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <memory>
#include <utility>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/diagnose.hpp"
#include "fslens/diagnosis/simulated_problem.hpp"

namespace fslens {
namespace {

constexpr double kFewEffectiveAtoms = 5.0;

/// The problem under several measurements, each with its distance to exact draws and random numbers that are the same for every setting.
class Measurements {
 public:
  /// Replicates first … first + count − 1 of the problem's simulated measurements.
  Measurements(const Problem& problem, TuningMetric metric, std::size_t first, std::size_t count, const RandomStream& stream)
      : distances_(count) {
    for (std::size_t y = 0; y < count; ++y) {
      problems_.push_back(simulate_problem(problem, stream.child("measurements"), first + y).problem);
      streams_.push_back(stream.child("chain", first + y));
    }
    parallel_for(count, [&](std::size_t y) {
      distances_[y].emplace(metric, problems_[y], problem.num_particles, stream.child("exact draws", first + y));
    });
  }

  const std::vector<Problem>& problems() const { return problems_; }

  /// The distance of the sampler's final states under each measurement; absent where they are not finite.
  std::vector<std::optional<DistanceValue>> distances(const SamplerSpec& spec, Observer& observer) const {
    std::vector<std::optional<DistanceValue>> out(problems_.size());
    InterruptsOnly watcher(observer);
    parallel_for(problems_.size(), [&](std::size_t y) {
      const Problem& problem = problems_[y];
      const auto sampler = make_sampler(spec, sampler_context(problem));
      Matrix start = initial_states(problem.lens->schedule(), problem.grid.front(), problem.num_particles, problem.lens->dim(), streams_[y]);
      out[y] = distances_[y]->measure(run_sampler(*sampler, problem.grid, std::move(start), streams_[y], watcher).x);
    });
    return out;
  }

 private:
  std::vector<Problem> problems_;
  std::vector<RandomStream> streams_;
  std::vector<std::optional<PosteriorDistance>> distances_;  // filled by the constructor: there is no empty one
};

SamplerSpec with_parameter(SamplerSpec spec, const std::string& parameter, double value) {
  spec.parameters[parameter] = fmt::format("{}", value);
  return spec;
}

void require_tunable(const SamplerSpec& spec, const std::string& parameter) {
  const std::string name = canonical_sampler_name(spec.name);
  const SamplerInfo& info = *std::ranges::find(sampler_catalogue(), name, &SamplerInfo::name);
  std::vector<std::string> scalars;
  for (const SamplerParameterInfo& known : info.parameters)
    if (known.is_scalar) scalars.push_back(known.name);
  if (std::ranges::find(scalars, parameter) != scalars.end()) return;
  if (scalars.empty()) throw UsageError(fmt::format("{} has no scalar parameter that could be tuned", name));
  if (std::ranges::find(info.parameters, parameter, &SamplerParameterInfo::name) != info.parameters.end())
    throw UsageError(fmt::format("'{}' of {} is not a scalar; what can be tuned: {}", parameter, name, fmt::join(scalars, ", ")));
  throw UsageError(unknown_name_message("scalar parameter of " + name, parameter, scalars));
}

double default_of(const SamplerSpec& spec, const std::string& parameter, const Problem& problem) {
  const std::string text = resolved_parameters(spec, problem.integrator, problem.eta).at(parameter);
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size(), parameter, fmt::format("'{}'", text), "must be a number");
  return value;
}

std::optional<double> mean_of(const std::vector<std::optional<DistanceValue>>& distances) {
  double sum = 0.0;
  for (const auto& distance : distances) {
    if (!distance) return std::nullopt;
    sum += distance->value;
  }
  return sum / static_cast<double>(distances.size());
}

/// search_range over settings of the sampler, on the training measurements.
TuningSearch search_settings(const Measurements& training, const TuningRange& range, const TuneOptions& options, std::optional<double> also,
                             const std::string& stage, Observer& observer, const std::function<SamplerSpec(double)>& setting) {
  const std::size_t total = options.num_scanned + options.num_refined + 1;
  std::size_t done = 0;
  const TuningSearch search = search_range(range, options.num_scanned, options.num_refined, also, [&](TuningCandidate& candidate) {
    report_progress(observer, stage, done++, total);
    const auto distances = training.distances(setting(candidate.value), observer);
    candidate.distance = mean_of(distances);
    candidate.num_diverged = static_cast<std::size_t>(std::ranges::count_if(distances, [](const auto& d) { return !d; }));
  });
  report_progress(observer, stage, total, total);
  return search;
}

std::optional<RatioOfMeans> ratio(const TestedSetting& numerator, const TestedSetting& denominator, const TuneOptions& options,
                                  const RandomStream& stream) {
  if (!numerator.mean || !denominator.mean) return std::nullopt;
  std::vector<double> upper, lower;
  for (std::size_t y = 0; y < numerator.distances.size(); ++y) {
    upper.push_back(*numerator.distances[y]);
    lower.push_back(*denominator.distances[y]);
  }
  return ratio_of_means(upper, lower, options.num_resamples, options.confidence, stream);
}

void judge_on_test(const Measurements& test, const TuneOptions& options, const RandomStream& stream, Observer& observer, TuneResult& out) {
  for (std::size_t i = 0; i < out.tested.size(); ++i) {
    report_progress(observer, "tune: unseen measurements", i, out.tested.size());
    TestedSetting& setting = out.tested[i];
    const auto distances = test.distances(setting.spec, observer);
    setting.mean = mean_of(distances);
    double excess = 0.0, band = 0.0;
    for (const auto& distance : distances) {
      setting.distances.push_back(distance ? std::optional(distance->value) : std::nullopt);
      if (distance) excess += distance->excess, band += distance->band;
    }
    if (setting.mean && band > 0.0) setting.in_bands = excess / band;
  }
  report_progress(observer, "tune: unseen measurements", out.tested.size(), out.tested.size());
  const TestedSetting* tuned = out.find("tuned");
  // One stream for all: the same measurements are drawn again for every ratio.
  for (TestedSetting& setting : out.tested) {
    if (setting.name != "default") setting.improvement = ratio(out.tested.front(), setting, options, stream);
    if (tuned != nullptr && setting.name != "default" && setting.name != "tuned") setting.over_tuned = ratio(*tuned, setting, options, stream);
  }
}

/// What the weights are worth to the bound that ζ*(t) makes least, on measurements that it has not seen.
void add_path_bounds(const Measurements& test, const SamplerSpec& spec, const TuneOptions& options, const RandomStream& stream, Observer& observer,
                     TuneResult& out) {
  const std::vector<Problem>& problems = test.problems();
  const Problem& problem = problems.front();
  const NoiseSchedule& noise = problem.lens->schedule();
  const std::string parameter = *weight_parameter(spec.name);
  const double own = default_of(spec, parameter, problem);
  const auto constant = [&](const std::string& name, double value) { out.path_bounds.push_back({name, value, {}, 0.0, {}}); };
  if (!spec.schedule) constant("default", own);
  if (const auto best = out.search.best_value(); best && out.parameter == parameter && !spec.schedule) constant("tuned", *best);
  constant("best constant", best_constant_weight(noise, out.optimal_weights));
  const std::size_t reference = out.path_bounds.size() - 1;
  out.path_bounds.push_back({"schedule", {}, {}, 0.0, {}});
  for (std::size_t y = 0; y < problems.size(); ++y) {
    InterruptsOnly quiet(observer);
    report_progress(observer, "tune: bounds on unseen measurements", y, problems.size());
    const auto moments = optimal_weights(std::span(problems).subspan(y, 1), spec, options.optimal_weight, stream.child("unseen", y), quiet);
    for (PathBound& bound : out.path_bounds) {
      bound.kl.push_back(girsanov_kl(noise, moments, [&](double t) { return bound.constant ? *bound.constant : out.schedule.at(noise, t); }));
      bound.mean += bound.kl.back() / static_cast<double>(problems.size());
    }
  }
  report_progress(observer, "tune: bounds on unseen measurements", problems.size(), problems.size());
  for (PathBound& bound : out.path_bounds)
    bound.over_constant = ratio_of_means(out.path_bounds[reference].kl, bound.kl, options.num_resamples, options.confidence, stream);
}

/// The diagnosis of every setting under one unseen measurement.
void add_checks(const Problem& problem, Observer& observer, TuneResult& out) {
  DiagnoseOptions options;
  for (const TestedSetting& setting : out.tested)
    if (std::ranges::find(options.samplers, sampler_label(setting.spec), sampler_label) == options.samplers.end())
      options.samplers.push_back(setting.spec);
  const Diagnosis diagnosis = diagnose(problem, options, observer);
  for (TestedSetting& setting : out.tested)
    setting.checks = std::ranges::find(diagnosis.samplers, sampler_label(setting.spec), &SamplerDiagnosis::name)->checks;
}

}  // namespace

const TestedSetting* TuneResult::find(const std::string& name) const {
  const auto found = std::ranges::find(tested, name, &TestedSetting::name);
  return found == tested.end() ? nullptr : &*found;
}

const TestedSetting* TuneResult::recommended() const {
  const TestedSetting* out = nullptr;
  for (const TestedSetting& setting : tested)
    if (setting.on_training && (out == nullptr || *setting.on_training < *out->on_training)) out = &setting;
  return out;
}

TuneResult tune(const Problem& problem, const SamplerSpec& spec, const std::string& parameter, const TuningRange& range,
                const TuneOptions& options, Observer& observer) {
  const auto start = std::chrono::steady_clock::now();
  require_tunable(spec, parameter);
  require(options.num_train >= 1, "train", fmt::format("{}", options.num_train), "must be >= 1");
  require(options.num_test >= 2, "test", fmt::format("{}", options.num_test), "must be >= 2");
  for (const double end : {range.low, range.high}) make_sampler(with_parameter(spec, parameter, end), sampler_context(problem));

  TuneResult out;
  out.problem = problem.name;
  out.title = problem.title;
  out.sampler = sampler_label(spec);
  out.parameter = parameter;
  out.metric = options.metric;
  out.range = range;
  out.num_particles = problem.num_particles;
  out.num_train = options.num_train;
  out.num_test = options.num_test;
  out.confidence = options.confidence;
  out.default_value = default_of(spec, parameter, problem);
  const RandomStream stream = RandomStream(problem.seed).child("tune");
  const Measurements training(problem, options.metric, 0, options.num_train, stream);
  out.search = search_settings(training, range, options, out.default_value, "tune: " + parameter, observer,
                               [&](double value) { return with_parameter(spec, parameter, value); });
  const auto add_tested = [&](const std::string& name, const SamplerSpec& setting, std::optional<double> on_training = std::nullopt) {
    out.tested.emplace_back();
    out.tested.back().name = name;
    out.tested.back().spec = setting;
    out.tested.back().on_training = on_training;
  };
  const auto tried = std::ranges::find(out.search.candidates, out.default_value, &TuningCandidate::value);
  add_tested("default", spec, tried != out.search.candidates.end() ? tried->distance : mean_of(training.distances(spec, observer)));
  if (const auto best = out.search.best_value()) add_tested("tuned", with_parameter(spec, parameter, *best), out.search.best_distance());

  if (const auto weight = weight_parameter(spec.name)) {
    out.optimal_weights = optimal_weights(training.problems(), spec, options.optimal_weight, stream.child("optimal weight"), observer);
    out.schedule = to_schedule(out.optimal_weights);
    out.tempered = tempered(out.schedule);
    if (!out.schedule.t.empty()) add_tested("schedule", with_schedule(spec, out.schedule, "optimal"));
    const auto scale_schedule = [&](const std::string& name, const std::string& in_spec, const WeightSchedule& schedule,
                                    std::optional<TuningSearch>& search) {
      if (schedule.t.empty()) return;
      const auto setting = [&](double value) { return with_parameter(with_schedule(spec, schedule, in_spec), *weight, value); };
      search = search_settings(training, kScheduleScale, options, 1.0, "tune: " + name, observer, setting);
      if (const auto best = search->best_value()) add_tested(name, setting(*best), search->best_distance());
    };
    scale_schedule("scaled schedule", "optimal", out.schedule, out.schedule_search);
    scale_schedule("tempered schedule", "tempered", out.tempered, out.tempered_search);
  }
  const Measurements test(problem, options.metric, options.num_train, options.num_test, stream);
  for (const Problem& unseen : test.problems())
    if (!problem.is_population && unseen.lens->effective_sample_size() < kFewEffectiveAtoms) ++out.num_collapsed;
  if (!out.schedule.t.empty()) add_path_bounds(test, spec, options, stream.child("path bounds"), observer, out);
  judge_on_test(test, options, stream.child("bootstrap"), observer, out);
  add_checks(test.problems().front(), observer, out);
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace fslens
