// Counters to uniform words to standard normals, many at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace fslens {

/// out[2i], out[2i + 1] ← √(−2 log u_i) (cos 2πv_i, sin 2πv_i) for i < count; u, v in (0, 1). To a few units in the last place;
/// a pair does not depend on the others of its batch.
/// @source box1958note
void box_muller(const double* u, const double* v, std::size_t count, double* out);

/// (0, 1): the centre of one of 2^53 equal cells, so that neither log(0) nor 1 can occur.
inline double open_unit(std::uint64_t word) { return (static_cast<double>(word >> 11) + 0.5) * 0x1.0p-53; }

/// box_muller of open_unit of the words of Philox4x32-10 for i < count, with the counters (low and high word of place_i, then
/// `counter`): the bits of Random123, in the lanes of vectors.
void philox_normals(const std::array<std::uint32_t, 2>& key, const std::array<std::uint32_t, 2>& counter,
                    const std::uint64_t* place, std::size_t count, double* out);

}  // namespace fslens
