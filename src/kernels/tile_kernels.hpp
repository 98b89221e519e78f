// The inner loops over one tile of atoms and one group of particles; one compiled copy an instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fslens::kernels {

/// Particles that share a pass over a tile. 6 × 2 vectors of accumulators fit the 16 registers of AVX2.
inline constexpr std::size_t kGroup = 6;
/// Atoms of one column panel: two vectors of the widest target (float32: 2 × 16), so packing is target independent.
inline constexpr std::size_t kPanel = 32;

/// The tile functions for element type T (float or double), dispatched at run time.
template <class T>
struct TileKernels {
  /// out[r·tile + i] = scale · ⟨query_r, c_i⟩. panels: [tile/kPanel][dim][kPanel]; queries: [dim][kGroup].
  static void dots(const T* panels, std::size_t tile, std::size_t dim, const T* queries, T scale, T* out);
  /// max_i (dots[i] + offset[i]) over [0, tile).
  static T max_logit(const T* dots, const T* offset, std::size_t tile);
  /// weights[i] = exp(dots[i] + offset[i] − max), 0 where that is below exp(−cut). Returns their sum.
  static T exp_weights(const T* dots, const T* offset, std::size_t tile, T max, T cut, T* weights);
  /// live[0 … result) = the i at which any of kGroup rows of weights [kGroup][tile] is > 0.
  static std::size_t live_atoms(const T* weights, std::size_t tile, std::uint32_t* live);
  /// sums[r·stride + k] += Σ_j weights[r·tile + live[j]] · rows[live[j]·row_stride + k] for k < cols (a multiple of kPanel/2).
  static void accumulate(const T* weights, std::size_t tile, const std::uint32_t* live, std::size_t num_live, const T* rows,
                         std::size_t row_stride, std::size_t cols, T* sums, std::size_t stride);
  /// weights[i] *= along[i] − offset over [0, tile). Returns their sum.
  static T multiply_by_difference(const T* along, T offset, std::size_t tile, T* weights);
};

const char* target_name();

}  // namespace fslens::kernels
