#include "lane_kernels.hpp"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lane_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "lane_vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace fslens::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

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

/// Logits of some lanes on their way to memory, and the largest of each measure.
template <bool kTwo, class D>
struct LogitStore {
  float* const (&logits)[2];
  float* const (&largest)[2];
  std::size_t lane;
  hn::Vec<D> most[2];

  template <class Task>
  HWY_INLINE LogitStore(const Task& task, std::size_t first) : logits(task.logits), largest(task.largest), lane(first) {
    most[0] = hn::LoadU(D(), largest[0] + lane);
    if constexpr (kTwo) most[1] = hn::LoadU(D(), largest[1] + lane);
  }
  HWY_INLINE void put(std::size_t m, std::size_t place, hn::Vec<D> logit) {
    hn::StoreU(logit, D(), logits[m] + place);
    most[m] = hn::Max(most[m], logit);
  }
  HWY_INLINE void finish() {
    hn::StoreU(most[0], D(), largest[0] + lane);
    if constexpr (kTwo) hn::StoreU(most[1], D(), largest[1] + lane);
  }
};

template <bool kTwo>
HWY_INLINE void logits_of(const LogitTask& task) {
  const Doubles d;
  const auto bits = hn::Set(d, 1.0 / kLogTwo);
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    LogitStore<kTwo, HalfFloats> store(task, lane);
    const auto scale = hn::LoadU(d, task.scale + lane);
    const auto reference0 = hn::LoadU(d, task.reference[0] + lane);
    const auto reference1 = kTwo ? hn::LoadU(d, task.reference[1] + lane) : reference0;
    for (std::size_t r = 0; r < kStripRows; ++r) {
      const std::size_t place = r * kLanes + lane;
      const auto dot = combined(task.sums, place);
      const auto put = [&](std::size_t m, hn::Vec<Doubles> reference) HWY_ATTR {
        const auto offset = hn::Sub(hn::Set(d, task.offsets[m][r]), reference);
        store.put(m, place, hn::DemoteTo(HalfFloats(), hn::Mul(bits, hn::MulAdd(scale, dot, offset))));
      };
      put(0, reference0);
      if constexpr (kTwo) put(1, reference1);
    }
    store.finish();
  }
}

void Logits(const LogitTask& task) {
  if (task.offsets[1] != nullptr) logits_of<true>(task);
  else logits_of<false>(task);
}

/// Σ_{o ≥ first} 256^{first − o} ints[o], from the smallest order up, in float32; 0 if there are none.
HWY_INLINE hn::Vec<Floats> orders_from(std::size_t first, const StripSums& sums, std::size_t place) {
  const Floats d;
  const Ints di;
  if (sums.orders <= first) return hn::Zero(d);
  const auto part = [&](std::size_t o) HWY_ATTR { return hn::ConvertTo(d, hn::LoadU(di, sums.ints + o * sums.stride + place)); };
  auto total = part(sums.orders - 1);
  for (std::size_t o = sums.orders - 1; o-- > first;) total = hn::MulAdd(total, hn::Set(d, 1.0f / 256.0f), part(o));
  return total;
}

template <bool kTwo, bool kFine>
HWY_INLINE void step_logits_of(const StepLogitTask& task) {
  const Floats d;
  const Ints di;
  const auto base = hn::Set(d, 1.0f / 256.0f);
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    LogitStore<kTwo, Floats> store(task, lane);
    const auto reference0 = hn::LoadU(di, task.reference[0] + lane);
    const auto reference1 = kTwo ? hn::LoadU(di, task.reference[1] + lane) : reference0;
    for (std::size_t r = 0; r < kStripRows; ++r) {
      const std::size_t place = r * kLanes + lane;
      auto whole = hn::LoadU(di, task.sums.ints + place);
      if constexpr (kFine) whole = hn::Add(hn::ShiftLeft<8>(whole), hn::LoadU(di, task.sums.ints + task.sums.stride + place));
      const auto below = orders_from(kFine ? 2 : 1, task.sums, place);
      const auto put = [&](std::size_t m, hn::Vec<Ints> reference) HWY_ATTR {
        const auto sum = hn::Add(whole, hn::Sub(hn::Set(di, task.whole[m][r]), reference));
        store.put(m, place, hn::Add(hn::ConvertTo(d, sum), hn::MulAdd(below, base, hn::Set(d, task.rest[m][r]))));
      };
      put(0, reference0);
      if constexpr (kTwo) put(1, reference1);
    }
    store.finish();
  }
}

void StepLogits(const StepLogitTask& task) {
  const bool two = task.rest[1] != nullptr;
  if (task.fine) two ? step_logits_of<true, true>(task) : step_logits_of<false, true>(task);
  else two ? step_logits_of<true, false>(task) : step_logits_of<false, false>(task);
}

void StepOffsets(const double* offsets, std::size_t rows, double top, double lowest, double inverse, std::int32_t* whole, float* rest) {
  const Doubles d;
  const HalfInts di;
  const HalfFloats df;
  for (std::size_t r = 0; r < rows; r += hn::Lanes(d)) {
    const auto offset = hn::LoadU(d, offsets + r);
    const auto counts = hn::Ge(offset, hn::Set(d, lowest));
    const auto steps = hn::IfThenElseZero(counts, hn::Mul(hn::Sub(offset, hn::Set(d, top)), hn::Set(d, inverse)));
    const auto nearest = hn::Round(steps);
    const auto left = hn::DemoteTo(df, hn::IfThenElse(counts, hn::Sub(steps, nearest), hn::Set(d, -1.0)));
    hn::StoreU(hn::DemoteTo(di, nearest), di, whole + r);
    // Some instruction sets demote −∞ to the lowest float32.
    hn::StoreU(hn::IfThenElse(hn::Lt(left, hn::Set(df, -0.75f)), hn::Set(df, -kInfinity), left), df, rest + r);
  }
}

void Products(const ProductTask& task) {
  const Floats d;
  const Ints di;
  const auto base = hn::Set(d, 1.0f / 256.0f);
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto shift = hn::LoadU(di, task.shift + lane);
    const auto rest = hn::LoadU(d, task.rest + lane);
    auto most = hn::LoadU(d, task.largest + lane);
    for (std::size_t r = 0; r < kStripRows; ++r) {
      const std::size_t place = r * kLanes + lane;
      const auto whole = hn::Sub(hn::LoadU(di, task.sums.ints + place), shift);
      const auto along = hn::Add(hn::ConvertTo(d, whole), hn::MulAdd(orders_from(1, task.sums, place), base, rest));
      const auto value = hn::Mul(hn::LoadU(d, task.weights + place), along);
      hn::StoreU(value, d, task.values + place);
      most = hn::Max(most, hn::Abs(value));
    }
    hn::StoreU(most, d, task.largest + lane);
  }
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

/// Two vectors of lanes at a time: each value of a feature is fetched once for both.
template <std::size_t kColumns>
HWY_INLINE void some_features(const FeatureTask& task, std::size_t first) {
  const Doubles d;
  const HalfFloats df;
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t lane = 0; lane < kLanes; lane += 2 * lanes) {
    hn::Vec<Doubles> sums[2][kColumns];
    for (auto& half : sums)
      for (auto& sum : half) sum = hn::Zero(d);
    for (std::size_t i = 0; i < task.num_live; ++i) {
      const std::size_t r = task.live != nullptr ? task.live[i] : i;
      const float* weights = task.weights + r * kLanes + lane;
      const auto w0 = hn::PromoteTo(d, hn::LoadU(df, weights)), w1 = hn::PromoteTo(d, hn::LoadU(df, weights + lanes));
      const double* row = task.features + r * task.stride + first;
      for (std::size_t j = 0; j < kColumns; ++j) {
        const auto value = hn::Set(d, row[j]);
        sums[0][j] = hn::MulAdd(w0, value, sums[0][j]);
        sums[1][j] = hn::MulAdd(w1, value, sums[1][j]);
      }
    }
    for (std::size_t half = 0; half < 2; ++half) {
      double* total = task.totals + first * kLanes + lane + half * lanes;
      for (std::size_t j = 0; j < kColumns; ++j) hn::StoreU(hn::Add(hn::LoadU(d, total + j * kLanes), sums[half][j]), d, total + j * kLanes);
    }
  }
}

void Features(const FeatureTask& task) {
  std::size_t first = 0;
  for (; first + 8 <= task.columns; first += 8) some_features<8>(task, first);
  switch (task.columns - first) {
    case 7: return some_features<7>(task, first);
    case 6: return some_features<6>(task, first);
    case 5: return some_features<5>(task, first);
    case 4: return some_features<4>(task, first);
    case 3: return some_features<3>(task, first);
    case 2: return some_features<2>(task, first);
    case 1: return some_features<1>(task, first);
    default: return;
  }
}

/// kColumns of them in registers, or any number.
template <std::size_t kColumns>
HWY_INLINE void tilts_of(const TiltTask& task) {
  const Floats d;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    hn::Vec<Floats> slopes[kColumns > 0 ? kColumns : 1];
    for (std::size_t j = 0; j < kColumns; ++j) slopes[j] = hn::LoadU(d, task.slopes + j * kLanes + lane);
    const auto base = hn::LoadU(d, task.base + lane);
    auto most = hn::LoadU(d, task.largest + lane);
    for (std::size_t r = 0; r < task.rows; ++r) {
      const float* row = task.features + r * task.columns;
      auto factor = base;
      for (std::size_t j = 0; j < kColumns; ++j) factor = hn::MulAdd(slopes[j], hn::Set(d, row[j]), factor);
      if constexpr (kColumns == 0)
        for (std::size_t j = 0; j < task.columns; ++j) factor = hn::MulAdd(hn::LoadU(d, task.slopes + j * kLanes + lane), hn::Set(d, row[j]), factor);
      const auto value = hn::Mul(hn::LoadU(d, task.weights + r * kLanes + lane), factor);
      hn::StoreU(value, d, task.values + r * kLanes + lane);
      most = hn::Max(most, hn::Abs(value));
    }
    hn::StoreU(most, d, task.largest + lane);
  }
}

void Tilts(const TiltTask& task) {
  switch (task.columns) {
    case 1: return tilts_of<1>(task);
    case 2: return tilts_of<2>(task);
    case 3: return tilts_of<3>(task);
    case 4: return tilts_of<4>(task);
    case 5: return tilts_of<5>(task);
    case 6: return tilts_of<6>(task);
    case 7: return tilts_of<7>(task);
    case 8: return tilts_of<8>(task);
    default: return tilts_of<0>(task);
  }
}

void Gather(const std::int32_t* words, const std::int32_t* offsets, std::size_t count, std::int32_t* out) {
  const Ints d;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto places = hn::LoadU(d, offsets + lane);
    for (std::size_t k = 0; k < count; ++k) hn::StoreU(hn::GatherIndex(d, words + k * kLanes, places), d, out + k * kLanes + lane);
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
HWY_EXPORT(StepLogits);
HWY_EXPORT(StepOffsets);
HWY_EXPORT(Products);
HWY_EXPORT(AddStrip);
HWY_EXPORT(Features);
HWY_EXPORT(Tilts);
HWY_EXPORT(Gather);
HWY_EXPORT(Screen);

void lane_logits(const LogitTask& task) { HWY_DYNAMIC_DISPATCH(Logits)(task); }
void lane_step_logits(const StepLogitTask& task) { HWY_DYNAMIC_DISPATCH(StepLogits)(task); }
void step_offsets(const double* offsets, std::size_t rows, double top, double lowest, double inverse, std::int32_t* whole, float* rest) {
  HWY_DYNAMIC_DISPATCH(StepOffsets)(offsets, rows, top, lowest, inverse, whole, rest);
}
void lane_products(const ProductTask& task) { HWY_DYNAMIC_DISPATCH(Products)(task); }
void lane_gather(const std::int32_t* words, const std::int32_t* offsets, std::size_t count, std::int32_t* out) {
  HWY_DYNAMIC_DISPATCH(Gather)(words, offsets, count, out);
}
void lane_add(const StripSums& sums, const double* unit, double* totals) { HWY_DYNAMIC_DISPATCH(AddStrip)(sums, unit, totals); }
void lane_features(const FeatureTask& task) { HWY_DYNAMIC_DISPATCH(Features)(task); }
void lane_tilts(const TiltTask& task) { HWY_DYNAMIC_DISPATCH(Tilts)(task); }
std::size_t lane_screen(const ScreenTask& task, Candidate* found) { return HWY_DYNAMIC_DISPATCH(Screen)(task, found); }

}  // namespace fslens::kernels
#endif  // HWY_ONCE
