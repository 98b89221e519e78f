#include "box_muller.hpp"

#include <algorithm>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "box_muller.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace fslens {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<double, 8>;
using Word = hn::RebindToUnsigned<D>;

/// Pairs of normals of one vector, interleaved: `pairs` has room for two vectors.
HWY_INLINE void WritePairs(D d, hn::Vec<D> u, hn::Vec<D> v, double* pairs) {
  const auto radius = hn::Sqrt(hn::Mul(hn::Set(d, -2.0), hn::Log(d, u)));
  const auto angle = hn::Mul(hn::Set(d, 2.0 * std::numbers::pi), v);
  hn::StoreInterleaved2(hn::Mul(radius, hn::Cos(d, angle)), hn::Mul(radius, hn::Sin(d, angle)), d, pairs);
}

void BoxMuller(const double* u, const double* v, std::size_t count, double* out) {
  const D d;
  const std::size_t lanes = hn::Lanes(d);
  HWY_ALIGN double padded_u[8];
  HWY_ALIGN double padded_v[8];
  HWY_ALIGN double pairs[16];
  for (std::size_t i = 0; i < count; i += lanes) {
    const std::size_t valid = std::min(lanes, count - i);
    std::fill_n(padded_u, lanes, 0.5);
    std::fill_n(padded_v, lanes, 0.5);
    std::copy_n(u + i, valid, padded_u);
    std::copy_n(v + i, valid, padded_v);
    WritePairs(d, hn::Load(d, padded_u), hn::Load(d, padded_v), pairs);
    std::copy_n(pairs, 2 * valid, out + 2 * i);
  }
}

/// open_unit of every lane.
HWY_INLINE hn::Vec<D> OpenUnit(D d, hn::Vec<Word> word) {
  const hn::RebindToSigned<D> integer;  // below 2^53: exact, whatever the sign
  const auto cell = hn::ConvertTo(d, hn::BitCast(integer, hn::ShiftRight<11>(word)));
  return hn::Mul(hn::Add(cell, hn::Set(d, 0.5)), hn::Set(d, 0x1.0p-53));
}

/// The 64-bit product of the low halves of each lane.
HWY_INLINE hn::Vec<Word> MultiplyLowHalves(Word word, hn::Vec<Word> a, hn::Vec<Word> b) {
#if HWY_TARGET == HWY_SCALAR  // has no view of a lane as two halves
  const auto low = hn::Set(word, 0xffffffffU);
  return hn::Mul(hn::And(a, low), hn::And(b, low));
#else
  const hn::RepartitionToNarrow<Word> half;
  (void)word;
  return hn::MulEven(hn::BitCast(half, a), hn::BitCast(half, b));
#endif
}

/// Philox4x32-10 with each word of a counter in the low half of a 64-bit lane; the high halves hold what they like, since
/// products do not look at them.
void PhiloxNormals(const std::array<std::uint32_t, 2>& key, const std::array<std::uint32_t, 2>& counter,
                   const std::uint64_t* place, std::size_t count, double* out) {
  const D d;
  const Word word;
  const std::size_t lanes = hn::Lanes(d);
  const auto low_half = hn::Set(word, 0xffffffffU);
  const auto first_factor = hn::Set(word, 0xD2511F53U), second_factor = hn::Set(word, 0xCD9E8D57U);
  HWY_ALIGN std::uint64_t padded[8] = {};
  HWY_ALIGN double pairs[16];
  for (std::size_t i = 0; i < count; i += lanes) {
    const std::size_t valid = std::min(lanes, count - i);
    std::copy_n(place + i, valid, padded);
    auto c0 = hn::Load(word, padded);
    auto c1 = hn::ShiftRight<32>(c0);
    auto c2 = hn::Set(word, counter[0]);
    auto c3 = hn::Set(word, counter[1]);
    std::uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9U, k1 += 0xBB67AE85U) {
      const auto first = MultiplyLowHalves(word, c0, first_factor);
      const auto second = MultiplyLowHalves(word, c2, second_factor);
      c0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(second), c1), hn::Set(word, k0));
      c2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(first), c3), hn::Set(word, k1));
      c1 = second;
      c3 = first;
    }
    const auto u = hn::Or(hn::ShiftLeft<32>(c1), hn::And(c0, low_half));
    const auto v = hn::Or(hn::ShiftLeft<32>(c3), hn::And(c2, low_half));
    WritePairs(d, OpenUnit(d, u), OpenUnit(d, v), pairs);
    std::copy_n(pairs, 2 * valid, out + 2 * i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace fslens
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fslens {

HWY_EXPORT(BoxMuller);
HWY_EXPORT(PhiloxNormals);

void box_muller(const double* u, const double* v, std::size_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(BoxMuller)(u, v, count, out);
}

void philox_normals(const std::array<std::uint32_t, 2>& key, const std::array<std::uint32_t, 2>& counter,
                    const std::uint64_t* place, std::size_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(PhiloxNormals)(key, counter, place, count, out);
}

}  // namespace fslens
#endif  // HWY_ONCE
