#include "workload.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fslens/core/parallel.hpp"
#include "fslens/diffusion/forward_process.hpp"
#include "fslens/operators/downsample.hpp"

namespace fslens::benchmarks {
namespace {

constexpr std::uint64_t kMeasurementSeed = 2605;
constexpr std::size_t kAtomsPerBlock = 1024;

/// Calls f(first, block) on blocks of atoms as doubles, in parallel.
template <class F>
void for_each_atom_block(const AtomTable& atoms, F&& f) {
  parallel_for_ranges(atoms.count(), kAtomsPerBlock, [&](std::size_t first, std::size_t last) {
    Matrix block(last - first, atoms.dim());
    for (std::size_t i = first; i < last; ++i) atoms.copy_atom(i, block.row(i - first));
    f(first, block);
  });
}

/// ‖y − A x_i‖² for y = A x* + σ n, as a polynomial in σ: [N] of (constant, linear, quadratic).
using SquaredResidual = std::array<double, 3>;

std::vector<SquaredResidual> squared_residuals(const AtomTable& atoms, const ForwardOperator& forward, std::span<const double> clean,
                                               std::span<const double> noise) {
  std::vector<SquaredResidual> residuals(atoms.count());
  for_each_atom_block(atoms, [&](std::size_t first, const Matrix& block) {
    Matrix image(block.rows(), forward.output_dim());
    forward.apply(block, image);
    for (std::size_t i = 0; i < block.rows(); ++i) {
      SquaredResidual& sum = residuals[first + i];
      for (std::size_t j = 0; j < clean.size(); ++j) {
        const double difference = clean[j] - image(i, j);
        sum[0] += difference * difference;
        sum[1] += 2.0 * difference * noise[j];
        sum[2] += noise[j] * noise[j];
      }
    }
  });
  return residuals;
}

double effective_atoms(std::span<const double> log_weights) {
  const double best = *std::ranges::max_element(log_weights);
  double sum = 0.0, squares = 0.0;
  for (const double value : log_weights) {
    const double weight = std::exp(value - best);
    sum += weight;
    squares += weight * weight;
  }
  return sum * sum / squares;
}

/// The σ at which the posterior has `wanted` effective atoms, by bisection in log σ.
double sigma_for(std::span<const SquaredResidual> residuals, double wanted) {
  double low = 1e-6, high = 1e3;
  std::vector<double> logits(residuals.size());
  constexpr int kHalvings = 60;
  for (int i = 0; i < kHalvings; ++i) {
    const double sigma = std::sqrt(low * high);
    for (std::size_t k = 0; k < logits.size(); ++k)
      logits[k] = -0.5 * (residuals[k][0] / (sigma * sigma) + residuals[k][1] / sigma + residuals[k][2]);
    (effective_atoms(logits) < wanted ? low : high) = sigma;
  }
  return std::sqrt(low * high);
}

Likelihood measure(const AtomSet& set, double wanted) {
  const std::size_t factor = set.atoms.dim() == 1 ? 1 : 4;
  const auto forward = std::make_shared<DownsampleOperator>(set.shape, factor);
  std::vector<double> y(forward->output_dim()), noise(y.size());
  forward->apply({set.held_out.data(), 1, set.held_out.size()}, {y.data(), 1, y.size()});
  const RandomStream stream = RandomStream(kMeasurementSeed).child("measurement");
  for (std::size_t j = 0; j < noise.size(); ++j) noise[j] = stream.normal(0, 0, j);
  const double sigma = sigma_for(squared_residuals(set.atoms, *forward, y, noise), wanted);
  for (std::size_t j = 0; j < noise.size(); ++j) y[j] += sigma * noise[j];
  const GaussianNoise gaussian = GaussianNoise::scalar(y.size(), sigma);
  return Likelihood(forward, gaussian, std::move(y));
}

}  // namespace

Workload make_workload(std::size_t dim, std::size_t count) {
  Workload workload{.set = make_atom_set(dim, count), .likelihood = nullptr, .log_prior = {}, .log_posterior = {}};
  workload.likelihood = std::make_shared<Likelihood>(measure(workload.set, Workload::kEffectiveAtoms));
  workload.log_prior.assign(count, -std::log(static_cast<double>(count)));
  workload.log_posterior = workload.log_prior;
  for_each_atom_block(workload.set.atoms, [&](std::size_t first, const Matrix& block) {
    const std::vector<double> log_likelihood = workload.likelihood->log_likelihood(block);
    for (std::size_t i = 0; i < block.rows(); ++i) workload.log_posterior[first + i] += log_likelihood[i];
  });
  const double best = *std::ranges::max_element(workload.log_posterior);
  double sum = 0.0;
  for (const double value : workload.log_posterior) sum += std::exp(value - best);
  for (double& value : workload.log_posterior) value -= best + std::log(sum);
  workload.effective_atoms = effective_atoms(workload.log_posterior);
  return workload;
}

Matrix exact_draws(const Workload& workload, std::span<const double> log_weights, double t, std::size_t count,
                   const RandomStream& stream) {
  std::vector<double> cumulative(log_weights.size());
  double sum = 0.0;
  for (std::size_t i = 0; i < cumulative.size(); ++i) cumulative[i] = sum += std::exp(log_weights[i]);
  const RandomStream choice = stream.child("atom");
  Matrix x(count, workload.dim());
  for (std::size_t b = 0; b < count; ++b) {
    const auto found = std::ranges::upper_bound(cumulative, choice.uniform(0, b) * sum);
    const auto atom = static_cast<std::size_t>(found - cumulative.begin());
    workload.set.atoms.copy_atom(std::min(atom, cumulative.size() - 1), x.row(b));
  }
  forward_draw(workload.schedule, x, t, stream.child("noise"), 0, x);
  return x;
}

SoftAssignmentRequest full_pass_request(const Workload& workload, ConstBatchView x, double t, double tolerance, bool exact_scan) {
  SoftAssignmentRequest request;
  request.atoms = &workload.set.atoms;
  request.x = x;
  request.a = workload.schedule.a(t);
  request.s2 = workload.schedule.s2(t);
  request.log_weights = {workload.log_prior, workload.log_posterior};
  request.tolerance = tolerance;
  request.exact_scan = exact_scan;
  return request;
}

std::vector<float> to_float(std::span<const double> values) {
  std::vector<float> rounded(values.size());
  std::ranges::transform(values, rounded.begin(), [](double value) { return static_cast<float>(value); });
  return rounded;
}

double relative_error(const Workload& workload, double t, std::span<const double> u, std::span<const double> v) {
  double sum = 0.0;
  for (std::size_t j = 0; j < u.size(); ++j) sum += (u[j] - v[j]) * (u[j] - v[j]);
  return workload.schedule.a(t) * std::sqrt(sum) / (workload.schedule.s(t) * std::sqrt(static_cast<double>(u.size())));
}

}  // namespace fslens::benchmarks
