#include "row_product.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "row_product.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fslens::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

std::int32_t RowProduct(const std::int16_t* q, const std::uint8_t* row, std::size_t size) {
  std::size_t k = 0;
  std::int32_t total = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::ScalableTag<std::int16_t> d;
  const hn::RepartitionToWide<decltype(d)> wide;
  const hn::Rebind<std::uint8_t, decltype(d)> bytes;
  auto sum0 = hn::Zero(wide), sum1 = hn::Zero(wide);
  for (; k + hn::Lanes(d) <= size; k += hn::Lanes(d))
    sum0 = hn::ReorderWidenMulAccumulate(wide, hn::LoadU(d, q + k), hn::PromoteTo(d, hn::LoadU(bytes, row + k)), sum0, sum1);
  total = hn::GetLane(hn::SumOfLanes(wide, hn::Add(sum0, sum1)));
#endif
  for (; k < size; ++k) total += static_cast<std::int32_t>(q[k]) * row[k];
  return total;
}

void WidenBytes(const std::uint8_t* row, std::size_t size, double low, double step, double* out) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<std::int32_t, decltype(d)> ints;
  const hn::Rebind<std::uint8_t, decltype(d)> bytes;
  const auto first = hn::Set(d, low), factor = hn::Set(d, step);
  std::size_t k = 0;
  for (; k + hn::Lanes(d) <= size; k += hn::Lanes(d)) {
    const auto value = hn::PromoteTo(d, hn::PromoteTo(ints, hn::LoadU(bytes, row + k)));
    hn::StoreU(hn::Add(first, hn::Mul(factor, value)), d, out + k);
  }
  for (; k < size; ++k) out[k] = low + step * static_cast<double>(row[k]);
}

}  // namespace HWY_NAMESPACE
}  // namespace fslens::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fslens::kernels {

HWY_EXPORT(RowProduct);
HWY_EXPORT(WidenBytes);

std::int32_t row_product(const std::int16_t* q, const std::uint8_t* row, std::size_t size) {
  return HWY_DYNAMIC_DISPATCH(RowProduct)(q, row, size);
}

void widen_bytes(const std::uint8_t* row, std::size_t size, double low, double step, double* out) {
  HWY_DYNAMIC_DISPATCH(WidenBytes)(row, size, low, step, out);
}

}  // namespace fslens::kernels
#endif
