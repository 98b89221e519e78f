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

void BoxMuller(const double* u, const double* v, std::size_t count, double* out) {
  const hn::CappedTag<double, 8> d;
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
    const auto radius = hn::Sqrt(hn::Mul(hn::Set(d, -2.0), hn::Log(d, hn::Load(d, padded_u))));
    const auto angle = hn::Mul(hn::Set(d, 2.0 * std::numbers::pi), hn::Load(d, padded_v));
    hn::StoreInterleaved2(hn::Mul(radius, hn::Cos(d, angle)), hn::Mul(radius, hn::Sin(d, angle)), d, pairs);
    std::copy_n(pairs, 2 * valid, out + 2 * i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace fslens
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fslens {

HWY_EXPORT(BoxMuller);

void box_muller(const double* u, const double* v, std::size_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(BoxMuller)(u, v, count, out);
}

}  // namespace fslens
#endif  // HWY_ONCE
