// A tile of atoms, centred and packed for the tile kernels.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "fslens/kernels/soft_assignment.hpp"

namespace fslens::kernels {

/// Columns are padded to this many, so that a row is a whole number of vectors on every target.
inline constexpr std::size_t kColumnPad = 16;
inline std::size_t padded_columns(std::size_t columns) { return (columns + kColumnPad - 1) / kColumnPad * kColumnPad; }

struct AtomTile {
  std::size_t first = 0;        ///< index of the first atom
  std::size_t size = 0;         ///< atoms, a multiple of kPanel; those past the last have offset −∞
  std::size_t row_stride = 0;
  std::size_t feature_stride = 0;
  std::vector<double> panels;        ///< [size / kPanel][d][kPanel]
  std::vector<double> rows;          ///< [size][row_stride]: c_i, then ‖c_i‖²
  std::vector<double> features;  ///< [size][feature_stride]
  std::array<std::vector<double>, 2> offsets;  ///< a measure: log_weight_i − a²‖c_i‖²/2s²
};

/// Atoms in a tile: a function of the problem only, so that bits do not depend on threads.
std::size_t tile_size(const SoftAssignmentRequest& request);

/// Fills `tile` with the atoms [first, first + tile_size). `with_rows`: also what `accumulate` reads.
void pack_tile(const SoftAssignmentRequest& request, std::size_t first, bool with_rows, AtomTile& tile);

/// All tiles of a request: packed once for `num_blocks` blocks of particles where they take little memory, otherwise by each
/// block as it comes to them.
class AtomTiles {
 public:
  AtomTiles(const SoftAssignmentRequest& request, std::size_t num_blocks);

  std::size_t count() const { return count_; }
  /// Tile number `index`; `scratch` holds it where it is not shared.
  const AtomTile& get(std::size_t index, AtomTile& scratch) const;

 private:
  const SoftAssignmentRequest& request_;
  bool with_rows_;
  std::size_t count_;
  std::vector<AtomTile> shared_;
};

}  // namespace fslens::kernels
