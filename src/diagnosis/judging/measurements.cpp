#include "fslens/diagnosis/measurements.hpp"

#include <algorithm>
#include <cmath>

#include "fslens/metrics/kernel_stein_discrepancy.hpp"
#include "fslens/metrics/repeated_rows.hpp"
#include "fslens/metrics/total_variation.hpp"

namespace fslens {
namespace {

constexpr std::size_t kJackknifeGroups = 10;

}  // namespace

Matrix finite_rows(ConstBatchView x) {
  std::vector<double> values;
  values.reserve(x.size());
  std::size_t rows = 0;
  for (std::size_t b = 0; b < x.rows(); ++b) {
    if (!std::ranges::all_of(x.row(b), [](double v) { return std::isfinite(v); })) continue;
    values.insert(values.end(), x.row(b).begin(), x.row(b).end());
    ++rows;
  }
  return Matrix(rows, x.cols(), std::move(values));
}

namespace {

double law_distance(const BinnedLaw& law, ConstBatchView x) {
  return law.edges[1].empty() ? histogram_total_variation(x, law.probabilities, law.edges[0]).value
                              : histogram_total_variation(x, law.probabilities, law.edges[0], law.edges[1]).value;
}

}  // namespace

double sliced_wasserstein_error(const Matrix& x, const ProjectedSample& reference) {
  const std::size_t groups = std::min(kJackknifeGroups, x.rows() / 2);
  if (groups < 2) return 0.0;
  std::vector<double> left_out;
  for (std::size_t g = 0; g < groups; ++g) {
    std::vector<double> values;
    for (std::size_t b = 0; b < x.rows(); ++b)
      if (b % groups != g) values.insert(values.end(), x.row(b).begin(), x.row(b).end());
    const std::size_t rows = values.size() / x.cols();
    const Matrix rest(rows, x.cols(), std::move(values));
    left_out.push_back(sliced_wasserstein2_squared(project(rest, reference.projections()), reference).value);
  }
  double mean = 0.0, sum = 0.0;
  for (const double value : left_out) mean += value / static_cast<double>(groups);
  for (const double value : left_out) sum += (value - mean) * (value - mean);
  // Leaving out particles tells the particles' error; the reference is a sample of the same size and has as much.
  return std::sqrt(2.0 * sum * static_cast<double>(groups - 1) / static_cast<double>(groups));
}

namespace {

void measure_hallucinations(const ExactReference& reference, const Matrix& x, FinalMeasurement& out) {
  const double t = reference.times().back();
  const Lens& lens = reference.lens();
  const FinalReference& exact = reference.final();
  // Final samples without noise are judged by the support at a small time: x_0 is the likeliest point of its own noise.
  const double t_support = t > 0.0 ? t : 1e-3 * lens.schedule().t_max();
  Matrix state(x);
  if (t == 0.0) {
    const double a = lens.schedule().a(t_support), shift = lens.schedule().shift(t_support);
    for (double& value : state.values()) value = a * value + shift;
  }
  const std::vector<std::size_t> component = lens.assign(state, t_support);
  std::vector<std::size_t> mode(x.rows());
  const std::vector<double> log_likelihood = lens.likelihood().log_likelihood(rescaled_to_clean(lens.schedule(), x, t));
  const std::vector<double> density = lens.log_prior_density(state, t_support);
  for (std::size_t b = 0; b < x.rows(); ++b) {
    mode[b] = reference.modes().mode_of_component[component[b]];
    if (reference.mode_weights()[mode[b]] < kExcludedModeWeight) ++out.in_excluded_modes;
    if (!exact.atom_excluded.empty() && exact.atom_excluded[component[b]]) ++out.at_excluded_atoms;
    const bool fits = -2.0 * log_likelihood[b] <= exact.misfit_quantile;
    const bool off = !(density[b] >= exact.support_quantile);
    if (off && fits) ++out.fit_off_support;
    if (off && !fits) ++out.neither;
  }
  out.mode_weights = mode_weights(mode, reference.modes().num_modes());
  out.mode_tv = mode_weights_total_variation(mode, exact.mode_target);
}

}  // namespace

TimeMeasurement measure_at(const ExactReference& reference, const Denoiser& denoiser, std::size_t index,
                           ConstBatchView states) {
  const TimeReference& exact = reference.at(index);
  const Lens& lens = reference.lens();
  const Matrix x = finite_rows(states);
  TimeMeasurement out;
  out.t = exact.t;
  out.num_finite = x.rows();
  if (x.rows() < 2) return out;

  const Variance sampled = total_variance(x);
  const double noise = exact.t > 0.0 ? static_cast<double>(lens.dim()) * lens.schedule().s2(exact.t) : 0.0;
  out.spread = spread_ratio(sampled, {exact.total_variance, 0.0});
  // Below a millionth of the total the floor is all there is, and what is left of the difference is rounding.
  if (exact.total_variance - noise > 1e-6 * exact.total_variance)
    out.spread_above_floor = spread_ratio(sampled, {exact.total_variance, 0.0}, noise);
  const std::vector<Variance> along = variance_along(x, reference.principal_directions());
  for (std::size_t j = 0; j < along.size(); ++j)
    out.spread_along.push_back(spread_ratio(along[j], {exact.direction_variances[j], 0.0}));

  out.sliced_w2_squared = sliced_wasserstein2_squared(project(x, reference.projections()), *exact.sample).value;
  if (exact.law) out.law_tv = law_distance(*exact.law, x);
  if (exact.t > 0.0) {
    const Matrix responsibilities = lens.mode_responsibilities(x, exact.t, reference.modes(), Measure::posterior);
    out.mode_weights = mode_weights(responsibilities);
    out.mode_tv = mode_weights_total_variation(responsibilities, reference.mode_weights());
  }
  out.stop_rescaled = stop_errors(reference.clean_draws(), rescaled_to_clean(lens.schedule(), x, exact.t));
  if (exact.t > 0.0) {
    Matrix denoised(x.rows(), x.cols());
    denoiser.denoise(x, exact.t, denoised);
    out.stop_denoised = stop_errors(reference.clean_draws(), denoised);
  }
  return out;
}

FinalMeasurement measure_final(const ExactReference& reference, ConstBatchView states) {
  const FinalReference& exact = reference.final();
  const Matrix x = finite_rows(states);
  FinalMeasurement out;
  out.num_particles = states.rows();
  out.num_finite = x.rows();
  if (x.rows() < 2) return out;
  measure_hallucinations(reference, x, out);
  out.repeated = count_repeated_rows(x);

  const ProjectedSample& draws = *reference.at(reference.times().size() - 1).sample;
  out.sliced_w2_squared = sliced_wasserstein2_squared(project(x, reference.projections()), draws).value;
  out.sliced_w2_squared_se = sliced_wasserstein_error(x, draws);
  const Matrix some = first_rows(x, kPairwiseCap);
  out.energy = energy_distance(EnergySample(some), *exact.energy_sample);
  if (exact.mmd_sample) out.mmd = mmd_squared(MmdSample(some, exact.mmd_sample->bandwidths()), *exact.mmd_sample);
  if (const double t = reference.times().back(); t > 0.0) {
    const Matrix score = reference.lens().fields(some, t).posterior_score;
    const KernelSteinDiscrepancy ksd = kernel_stein_discrepancy(some, score);
    out.ksd = ksd.u_statistic;
    out.ksd_se = ksd.standard_error;
  }
  return out;
}

}  // namespace fslens
