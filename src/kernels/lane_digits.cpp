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

HWY_EXPORT(Digits);
HWY_EXPORT(VectorLargest);
HWY_EXPORT(VectorDigits);
HWY_EXPORT(VectorPlanes);

void lane_digits(const DigitTask& task) { HWY_DYNAMIC_DISPATCH(Digits)(task); }
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
