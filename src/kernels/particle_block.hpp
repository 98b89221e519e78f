// The float64 pass over all atoms for one block of particles.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "atom_tile.hpp"
#include "error_bound.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "tile_kernels.hpp"

namespace fslens::kernels {

/// Atoms below e^{−cut} of the best one are dropped: N e^{−cut} = 1e-16 of the weight.
inline double weight_cut(std::size_t num_atoms) { return 37.0 + std::log(static_cast<double>(num_atoms)); }

/// Queries q = x − a x̄ of a block, packed for TileKernels::dots, and their norms.
struct QueryBlock {
  std::span<const std::size_t> particles;  ///< rows of request.x
  std::size_t num_groups = 0;
  std::vector<double> packed;                   ///< [num_groups][d][kGroup]
  std::vector<double> norms;               ///< ‖q‖ [particles]
};

QueryBlock pack_queries(const SoftAssignmentRequest& request, std::span<const std::size_t> particles);

/// One sweep over the tiles with a running maximum, in float64. Writes the rows of `result` that `particles` name and returns the
/// particles whose proven error exceeds the tolerance: their rows are to be computed again, more precisely.
std::vector<std::size_t> dense_pass(const SoftAssignmentRequest& request, const AtomTiles& tiles,
                                    std::span<const std::size_t> particles, SoftAssignmentResult& result);

/// δ: bound on the error of a logit that dense_pass computes, given ‖q‖ and the best logit of the particle.
double dense_logit_error(const SoftAssignmentRequest& request, const RequestSize& size, double query_norm, double best_logit);

}  // namespace fslens::kernels
