#include "lane_digits.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lane_digits.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "lane_vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace fslens::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The digits of four rows' integers, a byte each, as the integer product reads them: byte j of `out[digit]` is row j's digit.
template <std::size_t kDigits, class V>
HWY_INLINE void store_digits(V a, V b, V c, V e, std::size_t stride, std::int8_t* out) {
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
  if constexpr (kDigits > 1) store(1, hn::Or(hn::ShiftRight<16>(even_ab), hn::AndNot(low, even_ce)));
  if constexpr (kDigits > 2) store(2, hn::Or(hn::And(odd_ab, low), hn::ShiftLeft<16>(odd_ce)));
  if constexpr (kDigits > 3) store(3, hn::Or(hn::And(even_ab, low), hn::ShiftLeft<16>(even_ce)));
}

/// Which moment of the digits is summed, and how.
enum class Moment { none, exact, rough };

/// Σ n and Σ n aux over the rows, in the lanes: whole numbers and float32 for a step of rows, float64 beyond.
template <Moment kMoment, bool kWide>
struct DigitSums {
  hn::Vec<Doubles> sum[2], moment[2];
  hn::Vec<Ints> high, low;   // of a step: n = 256 high + low where a sum of n would not fit, else n = high
  hn::Vec<Floats> rough;

  HWY_INLINE DigitSums() {
    sum[0] = sum[1] = moment[0] = moment[1] = hn::Zero(Doubles());
    start_step();
  }
  HWY_INLINE void start_step() {
    high = low = hn::Zero(Ints());
    rough = hn::Zero(Floats());
  }
  HWY_INLINE void add(hn::Vec<Ints> n, hn::Vec<Floats> value, const double* aux, const float* rough_aux, std::size_t r) {
    if constexpr (kWide) {
      high = hn::Add(high, hn::ShiftRight<8>(n));
      low = hn::Add(low, hn::And(n, hn::Set(Ints(), 255)));
    } else {
      high = hn::Add(high, n);
    }
    if constexpr (kMoment == Moment::exact) {
      const auto factor = hn::Set(Doubles(), aux[r]);
      moment[0] = hn::MulAdd(lower(n), factor, moment[0]), moment[1] = hn::MulAdd(upper(n), factor, moment[1]);
    }
    if constexpr (kMoment == Moment::rough) rough = hn::MulAdd(value, hn::Set(Floats(), rough_aux[r]), rough);
  }
  HWY_INLINE void end_step() {
    const auto factor = hn::Set(Doubles(), kWide ? 256.0 : 1.0);
    sum[0] = hn::MulAdd(factor, lower(high), sum[0]), sum[1] = hn::MulAdd(factor, upper(high), sum[1]);
    if constexpr (kWide) sum[0] = hn::Add(sum[0], lower(low)), sum[1] = hn::Add(sum[1], upper(low));
    if constexpr (kMoment == Moment::rough)
      moment[0] = hn::Add(moment[0], lower(rough)), moment[1] = hn::Add(moment[1], upper(rough));
    start_step();
  }
};

/// 2^x for x in [kLowestArgument, 0]: 2^n times a polynomial of the rest (the smallest largest relative error of degree 6, 2.6e-9, its
/// coefficients in float32). Whole numbers are found by adding what has no place for fractions.
HWY_INLINE hn::Vec<Floats> power_of_two(hn::Vec<Floats> x) {
  const Floats d;
  const Ints di;
  const auto magic = hn::Set(d, 12582912.0f);  // 1.5 · 2²³
  const auto shifted = hn::Add(x, magic);
  const auto r = hn::Sub(x, hn::Sub(shifted, magic));
  auto p = hn::Set(d, 1.55947185703553259e-4f);
  p = hn::MulAdd(p, r, hn::Set(d, 1.34066597092896700e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 9.61769279092550278e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.55031038820743561e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 2.40226522088050842e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 6.93147242069244385e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
}

/// factor · v − shift, rounded once on every instruction set: the product alone would lose as much again.
HWY_INLINE hn::Vec<Floats> scaled_less(hn::Vec<Floats> factor, hn::Vec<Floats> v, hn::Vec<Floats> shift) {
#if HWY_NATIVE_FMA
  return hn::MulSub(factor, v, shift);
#else
  const HalfFloats half;
  const auto low = hn::DemoteTo(half, hn::Sub(hn::Mul(lower(factor), lower(v)), lower(shift)));
#if HWY_TARGET == HWY_SCALAR
  return low;
#else
  return hn::Combine(Floats(), hn::DemoteTo(half, hn::Sub(hn::Mul(upper(factor), upper(v)), upper(shift))), low);
#endif
#endif
}

template <bool kNorms>
HWY_INLINE void weights_of(const WeightTask& task) {
  const Floats d;
  const auto bits = hn::Set(d, task.bits), dead = hn::Set(d, kDeadArgument), lowest = hn::Set(d, kLowestArgument);
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto top = hn::LoadU(d, task.top + lane);
    auto squares = hn::Zero(d), seconds = hn::Zero(d);
    for (std::size_t r = 0; r < task.rows; r += 4) {
      const auto argument = [&](std::size_t j) HWY_ATTR {
        return scaled_less(bits, hn::LoadU(d, task.logits + (r + j) * kLanes + lane), top);
      };
      const hn::Vec<Floats> quad[4] = {argument(0), argument(1), argument(2), argument(3)};
      // Most rows hold no atom that counts at small t: one test spares four exponentials.
      const auto most = hn::Max(hn::Max(quad[0], quad[1]), hn::Max(quad[2], quad[3]));
      const bool counts = !hn::AllTrue(d, hn::Lt(most, dead));
      if (counts && task.live != nullptr) task.live[r / 4] = 1;
      for (std::size_t j = 0; j < 4; ++j) {
        float* to = task.weights + (r + j) * kLanes + lane;
        if (!counts) {
          hn::StoreU(hn::Zero(d), d, to);
          continue;
        }
        const auto bounded = hn::Max(quad[j], lowest);
        const auto w = hn::IfThenElseZero(hn::Ge(quad[j], lowest), power_of_two(bounded));
        hn::StoreU(w, d, to);
        squares = hn::MulAdd(hn::Mul(w, bounded), bounded, squares);
        if constexpr (kNorms) seconds = hn::MulAdd(w, hn::Set(d, task.norms[r + j]), seconds);
      }
    }
    const auto unit = hn::Set(Doubles(), kLogTwo * kLogTwo);
    add_halves(task.square + lane, hn::Mul(unit, lower(squares)), hn::Mul(unit, upper(squares)));
    if constexpr (kNorms) add_halves(task.second + lane, lower(seconds), upper(seconds));
  }
}

void Weights(const WeightTask& task) { task.norms != nullptr ? weights_of<true>(task) : weights_of<false>(task); }

template <Moment kMoment, std::size_t kDigits>
HWY_INLINE void digits_of(const DigitTask& task) {
  const Floats d;
  const hn::RebindToUnsigned<Floats> du;
  // Adding 128 to every digit but the first and flipping its top bit again turns two's complement into balanced digits.
  const auto balance = hn::Set(du, 0x00808080u);
  // Copies: a digit that is written might else be one of them.
  const std::size_t rows = task.rows, stride = task.digit_stride;
  const float *const values = task.values, *const rough_aux = task.rough_aux;
  const double* const aux = task.aux;
  std::int8_t* const to = task.digits;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto factor = hn::LoadU(d, task.factor + lane);
    auto lost = hn::Zero(d);
    DigitSums<kMoment, (kDigits > 3)> sums;
    const auto digits = [&](std::size_t r) HWY_ATTR {
      const auto scaled = hn::Mul(factor, hn::LoadU(d, values + r * kLanes + lane));
      const auto n = nearest_int(scaled);
      const auto value = hn::ConvertTo(d, n);
      lost = hn::Add(lost, hn::Abs(hn::Sub(scaled, value)));
      sums.add(n, value, aux, rough_aux, r);
      return hn::Xor(hn::Add(hn::ShiftLeft<8 * (4 - kDigits)>(hn::BitCast(du, n)), balance), balance);
    };
    for (std::size_t first = 0; first < rows; first += kStepBytes) {
      auto any = hn::Zero(du);
      for (std::size_t r = first; r < first + kStepBytes; r += 4) {
        std::int8_t* out = to + (r / 4) * kStepBytes + lane * 4;
        const auto a = digits(r), b = digits(r + 1), c = digits(r + 2), e = digits(r + 3);
        any = hn::Or(any, hn::Or(hn::Or(a, b), hn::Or(c, e)));
        store_digits<kDigits>(a, b, c, e, stride, out);
      }
      sums.end_step();
      if (!hn::AllTrue(du, hn::Eq(any, hn::Zero(du)))) task.live[first / kStepBytes] = 1;
    }
    add_halves(task.lost + lane, lower(lost), upper(lost));
    add_halves(task.sum + lane, sums.sum[0], sums.sum[1]);
    if constexpr (kMoment != Moment::none) add_halves(task.moment + lane, sums.moment[0], sums.moment[1]);
  }
}

template <Moment kMoment>
HWY_INLINE void digits_with(const DigitTask& task) {
  switch (task.num_digits) {
    case 1: return digits_of<kMoment, 1>(task);
    case 2: return digits_of<kMoment, 2>(task);
    case 3: return digits_of<kMoment, 3>(task);
    default: return digits_of<kMoment, 4>(task);
  }
}

void Digits(const DigitTask& task) {
  if (task.aux != nullptr) digits_with<Moment::exact>(task);
  else if (task.rough_aux != nullptr) digits_with<Moment::rough>(task);
  else digits_with<Moment::none>(task);
}

}  // namespace HWY_NAMESPACE
}  // namespace fslens::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fslens::kernels {

HWY_EXPORT(Digits);
HWY_EXPORT(Weights);

void lane_digits(const DigitTask& task) { HWY_DYNAMIC_DISPATCH(Digits)(task); }
void lane_weights(const WeightTask& task) { HWY_DYNAMIC_DISPATCH(Weights)(task); }

}  // namespace fslens::kernels
#endif  // HWY_ONCE
