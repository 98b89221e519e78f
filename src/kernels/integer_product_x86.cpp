// AMX and AVX-512 VNNI: bytes multiplied and summed exactly, 8192 (or 64) products an instruction.
#include "integer_product.hpp"

#if defined(__x86_64__) && defined(__linux__)

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

namespace fslens::kernels {
namespace {

constexpr std::size_t kTileInts = 16 * kLanes;

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t column_bytes[16] = {};
  std::uint8_t rows[16] = {};

  TileConfig() {
    for (int i = 0; i < 8; ++i) column_bytes[i] = 64, rows[i] = 16;
  }
};

#define FSLENS_AMX __attribute__((target("amx-tile,amx-int8")))
#define FSLENS_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

/// The lines of memory of one strip's sums that each step asks for: all at once they would fill the queue of misses.
struct Ahead {
  const double* sums[2];
  std::size_t lines = 0;  // a step

  Ahead(const IntegerProduct& p, std::size_t strip) : sums{p.sums[0], p.sums[1]} {
    if (sums[0] == nullptr && sums[1] == nullptr) return;
    for (std::size_t g = 0; g < 2; ++g) sums[g] = (sums[g] != nullptr ? p.sums[g] : p.sums[1 - g]) + strip * kStripRows * kLanes;
    const std::size_t steps = p.steps * p.orders;
    lines = (kStripRows * kLanes / 8 + steps - 1) / steps;
  }
  void fetch() {
    for (std::size_t i = 0; i < lines; ++i)
      for (const double*& at : sums) __builtin_prefetch(at, 1), at += 8;
  }
};

/// Adds the products of 32 rows with two groups of 16 lanes to tiles 0 … 3. Loads alternate with products: a load feeds two.
FSLENS_AMX void add_products(const std::uint8_t* rows, std::size_t stride, const std::int8_t* first, const std::int8_t* second,
                             std::size_t steps, Ahead& ahead) {
  const std::uint8_t* lower = rows + 16 * stride;
  for (std::size_t step = 0; step < steps; ++step) {
    _tile_loadd(4, rows, stride);
    _tile_loadd(5, lower, stride);
    _tile_loadd(6, first, 64);
    _tile_loadd(7, second, 64);
    ahead.fetch();
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
    rows += kStepBytes, lower += kStepBytes;
    first += kStepBytes * kLanes, second += kStepBytes * kLanes;
  }
}

/// One step and one plane: the rows' tiles serve every order. The sums of the lower rows are stored while the next products of the upper
/// ones are made, and the other way round: a quarter faster than one after the other.
FSLENS_AMX void shallow_product(const IntegerProduct& p) {
  std::int32_t *out = p.out, *before = nullptr;
  const auto store_lower = [&before]() FSLENS_AMX {
    if (before == nullptr) return;
    _tile_stored(2, before + kTileInts, 64);
    _tile_stored(3, before + 3 * kTileInts, 64);
  };
  for (std::size_t strip = 0; strip < p.strips; ++strip) {
    const std::uint8_t* rows = p.planes[0] + strip * kStripRows * p.row_stride;
    _tile_loadd(4, rows, p.row_stride);
    _tile_loadd(5, rows + 16 * p.row_stride, p.row_stride);
    for (std::size_t order = 0; order < p.orders; ++order, out += 4 * kTileInts) {
      _tile_loadd(6, p.digits[0] + order * p.digit_stride, 64);
      _tile_loadd(7, p.digits[1] + order * p.digit_stride, 64);
      _tile_zero(0);
      _tile_zero(1);
      _tile_dpbusd(0, 4, 6);
      _tile_dpbusd(1, 4, 7);
      store_lower();
      _tile_zero(2);
      _tile_zero(3);
      _tile_dpbusd(2, 5, 6);
      _tile_dpbusd(3, 5, 7);
      _tile_stored(0, out, 64);
      _tile_stored(1, out + 2 * kTileInts, 64);
      before = out;
    }
  }
  store_lower();
}

/// Does this thread hold configured tiles, for a ProductScope?
thread_local bool tiles_held = false;

FSLENS_AMX void load_tiles() {
  static const TileConfig config;
  _tile_loadconfig(&config);
}
FSLENS_AMX void release_tiles() { _tile_release(); }

FSLENS_AMX void integer_product_tiles(const IntegerProduct& p) {
  if (p.steps == 1 && p.num_planes == 1 && p.orders <= p.num_digits) {
    shallow_product(p);
    return;
  }
  std::int32_t* out = p.out;
  for (std::size_t strip = 0; strip < p.strips; ++strip) {
    Ahead ahead(p, strip);
    for (std::size_t order = 0; order < p.orders; ++order, out += 4 * kTileInts) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      for (std::size_t m = 0; m < p.num_planes && m <= order; ++m) {
        const std::size_t l = order - m;
        if (l >= p.num_digits) continue;
        add_products(p.planes[m] + strip * kStripRows * p.row_stride, p.row_stride, p.digits[0] + l * p.digit_stride,
                     p.digits[1] + l * p.digit_stride, p.steps, ahead);
      }
      _tile_stored(0, out, 64);
      _tile_stored(2, out + kTileInts, 64);
      _tile_stored(1, out + 2 * kTileInts, 64);
      _tile_stored(3, out + 3 * kTileInts, 64);
    }
  }
}

/// Outside of a scope the configuration is loaded and released in each call: other libraries of the process use the tiles too.
FSLENS_AMX void integer_product_amx(const IntegerProduct& p) {
  if (tiles_held) return integer_product_tiles(p);
  load_tiles();
  integer_product_tiles(p);
  release_tiles();
}

/// Eight rows and two groups: sixteen accumulators hide the latency of the product, and each load of digits serves eight rows.
FSLENS_VNNI void add_eight_rows(const std::uint8_t* rows, std::size_t stride, const std::int8_t* first, const std::int8_t* second,
                                std::size_t quads, __m512i* sums) {
  __m512i local[16];
  for (int j = 0; j < 16; ++j) local[j] = sums[j];
  for (std::size_t quad = 0; quad < quads; ++quad) {
    const __m512i a = _mm512_loadu_si512(first + quad * kStepBytes), b = _mm512_loadu_si512(second + quad * kStepBytes);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      std::int32_t four;
      std::memcpy(&four, rows + static_cast<std::size_t>(j) * stride + quad * 4, 4);
      const __m512i bytes = _mm512_set1_epi32(four);
      local[2 * j] = _mm512_dpbusd_epi32(local[2 * j], bytes, a);
      local[2 * j + 1] = _mm512_dpbusd_epi32(local[2 * j + 1], bytes, b);
    }
  }
  for (int j = 0; j < 16; ++j) sums[j] = local[j];
}

FSLENS_VNNI void integer_product_vnni(const IntegerProduct& p) {
  std::int32_t* out = p.out;
  for (std::size_t strip = 0; strip < p.strips; ++strip)
    for (std::size_t order = 0; order < p.orders; ++order, out += 4 * kTileInts)
      for (std::size_t r = 0; r < kStripRows; r += 8) {
        __m512i sums[16];
        for (__m512i& sum : sums) sum = _mm512_setzero_si512();
        for (std::size_t m = 0; m < p.num_planes && m <= order; ++m) {
          const std::size_t l = order - m;
          if (l >= p.num_digits) continue;
          add_eight_rows(p.planes[m] + (strip * kStripRows + r) * p.row_stride, p.row_stride, p.digits[0] + l * p.digit_stride,
                         p.digits[1] + l * p.digit_stride, p.steps * kStepBytes / 4, sums);
        }
        for (std::size_t j = 0; j < 8; ++j) {
          _mm512_storeu_si512(out + (r + j) * kLanes, sums[2 * j]);
          _mm512_storeu_si512(out + 2 * kTileInts + (r + j) * kLanes, sums[2 * j + 1]);
        }
      }
}

/// Linux hands out the tiles' state on request only (since 5.16), once for the process.
bool amx_granted() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

/// CPUID leaf 7: what __builtin_cpu_supports of GCC 12 has no names for.
bool cpu_has_amx() {
  std::uint32_t a = 7, b = 0, c = 0, d = 0;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  constexpr std::uint32_t kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;
  return (d & kAmxTile) != 0 && (d & kAmxInt8) != 0;
}

}  // namespace

IntegerKernel vnni_kernel() {
  const bool has = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  return has ? integer_product_vnni : nullptr;
}

ProductScope::ProductScope(IntegerKernel kernel) : holds_(kernel == integer_product_amx && !tiles_held) {
  if (!holds_) return;
  load_tiles();
  tiles_held = true;
}
ProductScope::~ProductScope() {
  if (!holds_) return;
  tiles_held = false;
  release_tiles();
}

IntegerKernel amx_kernel() {
  static const bool has = vnni_kernel() != nullptr && cpu_has_amx() && amx_granted();
  return has ? integer_product_amx : nullptr;
}

}  // namespace fslens::kernels

#else

namespace fslens::kernels {
IntegerKernel vnni_kernel() { return nullptr; }
IntegerKernel amx_kernel() { return nullptr; }
ProductScope::ProductScope(IntegerKernel) {}
ProductScope::~ProductScope() = default;
}  // namespace fslens::kernels

#endif
