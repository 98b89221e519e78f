#include "sparse_moments.hpp"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sparse_moments.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fslens::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// How many weights are worth a unit.
std::size_t CountWeights(const float* weights, std::size_t rows, const float* factor) {
  const hn::CappedTag<float, kLanes> d;
  std::size_t count = 0;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto scale = hn::LoadU(d, factor + lane);
    for (std::size_t r = 0; r < rows; ++r)
      count += hn::CountTrue(d, hn::Gt(hn::Mul(scale, hn::LoadU(d, weights + r * kLanes + lane)), hn::Set(d, 0.5f)));
  }
  return count;
}

/// Calls take(row, lane, weight) for each of them.
void ListWeights(const float* weights, std::size_t rows, const float* factor, float* left_out,
                 void (*take)(void*, std::size_t, std::size_t, float), void* to) {
  const hn::CappedTag<float, kLanes> d;
  for (std::size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    const auto scale = hn::LoadU(d, factor + lane);
    auto others = hn::Zero(d);
    for (std::size_t r = 0; r < rows; ++r) {
      const auto weight = hn::LoadU(d, weights + r * kLanes + lane);
      const auto kept = hn::Gt(hn::Mul(scale, weight), hn::Set(d, 0.5f));
      others = hn::Add(others, hn::IfThenZeroElse(kept, weight));
      if (hn::AllFalse(d, kept)) continue;
      HWY_ALIGN std::uint8_t bits[8] = {};
      hn::StoreMaskBits(d, kept, bits);
      for (std::size_t l = 0; l < hn::Lanes(d); ++l) {
        if ((bits[l / 8] >> (l % 8) & 1) != 0) take(to, r, lane + l, weights[r * kLanes + lane + l]);
      }
    }
    hn::StoreU(others, d, left_out + lane);
  }
}

/// A stretch of columns stays in registers while the rows go by.
template <std::size_t kVectors>
HWY_INLINE void add_stretch(const std::uint8_t* rows, std::size_t stride, const std::uint32_t* which, const double* weights, std::size_t count,
                            double* sums) {
  const hn::CappedTag<double, 8> d;
  const hn::Rebind<std::uint8_t, decltype(d)> bytes;
  const hn::Rebind<std::int32_t, decltype(d)> ints;
  hn::Vec<decltype(d)> total[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) total[v] = hn::LoadU(d, sums + v * hn::Lanes(d));
  for (std::size_t j = 0; j < count; ++j) {
    const std::uint8_t* row = rows + which[j] * stride;
    const auto weight = hn::Set(d, weights[j]);
    for (std::size_t v = 0; v < kVectors; ++v)
      total[v] = hn::MulAdd(weight, hn::PromoteTo(d, hn::PromoteTo(ints, hn::LoadU(bytes, row + v * hn::Lanes(d)))), total[v]);
  }
  for (std::size_t v = 0; v < kVectors; ++v) hn::StoreU(total[v], d, sums + v * hn::Lanes(d));
}

void AddRows(const std::uint8_t* rows, std::size_t stride, const std::uint32_t* which, const double* weights, std::size_t count,
             std::size_t columns, double* sums) {
  const hn::CappedTag<double, 8> d;
  constexpr std::size_t kVectors = 8;
  const std::size_t stretch = kVectors * hn::Lanes(d);
  std::size_t k = 0;
  for (; k + stretch <= columns; k += stretch) add_stretch<kVectors>(rows + k, stride, which, weights, count, sums + k);
  for (; k < columns; k += hn::Lanes(d)) add_stretch<1>(rows + k, stride, which, weights, count, sums + k);
}

}  // namespace HWY_NAMESPACE
}  // namespace fslens::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fslens::kernels {

HWY_EXPORT(CountWeights);
HWY_EXPORT(ListWeights);
HWY_EXPORT(AddRows);

bool SparseWeights::list(const float* weights, std::size_t rows, const float* factor, std::size_t most) {
  if (HWY_DYNAMIC_DISPATCH(CountWeights)(weights, rows, factor) > most) return false;
  for (std::size_t lane = 0; lane < kLanes; ++lane) rows_[lane].clear(), weights_[lane].clear();
  const auto take = [](void* to, std::size_t row, std::size_t lane, float weight) {
    auto& self = *static_cast<SparseWeights*>(to);
    self.rows_[lane].push_back(static_cast<std::uint32_t>(row));
    self.weights_[lane].push_back(static_cast<double>(weight));
  };
  HWY_DYNAMIC_DISPATCH(ListWeights)(weights, rows, factor, left_out_, take, this);
  return true;
}

void add_rows(const std::uint8_t* rows, std::size_t stride, std::span<const std::uint32_t> which, std::span<const double> weights,
              std::size_t columns, double* sums) {
  HWY_DYNAMIC_DISPATCH(AddRows)(rows, stride, which.data(), weights.data(), which.size(), columns, sums);
}

}  // namespace fslens::kernels
#endif
