#include "transpose_bytes.hpp"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "transpose_bytes.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fslens::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Words = hn::CappedTag<std::uint64_t, 8>;

template <int kShift>
HWY_INLINE void exchange(hn::Vec<Words>& low, hn::Vec<Words>& high, std::uint64_t mask) {
  const auto t = hn::And(hn::Xor(hn::ShiftRight<kShift>(low), high), hn::Set(Words(), mask));
  high = hn::Xor(high, t);
  low = hn::Xor(low, hn::ShiftLeft<kShift>(t));
}

/// Eight rows of 64 bytes as 8 × 8 blocks, each transposed (Warren, Hacker's Delight, 2nd ed., 7-3): out[j][c] ← column 8 c + j.
HWY_INLINE void transpose_blocks(const std::uint8_t* from, std::size_t stride, std::uint64_t* out) {
  const Words d;
  constexpr std::uint64_t kHalves = 0x00000000FFFFFFFFull, kPairs = 0x0000FFFF0000FFFFull, kBytes = 0x00FF00FF00FF00FFull;
  for (std::size_t c = 0; c < 8; c += hn::Lanes(d)) {
    const auto row = [&](std::size_t r) HWY_ATTR { return hn::LoadU(d, reinterpret_cast<const std::uint64_t*>(from + r * stride) + c); };
    auto w0 = row(0), w1 = row(1), w2 = row(2), w3 = row(3), w4 = row(4), w5 = row(5), w6 = row(6), w7 = row(7);
    exchange<32>(w0, w4, kHalves), exchange<32>(w1, w5, kHalves), exchange<32>(w2, w6, kHalves), exchange<32>(w3, w7, kHalves);
    exchange<16>(w0, w2, kPairs), exchange<16>(w1, w3, kPairs), exchange<16>(w4, w6, kPairs), exchange<16>(w5, w7, kPairs);
    exchange<8>(w0, w1, kBytes), exchange<8>(w2, w3, kBytes), exchange<8>(w4, w5, kBytes), exchange<8>(w6, w7, kBytes);
    hn::StoreU(w0, d, out + c), hn::StoreU(w1, d, out + 8 + c), hn::StoreU(w2, d, out + 16 + c), hn::StoreU(w3, d, out + 24 + c);
    hn::StoreU(w4, d, out + 32 + c), hn::StoreU(w5, d, out + 40 + c), hn::StoreU(w6, d, out + 48 + c), hn::StoreU(w7, d, out + 56 + c);
  }
}

/// 64 × 64 bytes at a time, so that what is written are whole cache lines.
void Transpose(const std::uint8_t* from, std::size_t stride, std::size_t rows, std::size_t columns, std::uint8_t* to) {
  HWY_ALIGN std::uint64_t words[8][64];  // [eight rows][column mod 8][column / 8]
  for (std::size_t r = 0; r < rows; r += 64)
    for (std::size_t k = 0; k < columns; k += 64) {
      for (std::size_t eight = 0; eight < 8; ++eight) transpose_blocks(from + (r + 8 * eight) * stride + k, stride, words[eight]);
      for (std::size_t j = 0; j < std::min<std::size_t>(64, columns - k); ++j) {
        std::uint64_t line[8];
        for (std::size_t eight = 0; eight < 8; ++eight) line[eight] = words[eight][j % 8 * 8 + j / 8];
        std::memcpy(to + (k + j) * rows + r, line, sizeof(line));
      }
    }
}

}  // namespace HWY_NAMESPACE
}  // namespace fslens::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fslens::kernels {

HWY_EXPORT(Transpose);
void transpose_bytes(const std::uint8_t* from, std::size_t stride, std::size_t rows, std::size_t columns, std::uint8_t* to) {
  HWY_DYNAMIC_DISPATCH(Transpose)(from, stride, rows, columns, to);
}

}  // namespace fslens::kernels
#endif  // HWY_ONCE
