// Exact products of bytes: the inner loop of the fixed-point pass, one compiled copy an instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fslens::kernels {

inline constexpr std::size_t kLanes = 16;       ///< particles of a lane group: one 512-bit vector of int32 or float32
inline constexpr std::size_t kStripRows = 32;   ///< rows of a strip: two AMX tiles
inline constexpr std::size_t kStepBytes = 64;   ///< depth of one step: the bytes of an AMX tile's row
/// |digit| ≤ 128, byte ≤ 255: sums of this many products fit int32.
inline constexpr std::size_t kMaxTerms = 65'000;

/// Sums of products of unsigned bytes (rows) with signed digits (two lane groups), sorted by their order of magnitude:
///
///   out[strip][o][g][r][lane] = Σ_{l + m = o} Σ_k planes[m][strip · 32 + r][k] · digits[g][l][k][lane]
///
/// for o < orders, l < num_digits, m < num_planes: digit l weighs 256^{−l}, plane m 256^{−m}. All of it is exact.
struct IntegerProduct {
  const std::uint8_t* planes[4] = {};  ///< [rows][row_stride], 64-byte aligned; bytes past the depth are 0
  std::size_t num_planes = 1;
  std::size_t row_stride = 0;          ///< a multiple of kStepBytes
  std::size_t strips = 1;
  const std::int8_t* digits[2] = {};   ///< a group: [num_digits][depth / 4][kLanes][4], digits `digit_stride` bytes apart
  std::size_t num_digits = 1;
  std::size_t digit_stride = 0;
  std::size_t orders = 1;
  std::size_t steps = 1;               ///< depth / kStepBytes
  std::int32_t* out = nullptr;         ///< [strips][orders][2][kStripRows][kLanes], 64-byte aligned
  const double* sums[2] = {};          ///< what the caller adds to next, a group: [strips][kStripRows][kLanes], fetched meanwhile; or nullptr
};

using IntegerKernel = void (*)(const IntegerProduct&);

/// While it lives, products of its thread need not prepare the processor's tiles each time, which costs as much as a small product. Within
/// it the thread runs our own code only: a callback may use the tiles in its own way.
class ProductScope {
 public:
  explicit ProductScope(IntegerKernel kernel);
  ~ProductScope();
  ProductScope(const ProductScope&) = delete;
  ProductScope& operator=(const ProductScope&) = delete;

 private:
  bool holds_ = false;
};

/// The fastest kernel of this processor, or nullptr where float64 multiplication is as fast. "AMX" or "VNNI".
struct IntegerTarget {
  IntegerKernel kernel = nullptr;
  const char* name = "none";
};
IntegerTarget integer_target();

/// Plain loops: what the others are compared with.
void integer_product_plain(const IntegerProduct& product);

/// The kernels of integer_product_x86.cpp; nullptr where the processor or the system does not offer them.
IntegerKernel amx_kernel();
IntegerKernel vnni_kernel();

/// "AMX", "VNNI", "plain" or "none" instead of the fastest; nullptr: the fastest again. False if it is not to be had here.
bool force_integer_target(const char* name);

}  // namespace fslens::kernels
