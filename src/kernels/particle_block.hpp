// The passes over all atoms for one block of particles, and the bound that chooses between them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "atom_tile.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "tile_kernels.hpp"

namespace fslens::kernels {

/// Atoms below e^{−cut} of the best one are dropped: N e^{−cut} = 1e-16 (float64), 1e-11 (float32) of the weight.
template <class T>
double weight_cut(std::size_t num_atoms) {
  return (sizeof(T) == 4 ? 25.0 : 37.0) + std::log(static_cast<double>(num_atoms));
}

/// δ: bound on the rounding error of a logit that counts, given the best logit. See soft_assignment().
template <class T>
double logit_rounding(const SoftAssignmentRequest& request, double query_norm, double best_logit) {
  const double unit = 0.5 * static_cast<double>(std::numeric_limits<T>::epsilon());
  const double growth = 4.0 + std::sqrt(static_cast<double>(request.atoms->dim()));
  const double dots = request.a / request.s2 * query_norm * request.atoms->radius();
  return growth * unit * (2.0 * dots + std::abs(best_logit) + weight_cut<T>(request.atoms->count()));
}

/// Queries q = x − a x̄ of a block, packed for TileKernels::dots, and their norms.
template <class T>
struct QueryBlock {
  std::span<const std::size_t> particles;  ///< rows of request.x
  std::size_t num_groups = 0;
  std::vector<T> packed;                   ///< [num_groups][d][kGroup]
  std::vector<double> norms;               ///< ‖q‖ [particles]
};

template <class T>
QueryBlock<T> pack_queries(const SoftAssignmentRequest& request, std::span<const std::size_t> particles);

/// One sweep over the tiles with a running maximum. Writes the rows of `result` that `particles` name and returns the
/// particles whose rounding bound turned out to exceed `tolerance`: their rows are to be computed again, more precisely.
template <class T>
std::vector<std::size_t> dense_pass(const SoftAssignmentRequest& request, const AtomTiles<T>& tiles,
                                    std::span<const std::size_t> particles, double tolerance, SoftAssignmentResult& result);

/// Float64 screen, then direct differences for the atoms that can matter. Exact at any s² > 0.
void sparse_pass(const SoftAssignmentRequest& request, std::span<const std::size_t> particles,
                 SoftAssignmentResult& result);

/// nearest[b] ← argmin_i ‖x_b − a x_i‖ among atoms of finite log-weight under measure 0 (ties: the first).
void nearest_pass(const SoftAssignmentRequest& request, std::span<const std::size_t> particles,
                  std::vector<std::size_t>& nearest);

}  // namespace fslens::kernels
