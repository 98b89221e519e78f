// A smoothed prior whose kernel follows the modes of the atoms and keeps their mean and covariance.
#pragma once

#include <cstddef>
#include <vector>

#include "fslens/diagnosis/projected_law.hpp"
#include "fslens/prior/empirical_prior.hpp"
#include "fslens/prior/smoothing_kernel.hpp"

namespace fslens {

/// Σ_i π_i N(c_i, C_{g(i)}): one component an atom, in groups.
struct SmoothedPrior {
  std::vector<GaussianComponents> groups;       ///< their weights sum to 1
  std::vector<std::vector<std::size_t>> atoms;  ///< the atoms of each group, in the order of its components
  std::vector<double> bandwidths;               ///< of each group
};

/// N(x_i, h² I) or N(x_i, h² Σ̂): one group.
SmoothedPrior smoothed_prior(const EmpiricalPrior& atoms, const SmoothingKernel& kernel);

/// Groups by divisive 2-means and pairwise merging, each step taken where it raises the integrated classification likelihood of one Gaussian a
/// group (BIC of the partition; @source biernacki2000icl).   @cost N d² for each level of the division
std::vector<std::vector<std::size_t>> gaussian_groups(const EmpiricalPrior& atoms);

/// Every atom i of group k becomes N(m_k + √(1 − h_k²) (x_i − m_k), h_k² Σ_k), m_k and Σ_k the group's own mean and covariance (shrunk as in
/// shrunk_covariance). Whatever h_k ∈ (0, 1], the group keeps both; its cumulants of order r ≥ 3 shrink by (1 − h_k²)^{r/2}: a Gaussian
/// group has no bias at any h, and h = 1 is the fitted Gaussian. What smoothing changes is D(h) = n_k mean_j |φ_h(ω_j) − φ(ω_j)|², φ the
/// characteristic function of the whitened group, φ_h that of the smoothed one, 64 frequencies ω_j ~ N(0, 4/d). h_k = 1 if D(1) is below its
/// 99 % quantile q under a Gaussian with estimated mean and covariance (lognormal approximation), else the largest h with D(h) ≤ q/20. So the
/// bias of smoothing is O(n^−1/2) at each of these frequencies whatever the density is.
/// @source jones1991variance (the kernel), henze1997bhep (D(1) and its null)   @cost 64 N cosines and sines for each of ≤ 12 h
SmoothedPrior modewise_prior(const EmpiricalPrior& atoms);

}  // namespace fslens
