// Single rows of bytes: for pairs that are too scattered for products of matrices.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fslens::kernels {

/// |q_k| that cannot overflow a sum of `size` products with bytes.
inline std::int32_t largest_query(std::size_t size) {
  const std::size_t most = 0x7FFFFFFF / (255 * size);
  return static_cast<std::int32_t>(most < 0x7FFF ? most : 0x7FFF);
}

/// Σ_k q_k row_k, exactly. |q_k| ≤ largest_query(size).
std::int32_t row_product(const std::int16_t* q, const std::uint8_t* row, std::size_t size);

/// out[k] = low + step · row[k].
void widen_bytes(const std::uint8_t* row, std::size_t size, double low, double step, double* out);

}  // namespace fslens::kernels
