// Mixtures of Gaussians by groups that share a covariance: conditioned on a measurement, noised, and what is known of them then.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "fslens/diagnosis/projected_law.hpp"
#include "fslens/diffusion/schedule.hpp"
#include "fslens/lens/lens.hpp"
#include "fslens/measurement/likelihood.hpp"

namespace fslens {

/// p(x_0 | y) of a mixture, group by group and centre by centre in the order of the prior.
struct ConditionedLaw {
  std::vector<GaussianComponents> law;
  double log_evidence = 0.0;
};

/// y = A x_0 + b + N(0, Σ_n): S = A C Aᵀ + Σ_n, K = C Aᵀ S⁻¹, ω_i ∝ w_i N(y; A c_i + b, S), centres c_i + K (y − A c_i − b),
/// covariance C − K A C.
/// @throws InvalidArgument if the operator is not affine or no component explains y   @cost n m (d + m), and m³ a group
ConditionedLaw condition(std::span<const GaussianComponents> prior, const Likelihood& likelihood);

/// The same law with neighbours of one centre as one component.
GaussianComponents without_copies(const GaussianComponents& components);

/// p_t: weights w_i, centres a c_i + b, covariance a² C + s² I.
std::vector<GaussianComponents> noised(std::span<const GaussianComponents> law, const NoiseSchedule& schedule, double t);
/// ∇ log Σ w_i N(x; c_i, C). @shape result [B, d]   @cost B n d²
Matrix score_of(std::span<const GaussianComponents> law, ConstBatchView x);
/// Mean and covariance.
Moments moments_of(std::span<const GaussianComponents> law);

}  // namespace fslens
