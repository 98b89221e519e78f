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

// At most 8 doubles a vector, so that kPanel is a whole number of pairs of vectors on every target.
using Tag = hn::CappedTag<double, kPanel / 4>;

/// The dimensions [begin, end) of Dots: chunk by chunk, so that roundings grow with kDotChunk + d/kDotChunk.
HWY_INLINE void dots_of_chunk(const double* HWY_RESTRICT panels, std::size_t tile, std::size_t dim, std::size_t begin,
                              std::size_t end, const double* HWY_RESTRICT queries, double scale, double* HWY_RESTRICT out) {
  const Tag d;
  const std::size_t lanes = hn::Lanes(d);
  const auto factor = hn::Set(d, scale);
  const auto store = [&](hn::Vec<Tag> sum, double* to) HWY_ATTR {
    const auto total = begin == 0 ? sum : hn::Add(hn::LoadU(d, to), sum);
    hn::StoreU(end == dim ? hn::Mul(total, factor) : total, d, to);
  };
  for (std::size_t p = 0; p < tile; p += kPanel) {
    const double* panel = panels + p * dim;
    for (std::size_t j = 0; j < kPanel; j += 2 * lanes) {
      auto s00 = hn::Zero(d), s01 = hn::Zero(d), s10 = hn::Zero(d), s11 = hn::Zero(d);
      auto s20 = hn::Zero(d), s21 = hn::Zero(d), s30 = hn::Zero(d), s31 = hn::Zero(d);
      auto s40 = hn::Zero(d), s41 = hn::Zero(d), s50 = hn::Zero(d), s51 = hn::Zero(d);
      for (std::size_t k = begin; k < end; ++k) {
        const auto c0 = hn::LoadU(d, panel + k * kPanel + j);
        const auto c1 = hn::LoadU(d, panel + k * kPanel + j + lanes);
        const double* q = queries + k * kGroup;
        const auto q0 = hn::Set(d, q[0]), q1 = hn::Set(d, q[1]), q2 = hn::Set(d, q[2]);
        s00 = hn::MulAdd(q0, c0, s00), s01 = hn::MulAdd(q0, c1, s01);
        s10 = hn::MulAdd(q1, c0, s10), s11 = hn::MulAdd(q1, c1, s11);
        s20 = hn::MulAdd(q2, c0, s20), s21 = hn::MulAdd(q2, c1, s21);
        const auto q3 = hn::Set(d, q[3]), q4 = hn::Set(d, q[4]), q5 = hn::Set(d, q[5]);
        s30 = hn::MulAdd(q3, c0, s30), s31 = hn::MulAdd(q3, c1, s31);
        s40 = hn::MulAdd(q4, c0, s40), s41 = hn::MulAdd(q4, c1, s41);
        s50 = hn::MulAdd(q5, c0, s50), s51 = hn::MulAdd(q5, c1, s51);
      }
      double* to = out + p + j;
      store(s00, to), store(s01, to + lanes);
      store(s10, to + tile), store(s11, to + tile + lanes);
      store(s20, to + 2 * tile), store(s21, to + 2 * tile + lanes);
      store(s30, to + 3 * tile), store(s31, to + 3 * tile + lanes);
      store(s40, to + 4 * tile), store(s41, to + 4 * tile + lanes);
      store(s50, to + 5 * tile), store(s51, to + 5 * tile + lanes);
    }
  }
}

void Dots(const double* panels, std::size_t tile, std::size_t dim, const double* queries, double scale, double* out) {
  for (std::size_t k = 0; k < dim; k += kDotChunk)
    dots_of_chunk(panels, tile, dim, k, dim < k + kDotChunk ? dim : k + kDotChunk, queries, scale, out);
}

double MaxLogit(const double* HWY_RESTRICT dots, const double* HWY_RESTRICT offset, std::size_t tile) {
  const Tag d;
  const std::size_t lanes = hn::Lanes(d);
  auto best = hn::Add(hn::LoadU(d, dots), hn::LoadU(d, offset));
  for (std::size_t i = lanes; i < tile; i += lanes)
    best = hn::Max(best, hn::Add(hn::LoadU(d, dots + i), hn::LoadU(d, offset + i)));
  return hn::GetLane(hn::MaxOfLanes(d, best));
}

double ExpWeights(const double* HWY_RESTRICT dots, const double* HWY_RESTRICT offset, std::size_t tile, double max, double cut,
                            double* HWY_RESTRICT weights) {
  const Tag d;
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

std::size_t LiveAtoms(const double* HWY_RESTRICT weights, std::size_t tile, std::uint32_t* HWY_RESTRICT live) {
  const Tag d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t count = 0;
  for (std::size_t i = 0; i < tile; i += lanes) {
    auto any = hn::LoadU(d, weights + i);
    for (std::size_t r = 1; r < kGroup; ++r) any = hn::Max(any, hn::LoadU(d, weights + r * tile + i));
    const auto positive = hn::Gt(any, hn::Zero(d));
    if (hn::AllFalse(d, positive)) continue;
    HWY_ALIGN double lane[kPanel];
    hn::StoreU(any, d, lane);
    for (std::size_t j = 0; j < lanes; ++j) {
      live[count] = static_cast<std::uint32_t>(i + j);
      count += lane[j] > 0.0 ? 1 : 0;
    }
  }
  return count;
}

double MultiplyByDifference(const double* HWY_RESTRICT along, double offset, std::size_t tile, double* HWY_RESTRICT weights) {
  const Tag d;
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

HWY_INLINE void add_to(hn::Vec<Tag> values, double* to) {
  const Tag d;
  hn::StoreU(hn::Add(hn::LoadU(d, to), values), d, to);
}

void Accumulate(const double* HWY_RESTRICT weights, std::size_t tile, const std::uint32_t* HWY_RESTRICT live,
                              std::size_t num_live, const double* HWY_RESTRICT rows, std::size_t row_stride,
                              std::size_t cols, double* HWY_RESTRICT sums, std::size_t stride) {
  const Tag d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t k = 0;
  for (; k + 2 * lanes <= cols; k += 2 * lanes) {
    auto s00 = hn::Zero(d), s01 = hn::Zero(d), s10 = hn::Zero(d), s11 = hn::Zero(d);
    auto s20 = hn::Zero(d), s21 = hn::Zero(d), s30 = hn::Zero(d), s31 = hn::Zero(d);
    auto s40 = hn::Zero(d), s41 = hn::Zero(d), s50 = hn::Zero(d), s51 = hn::Zero(d);
    for (std::size_t j = 0; j < num_live; ++j) {
      const double* row = rows + live[j] * row_stride + k;
      const auto c0 = hn::LoadU(d, row), c1 = hn::LoadU(d, row + lanes);
      const double* w = weights + live[j];
      const auto w0 = hn::Set(d, w[0]), w1 = hn::Set(d, w[tile]), w2 = hn::Set(d, w[2 * tile]);
      s00 = hn::MulAdd(w0, c0, s00), s01 = hn::MulAdd(w0, c1, s01);
      s10 = hn::MulAdd(w1, c0, s10), s11 = hn::MulAdd(w1, c1, s11);
      s20 = hn::MulAdd(w2, c0, s20), s21 = hn::MulAdd(w2, c1, s21);
      const auto w3 = hn::Set(d, w[3 * tile]), w4 = hn::Set(d, w[4 * tile]), w5 = hn::Set(d, w[5 * tile]);
      s30 = hn::MulAdd(w3, c0, s30), s31 = hn::MulAdd(w3, c1, s31);
      s40 = hn::MulAdd(w4, c0, s40), s41 = hn::MulAdd(w4, c1, s41);
      s50 = hn::MulAdd(w5, c0, s50), s51 = hn::MulAdd(w5, c1, s51);
    }
    double* s = sums + k;
    add_to(s00, s), add_to(s01, s + lanes);
    add_to(s10, s + stride), add_to(s11, s + stride + lanes);
    add_to(s20, s + 2 * stride), add_to(s21, s + 2 * stride + lanes);
    add_to(s30, s + 3 * stride), add_to(s31, s + 3 * stride + lanes);
    add_to(s40, s + 4 * stride), add_to(s41, s + 4 * stride + lanes);
    add_to(s50, s + 5 * stride), add_to(s51, s + 5 * stride + lanes);
  }
  for (; k < cols; k += lanes)
    for (std::size_t r = 0; r < kGroup; ++r) {
      auto sum = hn::Zero(d);
      for (std::size_t j = 0; j < num_live; ++j)
        sum = hn::MulAdd(hn::Set(d, weights[r * tile + live[j]]), hn::LoadU(d, rows + live[j] * row_stride + k), sum);
      add_to(sum, sums + r * stride + k);
    }
}

const char* TargetName() { return hwy::TargetName(HWY_TARGET); }

}  // namespace HWY_NAMESPACE
}  // namespace fslens::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fslens::kernels {

HWY_EXPORT(Dots);
HWY_EXPORT(MaxLogit);
HWY_EXPORT(ExpWeights);
HWY_EXPORT(LiveAtoms);
HWY_EXPORT(MultiplyByDifference);
HWY_EXPORT(Accumulate);

void TileKernels::dots(const double* panels, std::size_t tile, std::size_t dim, const double* queries, double scale, double* out) {
  HWY_DYNAMIC_DISPATCH(Dots)(panels, tile, dim, queries, scale, out);
}
double TileKernels::max_logit(const double* dots, const double* offset, std::size_t tile) {
  return HWY_DYNAMIC_DISPATCH(MaxLogit)(dots, offset, tile);
}
double TileKernels::exp_weights(const double* dots, const double* offset, std::size_t tile, double max, double cut, double* weights) {
  return HWY_DYNAMIC_DISPATCH(ExpWeights)(dots, offset, tile, max, cut, weights);
}
std::size_t TileKernels::live_atoms(const double* weights, std::size_t tile, std::uint32_t* live) {
  return HWY_DYNAMIC_DISPATCH(LiveAtoms)(weights, tile, live);
}
double TileKernels::multiply_by_difference(const double* along, double offset, std::size_t tile, double* weights) {
  return HWY_DYNAMIC_DISPATCH(MultiplyByDifference)(along, offset, tile, weights);
}
void TileKernels::accumulate(const double* weights, std::size_t tile, const std::uint32_t* live, std::size_t num_live,
                             const double* rows, std::size_t row_stride, std::size_t cols, double* sums, std::size_t stride) {
  HWY_DYNAMIC_DISPATCH(Accumulate)(weights, tile, live, num_live, rows, row_stride, cols, sums, stride);
}

HWY_EXPORT(TargetName);
const char* target_name() { return HWY_DYNAMIC_DISPATCH(TargetName)(); }

}  // namespace fslens::kernels
#endif  // HWY_ONCE
