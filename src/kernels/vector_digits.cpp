#include "vector_digits.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "vector_digits.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "lane_vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace fslens::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// words[4 q + b] = byte b of values[4 q … 4 q + 3], for kLanes values.
HWY_INLINE void gather_bytes(const std::uint32_t* values, std::uint32_t* words) {
#if HWY_TARGET == HWY_SCALAR
  for (std::size_t i = 0; i < kLanes; ++i) {
    const std::uint32_t* quad = values + i / 4 * 4;
    const std::size_t shift = 8 * (i % 4);
    words[i] = (quad[0] >> shift & 255u) | (quad[1] >> shift & 255u) << 8 | (quad[2] >> shift & 255u) << 16 | (quad[3] >> shift & 255u) << 24;
  }
#else
  const hn::RebindToUnsigned<Floats> d;
  const hn::Repartition<std::uint8_t, decltype(d)> bytes;
  HWY_ALIGN static constexpr std::uint8_t kOrder[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  const auto order = hn::LoadDup128(bytes, kOrder);
  for (std::size_t i = 0; i < kLanes; i += hn::Lanes(d))
    hn::Store(hn::BitCast(d, hn::TableLookupBytes(hn::BitCast(bytes, hn::Load(d, values + i)), order)), d, words + i);
#endif
}

double VectorLargest(const double* q, std::size_t size) {
  const Doubles d;
  auto largest = hn::Zero(d);
  std::size_t k = 0;
  for (; k + hn::Lanes(d) <= size; k += hn::Lanes(d)) largest = hn::Max(largest, hn::Abs(hn::LoadU(d, q + k)));
  double most = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; k < size; ++k) most = std::max(most, std::abs(q[k]));
  return most;
}

double VectorDigits(const double* q, std::size_t size, std::size_t num_digits, double forward, double unit, std::int8_t* out,
                    std::size_t digit_stride, double* rounded) {
  const Doubles d;
  const HalfInts di;
  const hn::Rebind<std::uint32_t, Doubles> du;
  const auto factor = hn::Set(d, forward), back = hn::Set(d, unit);
  // The digits of n + 128 Σ 256^l are those of n, each 128 more; the first digit stays as it is.
  const std::uint32_t offset = 0x00808080u >> (8 * (4 - num_digits));
  const auto balance = hn::Set(du, offset);
  HWY_ALIGN std::uint32_t bytes[kLanes], words[kLanes];
  HWY_ALIGN double padded[kLanes] = {}, values[kLanes];
  auto lost = hn::Zero(d);
  for (std::size_t k = 0; k < size; k += kLanes) {
    const std::size_t some = size - k < kLanes ? size - k : kLanes;
    const double* from = q + k;
    if (some < kLanes) {
      for (std::size_t j = 0; j < kLanes; ++j) padded[j] = j < some ? from[j] : 0.0;
      from = padded;
    }
    for (std::size_t j = 0; j < kLanes; j += hn::Lanes(d)) {
      const auto value = hn::LoadU(d, from + j);
      const auto whole = hn::Round(hn::Mul(value, factor));
      const auto kept = hn::Mul(whole, back);
      const auto gap = hn::Sub(value, kept);
      lost = hn::MulAdd(gap, gap, lost);
      hn::StoreU(kept, d, values + j);
      const auto n = hn::BitCast(du, hn::DemoteTo(di, whole));
      hn::StoreU(hn::Xor(hn::Add(n, balance), balance), du, bytes + j);
    }
    for (std::size_t j = 0; j < some; ++j) rounded[k + j] = values[j];
    gather_bytes(bytes, words);
    for (std::size_t l = 0; l < num_digits; ++l) {
      std::int8_t* to = out + l * digit_stride + (k / 4) * kStepBytes;
      for (std::size_t j = 0; j < some; j += 4, to += kStepBytes) std::memcpy(to, words + j + (num_digits - 1 - l), sizeof(*words));
    }
  }
  return hn::GetLane(hn::SumOfLanes(d, lost));
}

void VectorPlanes(const double* x, std::size_t size, double low, double inverse, std::size_t num_planes, std::uint8_t* const* out) {
  const Doubles d;
  const hn::RebindToSigned<Doubles> di;
  const hn::RebindToUnsigned<Doubles> du;
  const hn::Rebind<std::uint8_t, Doubles> bytes;
  const auto most = hn::Set(d, static_cast<double>((std::uint64_t{1} << (8 * num_planes)) - 1));
  for (std::size_t k = 0; k < size; k += hn::Lanes(d)) {
    const auto scaled = hn::Mul(hn::Sub(hn::LoadU(d, x + k), hn::Set(d, low)), hn::Set(d, inverse));
    const auto held = hn::Min(hn::Max(scaled, hn::Zero(d)), most);
    auto n = hn::BitCast(du, hn::ConvertTo(di, hn::Add(held, hn::Set(d, 0.5))));
    for (std::size_t m = num_planes; m-- > 0; n = hn::ShiftRight<8>(n)) hn::StoreU(hn::TruncateTo(bytes, n), bytes, out[m] + k);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace fslens::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fslens::kernels {

HWY_EXPORT(VectorLargest);
HWY_EXPORT(VectorDigits);
HWY_EXPORT(VectorPlanes);

double vector_largest(const double* q, std::size_t size) { return HWY_DYNAMIC_DISPATCH(VectorLargest)(q, size); }
double vector_digits(const double* q, std::size_t size, std::size_t num_digits, double forward, double unit, std::int8_t* out,
                     std::size_t digit_stride, double* rounded) {
  return HWY_DYNAMIC_DISPATCH(VectorDigits)(q, size, num_digits, forward, unit, out, digit_stride, rounded);
}
void vector_planes(const double* x, std::size_t size, double low, double inverse, std::size_t num_planes, std::uint8_t* const* out) {
  HWY_DYNAMIC_DISPATCH(VectorPlanes)(x, size, low, inverse, num_planes, out);
}

}  // namespace fslens::kernels
#endif  // HWY_ONCE
