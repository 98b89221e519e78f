// 16-bit floating-point numbers, widened exactly.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace fslens::kernels {

/// IEEE binary16: sign, 5 bits of exponent, 10 of fraction. Every value is a float32; NaN and ±∞ stay what they are.
inline float widen_float16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Shifted into place the exponent is 112 too small; the product puts it right, for subnormal numbers too.
  const float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
}

inline void widen_float16(const std::uint16_t* values, std::size_t count, double* out) {
  for (std::size_t k = 0; k < count; ++k) out[k] = static_cast<double>(widen_float16(values[k]));
}

/// bfloat16: the upper half of a float32.
inline void widen_bfloat16(const std::uint16_t* values, std::size_t count, double* out) {
  for (std::size_t k = 0; k < count; ++k)
    out[k] = static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(values[k]) << 16));
}

}  // namespace fslens::kernels
