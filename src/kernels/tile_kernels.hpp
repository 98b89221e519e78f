// The inner loops over one tile of atoms and one group of particles; one compiled copy an instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fslens::kernels {

/// Particles that share a pass over a tile. 6 × 2 vectors of accumulators fit the 16 registers of AVX2.
inline constexpr std::size_t kGroup = 6;
/// Atoms of one column panel: a whole number of pairs of vectors on every target, so packing is target independent.
inline constexpr std::size_t kPanel = 32;

/// Dimensions of a dot product that are summed one after the other.
inline constexpr std::size_t kDotChunk = 64;

/// The tile functions, in float64, dispatched at run time.
struct TileKernels {
  /// out[r·tile + i] = scale · ⟨query_r, c_i⟩. panels: [tile/kPanel][dim][kPanel]; queries: [dim][kGroup].
  static void dots(const double* panels, std::size_t tile, std::size_t dim, const double* queries, double scale, double* out);
  /// max_i (dots[i] + offset[i]) over [0, tile).
  static double max_logit(const double* dots, const double* offset, std::size_t tile);
  /// weights[i] = exp(dots[i] + offset[i] − max), 0 where that is below exp(−cut). Returns their sum.
  static double exp_weights(const double* dots, const double* offset, std::size_t tile, double max, double cut, double* weights);
  /// live[0 … result) = the i at which any of kGroup rows of weights [kGroup][tile] is > 0.
  static std::size_t live_atoms(const double* weights, std::size_t tile, std::uint32_t* live);
  /// sums[r·stride + k] += Σ_j weights[r·tile + live[j]] · rows[live[j]·row_stride + k] for k < cols (a multiple of kPanel/2): the
  /// tile's sum is made first, so that roundings grow with tiles plus atoms of a tile, not with their product.
  static void accumulate(const double* weights, std::size_t tile, const std::uint32_t* live, std::size_t num_live, const double* rows,
                         std::size_t row_stride, std::size_t cols, double* sums, std::size_t stride);
  /// weights[i] *= along[i] − offset over [0, tile). Returns their sum.
  static double multiply_by_difference(const double* along, double offset, std::size_t tile, double* weights);
};

const char* target_name();

}  // namespace fslens::kernels
