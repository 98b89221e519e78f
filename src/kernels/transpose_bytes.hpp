// Bytes of rows to bytes of columns.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fslens::kernels {

/// to[k][r] = from[r][k] for r < rows, k < columns. rows is a multiple of 64, columns of 8; a row of `from` has `stride` bytes, of which
/// those up to the next multiple of 64 can be read. @shape to [columns][rows]
void transpose_bytes(const std::uint8_t* from, std::size_t stride, std::size_t rows, std::size_t columns, std::uint8_t* to);

}  // namespace fslens::kernels
