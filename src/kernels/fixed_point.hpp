// Atoms and queries as whole numbers of a common unit, a byte a digit, so that their products are exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "aligned_array.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "integer_product.hpp"

namespace fslens::kernels {

inline std::size_t rounded_up(std::size_t n, std::size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// x_ik = low + unit Σ_m 256^{−m} u_ikm + r_ik with bytes u, m < planes. uint8 atoms need one plane and leave no more than rounding.
struct FixedPointFormat {
  std::size_t planes = 1;
  double low = 0.0;
  double unit = 1.0;
  double residual = 0.0;  ///< ≥ max_i ‖r_i‖
};

/// 256^n, 0 ≤ n ≤ 7, which multiplies exactly.
inline constexpr double power_of_256(std::size_t n) { return static_cast<double>(std::uint64_t{1} << (8 * n)); }

inline constexpr std::size_t kMaxPlanes = 4;
inline constexpr std::size_t kMaxDigits = 4;

FixedPointFormat fixed_point_format(const AtomTable& atoms, std::size_t planes);

/// Rows of bytes of a block of atoms, and their transpose: where they lie.
struct AtomBlock {
  std::span<const std::uint32_t> atoms;      ///< indices of its atoms
  std::size_t rows = 0;                      ///< a multiple of kStepBytes; those past the last atom are 0
  std::size_t row_bytes = 0;                 ///< d rounded up to kStepBytes
  std::size_t column_bytes = 0;              ///< from one row of the transpose to the next
  const std::uint8_t* planes[kMaxPlanes] = {};      ///< [rows][row_bytes]
  const std::uint8_t* transposed[kMaxPlanes] = {};  ///< [d rounded up to kStripRows][column_bytes], where it was asked for
};

/// Room for a block, and what fills it.
class AtomPacker {
 public:
  /// The atoms of these indices, which must outlive the block, and rows of zeros up to `rows`. Valid until the next one.
  AtomBlock pack(const AtomTable& atoms, const FixedPointFormat& format, std::span<const std::uint32_t> indices, std::size_t rows);
  /// Fills block.transposed from block.planes.
  void transpose(const FixedPointFormat& format, std::size_t dim, AtomBlock& block);

 private:
  AlignedArray<std::uint8_t> planes_[kMaxPlanes], transposed_[kMaxPlanes];
};

/// All atoms of a small table, packed and transposed once for each number of planes, and shared by copies of the table.
class SharedPackedAtoms {
 public:
  /// nullptr if the table is not small. The indices of its atoms are 0, 1, …
  const AtomBlock* of(const AtomTable& atoms, const FixedPointFormat& format);

 private:
  struct Packed {
    std::once_flag made;
    std::vector<std::uint32_t> indices;
    AtomPacker packer;
    AtomBlock block;
  };
  Packed packed_[kMaxPlanes];
};

/// Rows [first, first + count atoms) of a block; `first` is a multiple of kStepBytes.
AtomBlock part_of_block(const AtomBlock& block, std::size_t first, std::size_t count);

/// Vectors q_p as digits: q = scale Σ_l 256^{−l} digit_l + δq, |digit| ≤ 128, in lane groups.
struct LaneDigits {
  std::size_t num_digits = 0;
  std::size_t digit_stride = 0;   ///< bytes from one digit of a group to the next
  std::size_t group_stride = 0;
  AlignedArray<std::int8_t> digits;  ///< [groups][num_digits][depth / 4][kLanes][4]
  std::vector<double> scale;      ///< [groups · kLanes], 0 for a lane without a vector
  std::vector<double> lost;       ///< ≥ ‖δq‖

  const std::int8_t* group(std::size_t g) const { return digits.data() + g * group_stride; }
};

/// Room for `groups` groups of vectors of dimension `dim`, of which the first `vectors` lanes will be written: the others, and all bytes past
/// `dim`, are 0.
LaneDigits lane_digits_for(std::size_t groups, std::size_t vectors, std::size_t dim, std::size_t num_digits);
/// Writes the vector of lane `lane` (counted over all groups) with this scale, |q_k| ≤ 127 scale; `rounded` ← q − δq. A scale of 0 loses it.
/// @shape rounded [d]
void write_digits(std::span<const double> q, double scale, std::size_t lane, LaneDigits& out, std::span<double> rounded);
/// The smallest scale that holds numbers up to `largest`; 0 for those so small that the factors would overflow.
inline double digit_scale(double largest) { return largest > 1e-280 ? largest / 127.0 : 0.0; }

}  // namespace fslens::kernels
