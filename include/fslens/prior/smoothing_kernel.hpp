// The kernel that every atom of a smoothed prior is given, and how wide it should be.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "fslens/core/matrix.hpp"
#include "fslens/prior/empirical_prior.hpp"

namespace fslens {

enum class KernelShape {
  isotropic,  ///< H = h² I, h in the units of x
  covariance  ///< H = h² Σ̂, Σ̂ the shrunk covariance of the atoms, h without unit
};
KernelShape parse_kernel_shape(const std::string& name);  ///< "isotropic", "covariance". @throws UsageError
std::string to_string(KernelShape shape);

/// The covariance H that the components Σ π_i N(x_i, H) share.
struct SmoothingKernel {
  KernelShape shape = KernelShape::isotropic;
  double bandwidth = 0.0;  ///< h > 0
  Matrix covariance;       ///< Σ̂ [d, d]; empty for `isotropic`
  /// True if h was found by leave-one-out likelihood.
  bool by_leave_one_out = false;
};

/// Σ̂ = (1 − ρ) S + ρ (Tr S/d) I, S the weighted covariance of the atoms and ρ ∈ [0, 1] the shrinkage that minimises the expected squared
/// error under a Gaussian ("oracle approximating"): positive definite however few atoms there are, if they differ at all.
/// @throws InvalidArgument if all atoms are equal   @source chen2010shrinkage, eq. (23), with the effective number of atoms for n
Matrix shrunk_covariance(const EmpiricalPrior& prior);

/// A kernel of the given width, or of that which maximises the leave-one-out log-likelihood
///   Σ_i π_i log Σ_{j≠i} π_j/(1 − π_i) N(x_i; x_j, H(h)),
/// over at most 2²² pairs of atoms (more where 16 atoms alone have more): all i where N² is no more than that, else some drawn at random (with a fixed seed). Copies of an atom
/// count as the atom itself, or the likelihood would have no maximum. A scan in log h, then a golden-section search about its best.
/// @throws InvalidArgument if bandwidth ≤ 0, or if there are fewer than two different atoms to choose it by
/// @cost min(N², 2²²) d for the distances, 16 MiB   @source duin1976choice
SmoothingKernel smoothing_kernel(const EmpiricalPrior& prior, KernelShape shape, std::optional<double> bandwidth = std::nullopt);

}  // namespace fslens
