// One inverse problem on one set of atoms, and states to compute at.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "atom_sets.hpp"
#include "fslens/core/matrix.hpp"
#include "fslens/diffusion/schedule.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/measurement/likelihood.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens::benchmarks {

/// The held-out image, seen through 4 × 4 block means (d = 1: directly) with Gaussian noise.
///
/// sigma is chosen so that the posterior has kEffectiveAtoms effective atoms: few enough for prior and posterior to differ, enough for
/// the posterior not to be one atom.
struct Workload {
  static constexpr double kEffectiveAtoms = 32.0;

  AtomSet set;
  NoiseSchedule schedule = NoiseSchedule::vp_linear();
  std::shared_ptr<const Likelihood> likelihood;
  std::vector<double> log_prior;      ///< log π_i [N]
  std::vector<double> log_posterior;  ///< log ω_i, summing to 1 [N]
  double effective_atoms = 0.0;       ///< 1/Σ ω_i²

  std::size_t count() const { return set.atoms.count(); }
  std::size_t dim() const { return set.atoms.dim(); }
};

Workload make_workload(std::size_t dim, std::size_t count);

/// Exact draws of p_t (or of p_t(· | y), with log_posterior): x = a x_0 + s ε, x_0 an atom drawn from its weights. @shape [count, d]
Matrix exact_draws(const Workload& workload, std::span<const double> log_weights, double t, std::size_t count,
                   const RandomStream& stream);

/// Prior and posterior at once: the request of a full pass. `x` and `workload` must outlive it.
SoftAssignmentRequest full_pass_request(const Workload& workload, ConstBatchView x, double t, double tolerance, bool exact_scan);

std::vector<float> to_float(std::span<const double> values);

/// a‖u − v‖/(s√d): the error of a mean as the tolerance counts it. @shape u, v [d]
double relative_error(const Workload& workload, double t, std::span<const double> u, std::span<const double> v);

}  // namespace fslens::benchmarks
