// The guidance weight at each diffusion time that brings an approximate likelihood score closest to the exact one.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/diagnosis/problem.hpp"

namespace fslens {

/// The best weight at one time, and how much a weight can do there. With g the guidance at unit weight, s = ∇ log p_t(y | x_t), and
/// means over measurements y and exact draws x_t ~ p_t(· | y):
///
///   ζ*(t) = E⟨g, s⟩ / E‖g‖²,   E‖ζ* g − s‖² = E‖s‖² − ζ* E⟨g, s⟩
struct OptimalWeight {
  double t = 0.0;
  double exact_square = 0.0;                   ///< E‖s‖²
  double guidance_square = 0.0;                ///< E‖g‖²
  double product = 0.0;                        ///< E⟨g, s⟩
  double unit_error = 0.0;                     ///< E‖g − s‖², the squared score error at unit weight
  std::optional<double> weight;                ///< ζ*(t); absent where g and s are nothing but rounding
  std::optional<double> weight_error;          ///< its standard error over the measurements (delta method); absent for one
  std::optional<double> removed;               ///< 1 − E‖ζ* g − s‖² / E‖g − s‖²: the share of the unit weight's error that ζ* removes
  std::optional<double> unrepairable;          ///< E‖ζ* g − s‖² / E‖s‖² = 1 − ζ* E⟨g, s⟩ / E‖s‖²: what no weight can repair, 1 if g ⊥ s
                                               ///< (both absent where what they are a share of is negligible)
  std::optional<double> unrepairable_error;    ///< its standard error over the measurements
};

struct OptimalWeightOptions {
  std::size_t num_times = 33;   ///< ≥ 2, evenly spaced in log-SNR from the grid's first time to its last
  std::size_t num_draws = 256;  ///< ≥ 1, exact draws of x_t for each measurement and time
};

/// ζ*(t) of the sampler's guidance at unit weight (zeta or scale 1, no schedule), averaged over `problems`: one problem under several
/// measurements. Draws of x_t share x_0 and ε over t, so that the curve is as smooth as what it estimates.
/// Where E‖g‖² and E‖s‖² are below max(1e-10, 100 tolerance²) d/s² there is no weight: beside the noise they are nothing.
/// @throws UsageError if the sampler takes no weight schedule; InvalidArgument without a problem
/// @cost per problem and time, num_draws of lens fields and of guidance scores
std::vector<OptimalWeight> optimal_weights(std::span<const Problem> problems, const SamplerSpec& spec, const OptimalWeightOptions& options,
                                           const RandomStream& stream, Observer& observer);

/// Girsanov's bound on KL(exact posterior ‖ sampler) with the guidance ζ(t) g, for steps that are infinitely small, in nats:
///
///   ½ ∫ s(t)² E‖ζ(t) g − s‖² dλ,   λ = log(a²/s²), by the trapezoidal rule over the times of `moments`.
///
/// ζ*(t) makes it least for the measurements that it was computed on.
double girsanov_kl(const NoiseSchedule& schedule, std::span<const OptimalWeight> moments, const std::function<double(double t)>& weight);
/// The constant ζ that makes girsanov_kl least; 0 where the guidance is nothing.
double best_constant_weight(const NoiseSchedule& schedule, std::span<const OptimalWeight> moments);

/// `spec` with unit weight and no schedule. @throws UsageError if the sampler takes no weight schedule
SamplerSpec at_unit_weight(SamplerSpec spec);
/// `spec` with unit weight and this schedule, which goes by `name` in its parameters.
SamplerSpec with_schedule(const SamplerSpec& spec, const WeightSchedule& schedule, const std::string& name);

/// The weights that are there, as a schedule; no times if none is.
WeightSchedule to_schedule(std::span<const OptimalWeight> weights);
/// √ζ(t), half-way from ζ(t) to a constant on a logarithmic scale; no times where a weight is not positive.
WeightSchedule tempered(const WeightSchedule& schedule);

}  // namespace fslens
