#include "fslens/diagnosis/finite_sample_error.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "fslens/core/parallel.hpp"
#include "fslens/metrics/intervals.hpp"
#include "fslens/metrics/pareto_shape.hpp"
#include "fslens/metrics/sliced_wasserstein.hpp"

namespace fslens {
namespace {

constexpr std::size_t kRepetitions = 200;
// Atoms below this share of ω change no quantity in its first six digits.
constexpr double kCarries = 1e-9;

/// The atoms that carry the posterior, with what is asked of each.
struct Carriers {
  std::vector<std::size_t> origin;  ///< of its datum: copies have one g
  std::vector<std::size_t> mode;
  std::vector<double> weight;       ///< ω_i
  Matrix centre;                    ///< [n, d]
  Matrix along;                     ///< projections of the centres [directions, n]
  std::vector<std::vector<std::size_t>> order;  ///< ascending along each direction
};

Carriers carriers_of(const Problem& problem, const ExactReference& reference) {
  const Lens& lens = *problem.lens;
  const auto log_weights = lens.log_weights(Measure::posterior);
  const std::size_t copies = problem.smoothing && problem.smoothing->copies > 0 ? problem.smoothing->copies : 1;
  Carriers out;
  std::vector<std::size_t> component;
  for (std::size_t i = 0; i < log_weights.size(); ++i) {
    const double w = std::exp(log_weights[i]);
    if (w < kCarries) continue;
    component.push_back(i);
    out.origin.push_back(i / copies);
    out.mode.push_back(problem.modes.mode_of_component[i]);
    out.weight.push_back(w);
  }
  out.centre = Matrix(component.size(), lens.dim());
  for (std::size_t j = 0; j < component.size(); ++j) lens.copy_posterior_component(component[j], out.centre.row(j));
  const Matrix& directions = reference.projections().directions();
  out.along = Matrix(directions.rows(), component.size());
  out.order.assign(directions.rows(), {});
  parallel_for(directions.rows(), [&](std::size_t k) {
    for (std::size_t j = 0; j < component.size(); ++j)
      out.along(k, j) = std::inner_product(directions.row(k).begin(), directions.row(k).end(), out.centre.row(j).begin(), 0.0);
    out.order[k].resize(component.size());
    std::iota(out.order[k].begin(), out.order[k].end(), std::size_t{0});
    std::ranges::sort(out.order[k], [&](std::size_t a, std::size_t b) { return out.along(k, a) != out.along(k, b) ? out.along(k, a) < out.along(k, b) : a < b; });
  });
  return out;
}

std::vector<double> scaled_to_one(std::vector<double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& w : weights) w /= sum;
  return weights;
}

/// One-dimensional W2² between two weightings of the same ascending points.
double wasserstein2_squared(const Carriers& atoms, std::size_t direction, const std::vector<double>& p, const std::vector<double>& q) {
  const std::vector<std::size_t>& order = atoms.order[direction];
  std::size_t i = 0, j = 0;
  double left_p = p[order[0]], left_q = q[order[0]], sum = 0.0;
  while (true) {
    const double mass = std::min(left_p, left_q);
    const double difference = atoms.along(direction, order[i]) - atoms.along(direction, order[j]);
    sum += mass * difference * difference;
    left_p -= mass;
    left_q -= mass;
    if (left_p <= 0.0) {
      if (++i == order.size()) return sum;
      left_p = p[order[i]];
    }
    if (left_q <= 0.0) {
      if (++j == order.size()) return sum;
      left_q = q[order[j]];
    }
  }
}

struct Replicate {
  std::vector<double> modes;
  double ess = 0.0, log_evidence_shift = 0.0, total_variance = 0.0, mean_shift_squared = 0.0, half_split = 0.0;
};

std::vector<double> mean_of(const Carriers& atoms, const std::vector<double>& weights) {
  std::vector<double> mean(atoms.centre.cols(), 0.0);
  for (std::size_t j = 0; j < weights.size(); ++j)
    for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += weights[j] * atoms.centre(j, k);
  return mean;
}

double variance_of(const Carriers& atoms, const std::vector<double>& weights, const std::vector<double>& mean) {
  double sum = 0.0;
  for (std::size_t j = 0; j < weights.size(); ++j)
    for (std::size_t k = 0; k < mean.size(); ++k) sum += weights[j] * (atoms.centre(j, k) - mean[k]) * (atoms.centre(j, k) - mean[k]);
  return sum;
}

Replicate bootstrap(const Carriers& atoms, const std::vector<double>& mean, std::size_t num_modes, const RandomStream& stream,
                    std::uint64_t r) {
  std::vector<double> weights(atoms.weight.size());
  for (std::size_t j = 0; j < weights.size(); ++j) weights[j] = atoms.weight[j] * -std::log(stream.uniform(r, atoms.origin[j]));
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  // The evidence is Σ g_i π_i p(y | x_i)/Σ g_i π_i; below the line all atoms average out, but for 1/√N.
  Replicate out;
  out.log_evidence_shift = std::log(sum);
  weights = scaled_to_one(std::move(weights));
  out.modes.assign(num_modes, 0.0);
  double squares = 0.0;
  for (std::size_t j = 0; j < weights.size(); ++j) {
    out.modes[atoms.mode[j]] += weights[j];
    squares += weights[j] * weights[j];
  }
  out.ess = 1.0 / squares;
  const std::vector<double> own = mean_of(atoms, weights);
  out.total_variance = variance_of(atoms, weights, own);
  for (std::size_t k = 0; k < mean.size(); ++k) out.mean_shift_squared += (own[k] - mean[k]) * (own[k] - mean[k]);
  return out;
}

/// SW2² between the posteriors of two random halves of the data. Absent if a half carries nothing.
std::optional<double> half_split(const Carriers& atoms, const RandomStream& stream, std::uint64_t r) {
  std::vector<double> first(atoms.weight), second(atoms.weight);
  double sums[2] = {0.0, 0.0};
  for (std::size_t j = 0; j < first.size(); ++j) {
    const bool in_first = stream.uniform(r, atoms.origin[j]) < 0.5;
    (in_first ? second : first)[j] = 0.0;
    sums[in_first ? 0 : 1] += atoms.weight[j];
  }
  if (sums[0] <= 0.0 || sums[1] <= 0.0) return std::nullopt;
  first = scaled_to_one(std::move(first));
  second = scaled_to_one(std::move(second));
  double sum = 0.0;
  for (std::size_t k = 0; k < atoms.order.size(); ++k) sum += wasserstein2_squared(atoms, k, first, second);
  return sum / static_cast<double>(atoms.order.size());
}

LensInterval interval_of(double value, const std::vector<double>& replicates) {
  return {value, sample_quantile(replicates, 0.025), sample_quantile(replicates, 0.975)};
}

}  // namespace

std::optional<FiniteSampleError> finite_sample_error(const Problem& problem, const ExactReference& reference, const RandomStream& stream) {
  if (problem.is_population) return std::nullopt;
  const Lens& lens = *problem.lens;
  const Carriers atoms = carriers_of(problem, reference);
  const std::vector<double> weights = scaled_to_one(atoms.weight);
  const std::vector<double> mean = mean_of(atoms, weights);
  const RandomStream boot = stream.child("bootstrap of the atoms"), halves = stream.child("half splits of the atoms");
  std::vector<Replicate> replicates(kRepetitions);
  std::vector<std::optional<double>> splits(kRepetitions);
  parallel_for(kRepetitions, [&](std::size_t r) {
    replicates[r] = bootstrap(atoms, mean, problem.modes.num_modes(), boot, r);
    splits[r] = half_split(atoms, halves, r);
  });
  const auto all = [&](const auto& member) {
    std::vector<double> values;
    for (const Replicate& replicate : replicates) values.push_back(member(replicate));
    return values;
  };
  FiniteSampleError out;
  const std::vector<double> modes = problem.modes.weights(lens.log_weights(Measure::posterior));
  for (std::size_t k = 0; k < modes.size(); ++k) out.mode_weights.push_back(interval_of(modes[k], all([&](const Replicate& r) { return r.modes[k]; })));
  out.ess = interval_of(lens.effective_sample_size(), all([](const Replicate& r) { return r.ess; }));
  out.log_evidence = interval_of(lens.log_evidence(), all([&](const Replicate& r) { return lens.log_evidence() + r.log_evidence_shift; }));
  const double within = lens.component_variance();
  const double between = variance_of(atoms, weights, mean);
  out.total_variance = interval_of(between + within, all([&](const Replicate& r) { return r.total_variance + within; }));
  double shift = 0.0;
  for (const Replicate& replicate : replicates) shift += replicate.mean_shift_squared / static_cast<double>(kRepetitions);
  if (between + within > 0.0) out.mean_error = std::sqrt(shift / (between + within));

  std::vector<double> distances;
  double squares = 0.0;
  for (const std::optional<double>& split : splits) {
    if (!split) continue;
    distances.push_back(0.5 * std::sqrt(*split) / reference.final().scale);
    squares += *split;
  }
  if (!distances.empty())
    out.sliced_w2 = interval_of(0.5 * std::sqrt(squares / static_cast<double>(distances.size())) / reference.final().scale, distances);
  std::vector<double> log_ratios;
  for (std::size_t i = 0; i < lens.num_components(); ++i)
    if (std::isfinite(lens.log_weights(Measure::prior)[i]))
      log_ratios.push_back(lens.log_weights(Measure::posterior)[i] - lens.log_weights(Measure::prior)[i]);
  out.pareto_k = pareto_shape(log_ratios);
  return out;
}

}  // namespace fslens
