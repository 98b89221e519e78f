#include "fslens/diagnosis/finite_sample_error.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "fslens/core/parallel.hpp"
#include "fslens/metrics/intervals.hpp"
#include "fslens/metrics/pareto_shape.hpp"
#include "fslens/metrics/sliced_wasserstein.hpp"

namespace fslens {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr std::size_t kRepetitions = 200;
constexpr std::size_t kBlock = 1024;
// Atoms below this share of ω change no quantity in its first six digits.
constexpr double kCarries = 1e-9;

/// The atoms that carry the posterior, with what half splits ask of each. Their centres are read where they lie, block by block.
struct Carriers {
  std::vector<std::size_t> component;
  std::vector<std::size_t> origin;  ///< of its datum: copies have one g
  std::vector<std::size_t> mode;
  std::vector<double> weight;       ///< ω_i
  Matrix along;                     ///< projections of the centres [directions, n]
  std::vector<std::vector<std::size_t>> order;  ///< ascending along each direction
};

Carriers carriers_of(const Problem& problem) {
  const auto log_weights = problem.lens->log_weights(Measure::posterior);
  const std::size_t copies = problem.smoothing && problem.smoothing->copies > 0 ? problem.smoothing->copies : 1;
  Carriers out;
  for (std::size_t i = 0; i < log_weights.size(); ++i) {
    const double w = std::exp(log_weights[i]);
    if (w < kCarries) continue;
    out.component.push_back(i);
    out.origin.push_back(i / copies);
    out.mode.push_back(problem.modes.mode_of_component[i]);
    out.weight.push_back(w);
  }
  return out;
}

/// Calls use(first, centres) for blocks of carriers in their order. @shape centres [≤ kBlock, d]
void for_each_block(const Lens& lens, const Carriers& atoms, const std::function<void(std::size_t, const Matrix&)>& use) {
  for (std::size_t first = 0; first < atoms.component.size(); first += kBlock) {
    Matrix centres(std::min(kBlock, atoms.component.size() - first), lens.dim());
    parallel_for(centres.rows(), [&](std::size_t j) { lens.copy_posterior_component(atoms.component[first + j], centres.row(j)); });
    use(first, centres);
  }
}

/// Along every direction, and their order there. @return the carriers' mean [d]
std::vector<double> project(const Lens& lens, const Matrix& directions, Carriers& atoms) {
  const std::size_t n = atoms.component.size();
  std::vector<double> mean(lens.dim());
  double total = 0.0;
  atoms.along = Matrix(directions.rows(), n);
  for_each_block(lens, atoms, [&](std::size_t first, const Matrix& centres) {
    parallel_for(directions.rows(), [&](std::size_t k) {
      for (std::size_t j = 0; j < centres.rows(); ++j)
        atoms.along(k, first + j) = std::inner_product(directions.row(k).begin(), directions.row(k).end(), centres.row(j).begin(), 0.0);
    });
    for (std::size_t j = 0; j < centres.rows(); ++j) {
      total += atoms.weight[first + j];
      for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += atoms.weight[first + j] * centres(j, k);
    }
  });
  for (double& value : mean) value /= total;
  atoms.order.assign(directions.rows(), std::vector<std::size_t>(n));
  parallel_for(directions.rows(), [&](std::size_t k) {
    std::iota(atoms.order[k].begin(), atoms.order[k].end(), std::size_t{0});
    std::ranges::sort(atoms.order[k], [&](std::size_t a, std::size_t b) {
      return atoms.along(k, a) != atoms.along(k, b) ? atoms.along(k, a) < atoms.along(k, b) : a < b;
    });
  });
  return mean;
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

/// Sums over the atoms under the weights of each replicate, ω_i g_i; the last row is without g. Distances are from the carriers' mean, which
/// is that of the last row.
struct WeightedSums {
  std::vector<double> weight, weight_squared, distance_squared;  // [R + 1]: Σ w, Σ ω² g, Σ w ‖x − c‖²
  Matrix modes;                                                   // [R + 1, K]
  RowMajor shift;                                                 // [R + 1, d]: Σ w (x − c)

  WeightedSums(std::size_t modes_count, std::size_t dim)
      : weight(kRepetitions + 1), weight_squared(kRepetitions + 1), distance_squared(kRepetitions + 1), modes(kRepetitions + 1, modes_count),
        shift(RowMajor::Zero(static_cast<Eigen::Index>(kRepetitions + 1), static_cast<Eigen::Index>(dim))) {}

  double variance(std::size_t r) const { return distance_squared[r] / weight[r] - shift_squared(r); }
  double shift_squared(std::size_t r) const { return shift.row(static_cast<Eigen::Index>(r)).squaredNorm() / (weight[r] * weight[r]); }
  /// As of N atoms in which datum i stands g_i times: g counts once in Σ ω², as in any sum over the data.
  double ess(std::size_t r) const { return weight[r] * weight[r] / weight_squared[r]; }
};

/// A weighted bootstrap: g_i ~ Exp(1), one for each datum.
WeightedSums bootstrap(const Lens& lens, const Carriers& atoms, const std::vector<double>& mean, std::size_t num_modes, const RandomStream& stream) {
  constexpr std::size_t kTogether = 25;
  WeightedSums out(num_modes, lens.dim());
  for_each_block(lens, atoms, [&](std::size_t first, const Matrix& centres) {
    const auto rows = static_cast<Eigen::Index>(centres.rows()), d = static_cast<Eigen::Index>(lens.dim());
    RowMajor away = Eigen::Map<const RowMajor>(centres.data(), rows, d);
    away.rowwise() -= Eigen::Map<const Eigen::RowVectorXd>(mean.data(), d);
    const Eigen::VectorXd squares = away.rowwise().squaredNorm();
    parallel_for((kRepetitions + kTogether) / kTogether, [&](std::size_t part) {
      const std::size_t low = part * kTogether, high = std::min(low + kTogether, kRepetitions + 1);
      RowMajor weights(static_cast<Eigen::Index>(high - low), rows);
      for (std::size_t r = low; r < high; ++r)
        for (std::size_t j = 0; j < centres.rows(); ++j) {
          const double g = r < kRepetitions ? -std::log(stream.uniform(r, atoms.origin[first + j])) : 1.0;
          const double w = atoms.weight[first + j] * g;
          weights(static_cast<Eigen::Index>(r - low), static_cast<Eigen::Index>(j)) = w;
          out.weight[r] += w;
          out.weight_squared[r] += w * atoms.weight[first + j];
          out.distance_squared[r] += w * squares[static_cast<Eigen::Index>(j)];
          out.modes(r, atoms.mode[first + j]) += w;
        }
      out.shift.middleRows(static_cast<Eigen::Index>(low), weights.rows()).noalias() += weights * away;
    });
  });
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
  Carriers atoms = carriers_of(problem);
  const std::vector<double> mean = project(lens, reference.projections().directions(), atoms);
  const RandomStream halves = stream.child("half splits of the atoms");
  const WeightedSums sums = bootstrap(lens, atoms, mean, problem.modes.num_modes(), stream.child("bootstrap of the atoms"));
  std::vector<std::optional<double>> splits(kRepetitions);
  parallel_for(kRepetitions, [&](std::size_t r) { splits[r] = half_split(atoms, halves, r); });
  const auto interval = [&](double value, const auto& of_replicate) {
    std::vector<double> values;
    for (std::size_t r = 0; r < kRepetitions; ++r) values.push_back(of_replicate(r));
    return interval_of(value, values);
  };
  FiniteSampleError out;
  const std::vector<double> modes = problem.modes.weights(lens.log_weights(Measure::posterior));
  for (std::size_t k = 0; k < modes.size(); ++k)
    out.mode_weights.push_back(interval(modes[k], [&](std::size_t r) { return sums.modes(r, k) / sums.weight[r]; }));
  out.ess = interval(lens.effective_sample_size(), [&](std::size_t r) { return sums.ess(r); });
  // The evidence is Σ g_i π_i p(y | x_i)/Σ g_i π_i; below the line all atoms average out, but for 1/√N.
  out.log_evidence = interval(lens.log_evidence(), [&](std::size_t r) { return lens.log_evidence() + std::log(sums.weight[r]); });
  const double within = lens.component_variance(), total = sums.variance(kRepetitions) + within;
  out.total_variance = interval(total, [&](std::size_t r) { return sums.variance(r) + within; });
  double shift = 0.0;
  for (std::size_t r = 0; r < kRepetitions; ++r) shift += sums.shift_squared(r) / static_cast<double>(kRepetitions);
  if (total > 0.0) out.mean_error = std::sqrt(shift / total);

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
