// Vectors of a lane group's particles, as all lane kernels see them. Included once an instruction set, after Highway.
#if defined(FSLENS_LANE_VECTORS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef FSLENS_LANE_VECTORS_INL
#undef FSLENS_LANE_VECTORS_INL
#else
#define FSLENS_LANE_VECTORS_INL
#endif

#include "integer_product.hpp"

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

/// The nearest whole number, which int32 must hold: Highway's own takes five more operations for those that it does not.
HWY_INLINE hn::Vec<Ints> nearest_int(hn::Vec<Floats> v) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  return hn::Vec<Ints>{_mm512_cvtps_epi32(v.raw)};
#else
  return hn::NearestInt(v);
#endif
}

/// sums[0 …] += the lanes of two halves.
HWY_INLINE void add_halves(double* sums, hn::Vec<Doubles> first, hn::Vec<Doubles> second) {
  const Doubles d;
  hn::StoreU(hn::Add(hn::LoadU(d, sums), first), d, sums);
  if constexpr (kTwoHalves) hn::StoreU(hn::Add(hn::LoadU(d, sums + hn::Lanes(d)), second), d, sums + hn::Lanes(d));
}

}  // namespace HWY_NAMESPACE
}  // namespace fslens::kernels
HWY_AFTER_NAMESPACE();

#endif  // FSLENS_LANE_VECTORS_INL
