// Integrators of the reverse process, for whatever gives the guided denoiser mean.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "fslens/core/matrix.hpp"
#include "fslens/diffusion/schedule.hpp"
#include "fslens/rng/stream.hpp"
#include "fslens/samplers/step_law.hpp"

namespace fslens {

enum class Integrator {
  euler_maruyama,  ///< reverse SDE, weak order 1
  ancestral,       ///< DDPM's posterior kernel, DDIM with η = 1
  ddim,            ///< DDIM(η), deterministic for η = 0
  heun,            ///< probability-flow ODE, order 2, two evaluations
  exponential      ///< stochastic exponential midpoint in log(a/s), weak order 2, two evaluations
};

/// "euler-maruyama", "ancestral", "ddim", "heun", "exponential". @throws UsageError
Integrator parse_integrator(const std::string& name);
std::string to_string(Integrator integrator);
/// Evaluations of the guided mean per step: 1 or 2.
double evaluations_per_step(Integrator integrator);

/// guided ← m̂(x, t), the denoiser mean that carries the score: ∇ log p_t(x) = (a m̂ + b − x)/s². @shape [B, d]
using GuidedMean = std::function<void(ConstBatchView x, double t, BatchView guided)>;

/// One step from t to u < t.
struct IntegratorStep {
  Integrator integrator = Integrator::euler_maruyama;
  double eta = 0.0;  ///< η of `ddim`; the others do not use it
  double t = 0.0;
  double u = 0.0;
};

/// x ← a draw of x_u given x_t = x by one step. With Δ = t − u and h = log(a_u s_t / (a_t s_u)):
///
///   euler-maruyama  x_u = x + (−f (x − x̄) + g² score) Δ + g √Δ ε
///   ancestral       `ddim_mean` plus noise, with η = 1
///   ddim            the same with η = eta
///   heun            trapezoid in t of dx/dt = f (x − x̄) − ½ g² score
///   exponential     half a step to the midpoint of log(a/s), then a whole one with m̂ from there and the same noise:
///                   x_m = (s_m/s) e^{−h/2} (x − b) + a_m (1 − e^{−h}) m̂(x, t) + s_m √(1 − e^{−h}) ε₁ + b_m
///                   x_u = (s_u/s) e^{−h} (x − b) + a_u (1 − e^{−2h}) m̂(x_m, t_m)
///                         + s_u √(1 − e^{−h}) (e^{−h/2} ε₁ + ε₂) + b_u
///
/// ε_j of particle b is stream.normal(index, b, j); `exponential` takes ε₂ from coordinates d … 2d − 1.
/// @shape x [B, d]  @throws InvalidArgument unless 0 < u < t ≤ schedule.t_max()
/// @source euler-maruyama: Song et al. 2021, arXiv:2011.13456; ancestral: Ho et al. 2020, arXiv:2006.11239;
///         ddim: Song, Meng & Ermon 2021, arXiv:2010.02502; heun: Karras et al. 2022, arXiv:2206.00364 (the rule; here
///         in t); exponential: SEEDS-2, Gonzalez et al. 2023, arXiv:2305.14267, with data prediction as in
///         SDE-DPM-Solver++, Lu et al. 2022, arXiv:2211.01095
void integrate_step(const IntegratorStep& step, const NoiseSchedule& schedule, const GuidedMean& guided_mean, BatchView x,
                    std::uint64_t index, const RandomStream& stream);

/// The law that integrate_step draws from, by the same code. `exponential` is a Gaussian given ε₁: its nodes lie `node_spacing`
/// standard deviations apart on each axis of ε₁; where the mean is smooth in ε₁ their error falls faster than any power of that distance, where
/// it jumps (dps-zeta) with the first. @shape x [B, d]
/// @throws InvalidArgument as integrate_step, and for `exponential` if there would be more than 4,096 nodes: above d = 2
/// @cost one evaluation of the step a node: 17^d of them at the default spacing, for `exponential`; 1 for the others
StepLaw integrate_step_law(const IntegratorStep& step, const NoiseSchedule& schedule, const GuidedMean& guided_mean, ConstBatchView x,
                           double node_spacing);

/// mean ← a_u m̂ + b_u + c₂ ε̂ with ε̂ = (x − b − a m̂)/s, c₁² = η² s_u² (1 − (a s_u)²/(a_u s)²), c₂² = s_u² − c₁²; returns c₁², the
/// variance of the noise that DDIM(η) adds.
///
/// For η = 1 and m̂ = x_0 this is the law of x_u given x_t and x_0, under any schedule. Under a variance-preserving one c₁² is the
/// DDPM posterior variance (s_u²/s²)(1 − ᾱ_t/ᾱ_u).
/// @shape x, guided, mean [B, d]; mean may be guided
double ddim_mean(const NoiseSchedule& schedule, ConstBatchView guided, double eta, ConstBatchView x, double t, double u, BatchView mean);

}  // namespace fslens
