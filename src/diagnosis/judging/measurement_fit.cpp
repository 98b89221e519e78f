#include "fslens/diagnosis/measurement_fit.hpp"

#include <algorithm>
#include <cmath>

#include "fslens/diagnosis/simulated_problem.hpp"
#include "fslens/metrics/intervals.hpp"

namespace fslens {
namespace {

constexpr std::size_t kMostReplicates = 399;
constexpr std::size_t kFewestReplicates = 99;
constexpr double kMostWork = 4e9;  // logits
constexpr int kScales = 49;        // in log κ, from 1/32 to 32

std::vector<double> noise_scales() {
  std::vector<double> scales;
  for (int k = 0; k < kScales; ++k) scales.push_back(std::exp2(-5.0 + 10.0 * k / (kScales - 1)));
  return scales;
}

/// The maximum of the parabola through the best value and its neighbours.
double best_log_scale(std::span<const double> evidence, const std::vector<double>& scales) {
  const auto best = static_cast<std::size_t>(std::ranges::max_element(evidence) - evidence.begin());
  const double at = std::log(scales[best]);
  if (best == 0 || best + 1 == evidence.size()) return at;
  const double before = evidence[best - 1] - evidence[best], after = evidence[best + 1] - evidence[best];
  const double curvature = before + after;
  return curvature < 0.0 ? at + 0.5 * (before - after) / curvature * std::log(scales[1] / scales[0]) : at;
}

}  // namespace

MeasurementFit measurement_fit(const Problem& problem, const RandomStream& stream, Observer& observer) {
  const Lens& lens = *problem.lens;
  const std::vector<double> scales = noise_scales();
  const double work = kScales * static_cast<double>(lens.num_components()) * static_cast<double>(problem.likelihood->output_dim());
  const auto replicates = static_cast<std::size_t>(
      std::clamp(kMostWork / work, static_cast<double>(kFewestReplicates), static_cast<double>(kMostReplicates)));
  report_progress(observer, "measurement fit", 0, 1);

  MeasurementFit out;
  out.replicates = replicates;
  out.held_out = !problem.is_population;
  Matrix y(replicates + 1, problem.likelihood->output_dim());
  std::vector<std::size_t> left_out(replicates + 1, Lens::kNoComponent);
  std::ranges::copy(problem.likelihood->y(), y.row(0).begin());
  for (std::size_t r = 0; r < replicates; ++r) {
    const Truth truth = draw_truth(problem, stream.child("measurement fit"), r);
    std::ranges::copy(simulated_measurement(problem.likelihood->forward(), problem.likelihood->noise(), truth.x0,
                                            stream.child("measurement fit noise"), r),
                      y.row(r + 1).begin());
    if (truth.left_out) left_out[r + 1] = *truth.left_out;
  }
  const Matrix evidence = lens.log_evidences(y, scales, left_out);
  std::vector<double> null;
  for (std::size_t r = 0; r < replicates; ++r) null.push_back(best_log_scale(evidence.row(r + 1), scales));
  out.log_scale = best_log_scale(evidence.row(0), scales);
  out.null_median = sample_quantile(null, 0.5);
  out.null_sd = 0.5 * (sample_quantile(null, 0.8413447460685429) - sample_quantile(null, 0.15865525393145707));
  out.null_low = sample_quantile(null, 0.005);
  out.null_high = sample_quantile(null, 0.995);
  const auto below = static_cast<double>(std::ranges::count_if(null, [&](double v) { return v <= out.log_scale; }));
  const auto above = static_cast<double>(std::ranges::count_if(null, [&](double v) { return v >= out.log_scale; }));
  out.p_value = std::min(1.0, 2.0 * (std::min(below, above) + 1.0) / (static_cast<double>(replicates) + 1.0));
  report_progress(observer, "measurement fit", 1, 1);
  return out;
}

}  // namespace fslens
