// Uniform words to standard normals, many at a time.
#pragma once

#include <cstddef>

namespace fslens {

/// out[2i], out[2i + 1] ← √(−2 log u_i) (cos 2πv_i, sin 2πv_i) for i < count; u, v in (0, 1). To a few units in the last place;
/// a pair does not depend on the others of its batch.
/// @source box1958note
void box_muller(const double* u, const double* v, std::size_t count, double* out);

}  // namespace fslens
