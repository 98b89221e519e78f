// A bound on the KL divergence of a chain's law, step by step.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/lens/lens.hpp"
#include "fslens/samplers/sampler.hpp"

namespace fslens {

/// One sampler whose path is measured. Borrowed.
struct PathContestant {
  const PosteriorSampler* sampler = nullptr;
  /// The same integrator with the exact posterior score: what it makes is discretisation. Null: the two are not told apart.
  const PosteriorSampler* exact_score = nullptr;
};

/// Relative entropy of the exact path to the sampler's, accumulated from t_max: at index k of the grid all that was made before t_k.
struct PathKl {
  double initialisation = 0.0;         ///< KL(p_T(·|y) ‖ N(b, s² I))
  std::vector<double> total;           ///< [K + 1], the first is `initialisation`, nats
  std::vector<double> standard_error;  ///< [K + 1], over the exact draws; 0 for d = 1
  std::vector<double> discretisation;  ///< [K + 1]: what lens-sde pays on this grid under the integrator; empty if not told apart
  std::vector<double> likelihood;      ///< [K + 1]: total − initialisation − discretisation; empty likewise. May fall: errors can cancel
  std::vector<double> step;            ///< [K] KL of step k, interpolated between the steps that were looked at
  /// The largest mean of τ = ΔSNR Tr C̃ over steps. The expansion neglects terms of third order in τ; beyond kMostTau they are more than
  /// about a tenth of what the exact transition's own spread contributes, and `total` is an estimate and not a bound.
  double largest_tau = 0.0;
};
inline constexpr double kMostTau = 0.5;

/// By the chain rule of relative entropy, KL(p_t(·|y) ‖ q_t) is at most
///
///   KL(p_T(·|y) ‖ N(b, s² I)) + Σ_k E_{x ~ p_{t_k}(·|y)} KL( p(x_u | x_t = x, y) ‖ N(mean(x), v I) ).
///
/// The exact backward transition has mean a_u m̃ + b_u + c₂ ε̂ (ddim_mean with η = 1) and covariance v_b (I + E), E = ΔSNR C̃(x, t) with
/// ΔSNR = a_u²/s_u² − a²/s². As that of a Gaussian with these moments, with ρ = v_b/v and τ = Tr E, each term is
///
///   ½ [ d (ρ − 1 − log ρ) + ρ τ − log det(I + E) ] + ‖mean − exact mean‖² / 2v,   log det(I + E) ≥ log(1 + τ)
///
/// and the lower bound of the determinant is used: an upper bound of the Gaussian's KL, off by at most ¼ τ², and exact for d = 1. What is
/// neglected is the negentropy of the transition, ‖E[X ⊗ X ⊗ X]‖²/12 with X = √ΔSNR (x_0 − m̃): third order in ΔSNR, and at most ½ τ.
///
/// Expectations are integrals for d = 1, else over 512 exact draws that share x_0 and ε at all times; at every step where that is cheap, else at about 64
/// steps, those of `recorded` among them, and linearly between them in the index of the step.
/// @return absent for a sampler that does not say what its step is, whose steps are deterministic (the KL is infinite), or mixtures
/// @cost 512 states × steps looked at × (exact fields + one evaluation of each sampler and each exact_score)
std::vector<std::optional<PathKl>> path_kl(const Lens& lens, const std::vector<PathContestant>& contestants, const std::vector<double>& grid,
                                           const std::vector<std::size_t>& recorded, const RandomStream& stream, Observer& observer);

/// The two diffusion times between which the middle half of a path's KL is made: where a quarter and where three quarters of it are there.
struct TimeInterval {
  double begin = 0.0;  ///< the earlier on the run: the larger t
  double end = 0.0;
};
/// @param accumulated at the times `t`, decreasing. Absent unless the last is > 0
std::optional<TimeInterval> middle_half(const std::vector<double>& accumulated, const std::vector<double>& t);

}  // namespace fslens
