#include "tile_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tile_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace fslens::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 floats or 8 doubles a vector, so that kPanel is a whole number of vectors on every target.
template <class T>
using Tag = hn::CappedTag<T, kPanel * 2 / sizeof(T)>;

template <class T>
HWY_INLINE void dots_of(const T* HWY_RESTRICT panels, std::size_t tile, std::size_t dim,
                        const T* HWY_RESTRICT queries, T scale, T* HWY_RESTRICT out) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto factor = hn::Set(d, scale);
  for (std::size_t p = 0; p < tile; p += kPanel) {
    const T* panel = panels + p * dim;
    for (std::size_t j = 0; j < kPanel; j += 2 * lanes) {
      auto s00 = hn::Zero(d), s01 = hn::Zero(d), s10 = hn::Zero(d), s11 = hn::Zero(d);
      auto s20 = hn::Zero(d), s21 = hn::Zero(d), s30 = hn::Zero(d), s31 = hn::Zero(d);
      auto s40 = hn::Zero(d), s41 = hn::Zero(d), s50 = hn::Zero(d), s51 = hn::Zero(d);
      for (std::size_t k = 0; k < dim; ++k) {
        const auto c0 = hn::LoadU(d, panel + k * kPanel + j);
        const auto c1 = hn::LoadU(d, panel + k * kPanel + j + lanes);
        const T* q = queries + k * kGroup;
        const auto q0 = hn::Set(d, q[0]), q1 = hn::Set(d, q[1]), q2 = hn::Set(d, q[2]);
        s00 = hn::MulAdd(q0, c0, s00), s01 = hn::MulAdd(q0, c1, s01);
        s10 = hn::MulAdd(q1, c0, s10), s11 = hn::MulAdd(q1, c1, s11);
        s20 = hn::MulAdd(q2, c0, s20), s21 = hn::MulAdd(q2, c1, s21);
        const auto q3 = hn::Set(d, q[3]), q4 = hn::Set(d, q[4]), q5 = hn::Set(d, q[5]);
        s30 = hn::MulAdd(q3, c0, s30), s31 = hn::MulAdd(q3, c1, s31);
        s40 = hn::MulAdd(q4, c0, s40), s41 = hn::MulAdd(q4, c1, s41);
        s50 = hn::MulAdd(q5, c0, s50), s51 = hn::MulAdd(q5, c1, s51);
      }
      T* to = out + p + j;
      hn::StoreU(hn::Mul(s00, factor), d, to), hn::StoreU(hn::Mul(s01, factor), d, to + lanes);
      hn::StoreU(hn::Mul(s10, factor), d, to + tile), hn::StoreU(hn::Mul(s11, factor), d, to + tile + lanes);
      hn::StoreU(hn::Mul(s20, factor), d, to + 2 * tile), hn::StoreU(hn::Mul(s21, factor), d, to + 2 * tile + lanes);
      hn::StoreU(hn::Mul(s30, factor), d, to + 3 * tile), hn::StoreU(hn::Mul(s31, factor), d, to + 3 * tile + lanes);
      hn::StoreU(hn::Mul(s40, factor), d, to + 4 * tile), hn::StoreU(hn::Mul(s41, factor), d, to + 4 * tile + lanes);
      hn::StoreU(hn::Mul(s50, factor), d, to + 5 * tile), hn::StoreU(hn::Mul(s51, factor), d, to + 5 * tile + lanes);
    }
  }
}

template <class T>
HWY_INLINE T max_logit_of(const T* HWY_RESTRICT dots, const T* HWY_RESTRICT offset, std::size_t tile) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  auto best = hn::Add(hn::LoadU(d, dots), hn::LoadU(d, offset));
  for (std::size_t i = lanes; i < tile; i += lanes)
    best = hn::Max(best, hn::Add(hn::LoadU(d, dots + i), hn::LoadU(d, offset + i)));
  return hn::GetLane(hn::MaxOfLanes(d, best));
}

template <class T>
HWY_INLINE T exp_weights_of(const T* HWY_RESTRICT dots, const T* HWY_RESTRICT offset, std::size_t tile, T max, T cut,
                            T* HWY_RESTRICT weights) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto top = hn::Set(d, max);
  const auto lowest = hn::Set(d, -cut);
  auto sum = hn::Zero(d);
  for (std::size_t i = 0; i < tile; i += lanes) {
    const auto logit = hn::Sub(hn::Add(hn::LoadU(d, dots + i), hn::LoadU(d, offset + i)), top);
    const auto kept = hn::Ge(logit, lowest);
    // Most vectors hold no atom that counts at small t: one test spares the exponential.
    const auto w = hn::AllFalse(d, kept) ? hn::Zero(d) : hn::IfThenElseZero(kept, hn::Exp(d, hn::Max(logit, lowest)));
    hn::StoreU(w, d, weights + i);
    sum = hn::Add(sum, w);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

template <class T>
HWY_INLINE std::size_t live_atoms_of(const T* HWY_RESTRICT weights, std::size_t tile, std::uint32_t* HWY_RESTRICT live) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t count = 0;
  for (std::size_t i = 0; i < tile; i += lanes) {
    auto any = hn::LoadU(d, weights + i);
    for (std::size_t r = 1; r < kGroup; ++r) any = hn::Max(any, hn::LoadU(d, weights + r * tile + i));
    const auto positive = hn::Gt(any, hn::Zero(d));
    if (hn::AllFalse(d, positive)) continue;
    HWY_ALIGN T lane[kPanel];
    hn::StoreU(any, d, lane);
    for (std::size_t j = 0; j < lanes; ++j) {
      live[count] = static_cast<std::uint32_t>(i + j);
      count += lane[j] > T{0} ? 1 : 0;
    }
  }
  return count;
}

template <class T>
HWY_INLINE T multiply_by_difference_of(const T* HWY_RESTRICT along, T offset, std::size_t tile, T* HWY_RESTRICT weights) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto shift = hn::Set(d, offset);
  auto sum = hn::Zero(d);
  for (std::size_t i = 0; i < tile; i += lanes) {
    const auto product = hn::Mul(hn::LoadU(d, weights + i), hn::Sub(hn::LoadU(d, along + i), shift));
    hn::StoreU(product, d, weights + i);
    sum = hn::Add(sum, product);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

template <class T>
HWY_INLINE void accumulate_of(const T* HWY_RESTRICT weights, std::size_t tile, const std::uint32_t* HWY_RESTRICT live,
                              std::size_t num_live, const T* HWY_RESTRICT rows, std::size_t row_stride,
                              std::size_t cols, T* HWY_RESTRICT sums, std::size_t stride) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t k = 0;
  for (; k + 2 * lanes <= cols; k += 2 * lanes) {
    T* s = sums + k;
    auto s00 = hn::LoadU(d, s), s01 = hn::LoadU(d, s + lanes);
    auto s10 = hn::LoadU(d, s + stride), s11 = hn::LoadU(d, s + stride + lanes);
    auto s20 = hn::LoadU(d, s + 2 * stride), s21 = hn::LoadU(d, s + 2 * stride + lanes);
    auto s30 = hn::LoadU(d, s + 3 * stride), s31 = hn::LoadU(d, s + 3 * stride + lanes);
    auto s40 = hn::LoadU(d, s + 4 * stride), s41 = hn::LoadU(d, s + 4 * stride + lanes);
    auto s50 = hn::LoadU(d, s + 5 * stride), s51 = hn::LoadU(d, s + 5 * stride + lanes);
    for (std::size_t j = 0; j < num_live; ++j) {
      const T* row = rows + live[j] * row_stride + k;
      const auto c0 = hn::LoadU(d, row), c1 = hn::LoadU(d, row + lanes);
      const T* w = weights + live[j];
      const auto w0 = hn::Set(d, w[0]), w1 = hn::Set(d, w[tile]), w2 = hn::Set(d, w[2 * tile]);
      s00 = hn::MulAdd(w0, c0, s00), s01 = hn::MulAdd(w0, c1, s01);
      s10 = hn::MulAdd(w1, c0, s10), s11 = hn::MulAdd(w1, c1, s11);
      s20 = hn::MulAdd(w2, c0, s20), s21 = hn::MulAdd(w2, c1, s21);
      const auto w3 = hn::Set(d, w[3 * tile]), w4 = hn::Set(d, w[4 * tile]), w5 = hn::Set(d, w[5 * tile]);
      s30 = hn::MulAdd(w3, c0, s30), s31 = hn::MulAdd(w3, c1, s31);
      s40 = hn::MulAdd(w4, c0, s40), s41 = hn::MulAdd(w4, c1, s41);
      s50 = hn::MulAdd(w5, c0, s50), s51 = hn::MulAdd(w5, c1, s51);
    }
    hn::StoreU(s00, d, s), hn::StoreU(s01, d, s + lanes);
    hn::StoreU(s10, d, s + stride), hn::StoreU(s11, d, s + stride + lanes);
    hn::StoreU(s20, d, s + 2 * stride), hn::StoreU(s21, d, s + 2 * stride + lanes);
    hn::StoreU(s30, d, s + 3 * stride), hn::StoreU(s31, d, s + 3 * stride + lanes);
    hn::StoreU(s40, d, s + 4 * stride), hn::StoreU(s41, d, s + 4 * stride + lanes);
    hn::StoreU(s50, d, s + 5 * stride), hn::StoreU(s51, d, s + 5 * stride + lanes);
  }
  for (; k < cols; k += lanes)
    for (std::size_t r = 0; r < kGroup; ++r) {
      auto sum = hn::LoadU(d, sums + r * stride + k);
      for (std::size_t j = 0; j < num_live; ++j)
        sum = hn::MulAdd(hn::Set(d, weights[r * tile + live[j]]), hn::LoadU(d, rows + live[j] * row_stride + k), sum);
      hn::StoreU(sum, d, sums + r * stride + k);
    }
}

// HWY_EXPORT takes plain functions, not templates.
#define FSLENS_INSTANTIATE(T, suffix)                                                                               \
  void Dots_##suffix(const T* panels, std::size_t tile, std::size_t dim, const T* queries, T scale, T* out) {       \
    dots_of<T>(panels, tile, dim, queries, scale, out);                                                             \
  }                                                                                                                 \
  T MaxLogit_##suffix(const T* dots, const T* offset, std::size_t tile) { return max_logit_of<T>(dots, offset, tile); } \
  T ExpWeights_##suffix(const T* dots, const T* offset, std::size_t tile, T max, T cut, T* weights) {               \
    return exp_weights_of<T>(dots, offset, tile, max, cut, weights);                                                \
  }                                                                                                                 \
  std::size_t LiveAtoms_##suffix(const T* weights, std::size_t tile, std::uint32_t* live) {                         \
    return live_atoms_of<T>(weights, tile, live);                                                                   \
  }                                                                                                                 \
  T MultiplyByDifference_##suffix(const T* along, T offset, std::size_t tile, T* weights) {                         \
    return multiply_by_difference_of<T>(along, offset, tile, weights);                                              \
  }                                                                                                                 \
  void Accumulate_##suffix(const T* weights, std::size_t tile, const std::uint32_t* live, std::size_t num_live,     \
                           const T* rows, std::size_t row_stride, std::size_t cols, T* sums, std::size_t stride) {  \
    accumulate_of<T>(weights, tile, live, num_live, rows, row_stride, cols, sums, stride);                          \
  }
FSLENS_INSTANTIATE(float, f32)
FSLENS_INSTANTIATE(double, f64)
#undef FSLENS_INSTANTIATE

const char* TargetName() { return hwy::TargetName(HWY_TARGET); }

}  // namespace HWY_NAMESPACE
}  // namespace fslens::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fslens::kernels {

#define FSLENS_EXPORT(T, suffix)                                                                                    \
  HWY_EXPORT(Dots_##suffix);                                                                                        \
  HWY_EXPORT(MaxLogit_##suffix);                                                                                    \
  HWY_EXPORT(ExpWeights_##suffix);                                                                                  \
  HWY_EXPORT(LiveAtoms_##suffix);                                                                                   \
  HWY_EXPORT(MultiplyByDifference_##suffix);                                                                        \
  HWY_EXPORT(Accumulate_##suffix);                                                                                  \
  template <>                                                                                                       \
  void TileKernels<T>::dots(const T* panels, std::size_t tile, std::size_t dim, const T* queries, T scale, T* out) { \
    HWY_DYNAMIC_DISPATCH(Dots_##suffix)(panels, tile, dim, queries, scale, out);                                    \
  }                                                                                                                 \
  template <>                                                                                                       \
  T TileKernels<T>::max_logit(const T* dots, const T* offset, std::size_t tile) {                                   \
    return HWY_DYNAMIC_DISPATCH(MaxLogit_##suffix)(dots, offset, tile);                                             \
  }                                                                                                                 \
  template <>                                                                                                       \
  T TileKernels<T>::exp_weights(const T* dots, const T* offset, std::size_t tile, T max, T cut, T* weights) {       \
    return HWY_DYNAMIC_DISPATCH(ExpWeights_##suffix)(dots, offset, tile, max, cut, weights);                        \
  }                                                                                                                 \
  template <>                                                                                                       \
  std::size_t TileKernels<T>::live_atoms(const T* weights, std::size_t tile, std::uint32_t* live) {                 \
    return HWY_DYNAMIC_DISPATCH(LiveAtoms_##suffix)(weights, tile, live);                                           \
  }                                                                                                                 \
  template <>                                                                                                       \
  T TileKernels<T>::multiply_by_difference(const T* along, T offset, std::size_t tile, T* weights) {                \
    return HWY_DYNAMIC_DISPATCH(MultiplyByDifference_##suffix)(along, offset, tile, weights);                       \
  }                                                                                                                 \
  template <>                                                                                                       \
  void TileKernels<T>::accumulate(const T* weights, std::size_t tile, const std::uint32_t* live,                    \
                                  std::size_t num_live, const T* rows, std::size_t row_stride, std::size_t cols,    \
                                  T* sums, std::size_t stride) {                                                    \
    HWY_DYNAMIC_DISPATCH(Accumulate_##suffix)(weights, tile, live, num_live, rows, row_stride, cols, sums, stride); \
  }
FSLENS_EXPORT(float, f32)
FSLENS_EXPORT(double, f64)
#undef FSLENS_EXPORT

HWY_EXPORT(TargetName);
const char* target_name() { return HWY_DYNAMIC_DISPATCH(TargetName)(); }

}  // namespace fslens::kernels
#endif  // HWY_ONCE
