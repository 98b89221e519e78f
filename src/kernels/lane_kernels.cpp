#include "lane_kernels.hpp"

#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lane_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fslens::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, kLanes>;
using Doubles = hn::CappedTag<double, kLanes / 2>;
using Ints = hn::RebindToSigned<Floats>;
using HalfInts = hn::Rebind<std::int32_t, Doubles>;
using HalfFloats = hn::Rebind<float, Doubles>;

// A vector of float32 is two of float64, but for plain code, where each has one lane.
#if HWY_TARGET == HWY_SCALAR
constexpr bool kTwoHalves = false;
template <class V>
HWY_INLINE hn::Vec<Doubles> lower(V v) {
  return hn::PromoteTo(Doubles(), v);
}
template <class V>
HWY_INLINE hn::Vec<Doubles> upper(V v) {
  return hn::PromoteTo(Doubles(), v);
}
#else
constexpr bool kTwoHalves = true;
template <class V>
HWY_INLINE hn::Vec<Doubles> lower(V v) {
  return hn::PromoteTo(Doubles(), hn::LowerHalf(hn::Half<hn::DFromV<V>>(), v));
}
template <class V>
HWY_INLINE hn::Vec<Doubles> upper(V v) {
  return hn::PromoteTo(Doubles(), hn::UpperHalf(hn::Half<hn::DFromV<V>>(), v));
}
#endif

/// sums[0 …] += the lanes of two halves.
HWY_INLINE void add_halves(double* sums, hn::Vec<Doubles> first, hn::Vec<Doubles> second) {
  const Doubles d;
  hn::StoreU(hn::Add(hn::LoadU(d, sums), first), d, sums);
  if constexpr (kTwoHalves) hn::StoreU(hn::Add(hn::LoadU(d, sums + hn::Lanes(d)), second), d, sums + hn::Lanes(d));
}

/// Σ_o 256^{−o} ints[o], from the smallest order up.
HWY_INLINE hn::Vec<Doubles> combined(const StripSums& sums, std::size_t place) {
  const Doubles d;
  const HalfInts di;
  const auto base = hn::Set(d, 1.0 / 256.0);
  auto total = hn::PromoteTo(d, hn::LoadU(di, sums.ints + (sums.orders - 1) * sums.stride + place));
  for (std::size_t o = sums.orders - 1; o-- > 0;)
    total = hn::MulAdd(total, base, hn::PromoteTo(d, hn::LoadU(di, sums.ints + o * sums.stride + place)));
  return total;
}

template <bool kTwo>
HWY_INLINE void logits_of(const LogitTask& task) {
  const Doubles d;
  const HalfFloats df;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto scale = hn::LoadU(d, task.scale + lane);
    const auto reference0 = hn::LoadU(d, task.reference[0] + lane);
    const auto reference1 = kTwo ? hn::LoadU(d, task.reference[1] + lane) : reference0;
    auto largest0 = hn::LoadU(df, task.largest[0] + lane);
    auto largest1 = kTwo ? hn::LoadU(df, task.largest[1] + lane) : largest0;
    for (std::size_t r = 0; r < kStripRows; ++r) {
      const std::size_t place = r * kLanes + lane;
      const auto dot = combined(task.sums, place);
      const auto logit0 =
          hn::DemoteTo(df, hn::MulAdd(scale, dot, hn::Sub(hn::Set(d, task.offsets[0][r]), reference0)));
      hn::StoreU(logit0, df, task.logits[0] + place);
      largest0 = hn::Max(largest0, logit0);
      if constexpr (kTwo) {
        const auto logit1 =
            hn::DemoteTo(df, hn::MulAdd(scale, dot, hn::Sub(hn::Set(d, task.offsets[1][r]), reference1)));
        hn::StoreU(logit1, df, task.logits[1] + place);
        largest1 = hn::Max(largest1, logit1);
      }
    }
    hn::StoreU(largest0, df, task.largest[0] + lane);
    if constexpr (kTwo) hn::StoreU(largest1, df, task.largest[1] + lane);
  }
}

void Logits(const LogitTask& task) {
  if (task.offsets[1] != nullptr) logits_of<true>(task);
  else logits_of<false>(task);
}

/// e^x for x in [kLowestArgument, 0]: 2^n times a polynomial of the rest (Cephes' expf). ln 2 is in two parts, the first of which n
/// multiplies without rounding. Whole numbers are found by adding what has no place for fractions.
HWY_INLINE hn::Vec<Floats> exponential(hn::Vec<Floats> x) {
  const Floats d;
  const Ints di;
  const auto magic = hn::Set(d, 12582912.0f);  // 1.5 · 2²³
  const auto shifted = hn::MulAdd(x, hn::Set(d, 1.44269504088896341f), magic);
  const auto n = hn::Sub(shifted, magic);
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  auto p = hn::Set(d, 1.9875691500e-4f);
  p = hn::MulAdd(p, r, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0f));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
}

void Weights(const float* logits, std::size_t rows, const float* top, float* weights, double* square) {
  const Floats d;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto shift = hn::LoadU(d, top + lane);
    auto squares = hn::Zero(d);
    for (std::size_t r = 0; r < rows; ++r) {
      const auto argument = hn::Sub(hn::LoadU(d, logits + r * kLanes + lane), shift);
      // Most rows hold no atom that counts at small t: one test spares the exponential.
      if (hn::AllTrue(d, hn::Lt(argument, hn::Set(d, kDeadArgument)))) {
        hn::StoreU(hn::Zero(d), d, weights + r * kLanes + lane);
        continue;
      }
      const auto bounded = hn::Max(argument, hn::Set(d, kLowestArgument));
      const auto w = hn::IfThenElseZero(hn::Ge(argument, hn::Set(d, kLowestArgument)), exponential(bounded));
      hn::StoreU(w, d, weights + r * kLanes + lane);
      squares = hn::MulAdd(hn::Mul(w, bounded), bounded, squares);
    }
    add_halves(square + lane, lower(squares), upper(squares));
  }
}

void Products(const StripSums& sums, const double* scale, const double* shift, const float* weights, float* values, float* largest) {
  const Doubles d;
  const HalfFloats df;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto factor = hn::LoadU(d, scale + lane);
    const auto mean = hn::LoadU(d, shift + lane);
    auto most = hn::LoadU(df, largest + lane);
    for (std::size_t r = 0; r < kStripRows; ++r) {
      const std::size_t place = r * kLanes + lane;
      const auto along = hn::DemoteTo(df, hn::MulSub(factor, combined(sums, place), mean));
      const auto value = hn::Mul(hn::LoadU(df, weights + place), along);
      hn::StoreU(value, df, values + place);
      most = hn::Max(most, hn::Abs(value));
    }
    hn::StoreU(most, df, largest + lane);
  }
}

/// The digits of four rows' integers, a byte each, as the integer product reads them: byte j of `out[digit]` is row j's digit.
template <class V>
HWY_INLINE void store_digits(V a, V b, V c, V e, std::size_t num_digits, std::size_t stride, std::int8_t* out) {
  const hn::RebindToUnsigned<Floats> d;
  const auto even = hn::Set(d, 0x00FF00FFu), low = hn::Set(d, 0x0000FFFFu);
  const auto store = [&](std::size_t digit, V quad) {
    hn::StoreU(quad, d, reinterpret_cast<std::uint32_t*>(out + digit * stride));
  };
  const auto odd_ab = hn::Or(hn::And(hn::ShiftRight<8>(a), even), hn::AndNot(even, b));
  const auto odd_ce = hn::Or(hn::And(hn::ShiftRight<8>(c), even), hn::AndNot(even, e));
  const auto even_ab = hn::Or(hn::And(a, even), hn::ShiftLeft<8>(hn::And(b, even)));
  const auto even_ce = hn::Or(hn::And(c, even), hn::ShiftLeft<8>(hn::And(e, even)));
  store(0, hn::Or(hn::ShiftRight<16>(odd_ab), hn::AndNot(low, odd_ce)));
  if (num_digits > 1) store(1, hn::Or(hn::ShiftRight<16>(even_ab), hn::AndNot(low, even_ce)));
  if (num_digits > 2) store(2, hn::Or(hn::And(odd_ab, low), hn::ShiftLeft<16>(odd_ce)));
  if (num_digits > 3) store(3, hn::Or(hn::And(even_ab, low), hn::ShiftLeft<16>(even_ce)));
}

template <bool kAux>
HWY_INLINE void digits_of(const DigitTask& task) {
  const Floats d;
  const Doubles dd;
  const hn::RebindToUnsigned<Floats> du;
  // Adding 128 to every digit but the first and flipping its top bit again turns two's complement into balanced digits.
  const auto balance = hn::Set(du, 0x00808080u);
  const int shift = static_cast<int>(8 * (4 - task.num_digits));
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto factor = hn::LoadU(d, task.factor + lane);
    auto lost = hn::Zero(d);
    auto sum0 = hn::Zero(dd), sum1 = hn::Zero(dd), moment0 = hn::Zero(dd), moment1 = hn::Zero(dd);
    const auto digits = [&](std::size_t r) HWY_ATTR {
      const auto scaled = hn::Mul(factor, hn::LoadU(d, task.values + r * kLanes + lane));
      const auto n = hn::NearestInt(scaled);
      lost = hn::Add(lost, hn::Abs(hn::Sub(scaled, hn::ConvertTo(d, n))));
      const auto n0 = lower(n), n1 = upper(n);
      sum0 = hn::Add(sum0, n0), sum1 = hn::Add(sum1, n1);
      if constexpr (kAux) {
        const auto aux = hn::Set(dd, task.aux[r]);
        moment0 = hn::MulAdd(n0, aux, moment0), moment1 = hn::MulAdd(n1, aux, moment1);
      }
      return hn::Xor(hn::Add(hn::BitCast(du, hn::ShiftLeftSame(n, shift)), balance), balance);
    };
    for (std::size_t first = 0; first < task.rows; first += kStepBytes) {
      auto any = hn::Zero(du);
      for (std::size_t r = first; r < first + kStepBytes; r += 4) {
        std::int8_t* out = task.digits + (r / 4) * kStepBytes + lane * 4;
        const auto a = digits(r), b = digits(r + 1), c = digits(r + 2), e = digits(r + 3);
        any = hn::Or(any, hn::Or(hn::Or(a, b), hn::Or(c, e)));
        store_digits(a, b, c, e, task.num_digits, task.digit_stride, out);
      }
      if (!hn::AllTrue(du, hn::Eq(any, hn::Zero(du)))) task.live[first / kStepBytes] = 1;
    }
    add_halves(task.lost + lane, lower(lost), upper(lost));
    add_halves(task.sum + lane, sum0, sum1);
    if constexpr (kAux) add_halves(task.moment + lane, moment0, moment1);
  }
}

void Digits(const DigitTask& task) {
  if (task.aux != nullptr) digits_of<true>(task);
  else digits_of<false>(task);
}

void AddStrip(const StripSums& sums, const double* unit, double* totals) {
  const Doubles d;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto factor = hn::LoadU(d, unit + lane);
    for (std::size_t r = 0; r < kStripRows; ++r) {
      double* total = totals + r * kLanes + lane;
      hn::StoreU(hn::MulAdd(factor, combined(sums, r * kLanes + lane), hn::LoadU(d, total)), d, total);
    }
  }
}

void Features(const float* weights, const std::uint32_t* live, std::size_t num_live, const double* features, std::size_t stride,
              std::size_t columns, double* totals) {
  const Doubles d;
  const HalfFloats df;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d))
    for (std::size_t j = 0; j < columns; j += 4) {
      auto s0 = hn::Zero(d), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
      for (std::size_t r = 0; r < num_live; ++r) {
        const auto w = hn::PromoteTo(d, hn::LoadU(df, weights + live[r] * kLanes + lane));
        const double* row = features + live[r] * stride + j;
        s0 = hn::MulAdd(w, hn::Set(d, row[0]), s0), s1 = hn::MulAdd(w, hn::Set(d, row[1]), s1);
        s2 = hn::MulAdd(w, hn::Set(d, row[2]), s2), s3 = hn::MulAdd(w, hn::Set(d, row[3]), s3);
      }
      double* total = totals + j * kLanes + lane;
      hn::StoreU(hn::Add(hn::LoadU(d, total), s0), d, total);
      hn::StoreU(hn::Add(hn::LoadU(d, total + kLanes), s1), d, total + kLanes);
      hn::StoreU(hn::Add(hn::LoadU(d, total + 2 * kLanes), s2), d, total + 2 * kLanes);
      hn::StoreU(hn::Add(hn::LoadU(d, total + 3 * kLanes), s3), d, total + 3 * kLanes);
    }
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
  HWY_ALIGN std::uint32_t bytes[kLanes];
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
    for (std::size_t l = 0; l < num_digits; ++l) {
      const int shift = static_cast<int>(8 * (num_digits - 1 - l));
      std::int8_t* to = out + l * digit_stride + (k / 4) * kStepBytes;
      for (std::size_t j = 0; j < some; j += 4, to += kStepBytes) {
        const std::uint32_t quad = (bytes[j] >> shift & 255u) | (bytes[j + 1] >> shift & 255u) << 8 |
                                   (bytes[j + 2] >> shift & 255u) << 16 | (bytes[j + 3] >> shift & 255u) << 24;
        std::memcpy(to, &quad, sizeof(quad));
      }
    }
  }
  return hn::GetLane(hn::SumOfLanes(d, lost));
}

void Gather(const std::int32_t* words, const std::int32_t* offsets, std::size_t count, std::int32_t* out) {
  const Ints d;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto places = hn::LoadU(d, offsets + lane);
    for (std::size_t k = 0; k < count; ++k) hn::StoreU(hn::GatherIndex(d, words + k * kLanes, places), d, out + k * kLanes + lane);
  }
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

std::size_t Screen(const ScreenTask& task, Candidate* found) {
  const Floats d;
  const Ints di;
  std::size_t count = 0;
  const bool two = task.offsets[1] != nullptr, bare = task.bare_offsets != nullptr;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto scale = hn::LoadU(d, task.scale + lane);
    auto best_bare = bare ? hn::LoadU(d, task.best_bare + lane) : scale;
    const auto lowest0 = hn::LoadU(d, task.lowest[0] + lane);
    const auto lowest1 = two ? hn::LoadU(d, task.lowest[1] + lane) : lowest0;
    auto best0 = hn::LoadU(d, task.best[0] + lane);
    auto best1 = two ? hn::LoadU(d, task.best[1] + lane) : best0;
    for (std::size_t r = 0; r < kStripRows; ++r) {
      const auto dot = hn::ConvertTo(d, hn::LoadU(di, task.sums.ints + r * kLanes + lane));
      const auto logit0 = hn::MulAdd(scale, dot, hn::Set(d, task.offsets[0][r]));
      const auto logit1 = two ? hn::MulAdd(scale, dot, hn::Set(d, task.offsets[1][r])) : logit0;
      best0 = hn::Max(best0, logit0);
      best1 = hn::Max(best1, logit1);
      if (bare) best_bare = hn::Max(best_bare, hn::MulAdd(scale, dot, hn::Set(d, task.bare_offsets[r])));
      const auto kept = hn::Or(hn::Ge(logit0, lowest0), hn::Ge(logit1, lowest1));
      if (hn::AllFalse(d, kept)) continue;
      HWY_ALIGN float values[2][kLanes];
      HWY_ALIGN std::uint8_t bits[8] = {};
      hn::StoreU(logit0, d, values[0]);
      hn::StoreU(logit1, d, values[1]);
      hn::StoreMaskBits(d, kept, bits);
      for (std::size_t l = 0; l < hn::Lanes(d); ++l)
        if ((bits[l / 8] >> (l % 8) & 1) != 0)
          found[count++] = {static_cast<std::uint32_t>(r), static_cast<std::uint32_t>(lane + l),
                            {values[0][l], values[1][l]}};
    }
    hn::StoreU(best0, d, task.best[0] + lane);
    if (two) hn::StoreU(best1, d, task.best[1] + lane);
    if (bare) hn::StoreU(best_bare, d, task.best_bare + lane);
  }
  return count;
}

}  // namespace HWY_NAMESPACE
}  // namespace fslens::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fslens::kernels {

HWY_EXPORT(Logits);
HWY_EXPORT(Weights);
HWY_EXPORT(Products);
HWY_EXPORT(Digits);
HWY_EXPORT(AddStrip);
HWY_EXPORT(Features);
HWY_EXPORT(Gather);
HWY_EXPORT(Screen);
HWY_EXPORT(VectorDigits);
HWY_EXPORT(VectorPlanes);

void lane_logits(const LogitTask& task) { HWY_DYNAMIC_DISPATCH(Logits)(task); }
void lane_weights(const float* logits, std::size_t rows, const float* top, float* weights, double* square) {
  HWY_DYNAMIC_DISPATCH(Weights)(logits, rows, top, weights, square);
}
void lane_products(const StripSums& sums, const double* scale, const double* shift, const float* weights, float* values,
                   float* largest) {
  HWY_DYNAMIC_DISPATCH(Products)(sums, scale, shift, weights, values, largest);
}
void lane_gather(const std::int32_t* words, const std::int32_t* offsets, std::size_t count, std::int32_t* out) {
  HWY_DYNAMIC_DISPATCH(Gather)(words, offsets, count, out);
}
void lane_digits(const DigitTask& task) { HWY_DYNAMIC_DISPATCH(Digits)(task); }
void lane_add(const StripSums& sums, const double* unit, double* totals) { HWY_DYNAMIC_DISPATCH(AddStrip)(sums, unit, totals); }
void lane_features(const float* weights, const std::uint32_t* live, std::size_t num_live, const double* features,
                   std::size_t stride, std::size_t columns, double* totals) {
  HWY_DYNAMIC_DISPATCH(Features)(weights, live, num_live, features, stride, columns, totals);
}
double vector_digits(const double* q, std::size_t size, std::size_t num_digits, double forward, double unit, std::int8_t* out,
                     std::size_t digit_stride, double* rounded) {
  return HWY_DYNAMIC_DISPATCH(VectorDigits)(q, size, num_digits, forward, unit, out, digit_stride, rounded);
}
void vector_planes(const double* x, std::size_t size, double low, double inverse, std::size_t num_planes, std::uint8_t* const* out) {
  HWY_DYNAMIC_DISPATCH(VectorPlanes)(x, size, low, inverse, num_planes, out);
}
std::size_t lane_screen(const ScreenTask& task, Candidate* found) { return HWY_DYNAMIC_DISPATCH(Screen)(task, found); }

}  // namespace fslens::kernels
#endif  // HWY_ONCE
