#include "integer_product.hpp"

#include <atomic>
#include <cstring>
#include <string_view>

namespace fslens::kernels {
namespace {

IntegerTarget fastest() {
  if (const IntegerKernel kernel = amx_kernel()) return {kernel, "AMX"};
  if (const IntegerKernel kernel = vnni_kernel()) return {kernel, "VNNI"};
  return {};
}

std::atomic<const IntegerTarget*>& forced() {
  static std::atomic<const IntegerTarget*> target{nullptr};
  return target;
}

}  // namespace

void integer_product_plain(const IntegerProduct& p) {
  std::int32_t* out = p.out;
  for (std::size_t strip = 0; strip < p.strips; ++strip)
    for (std::size_t order = 0; order < p.orders; ++order)
      for (std::size_t g = 0; g < 2; ++g)
        for (std::size_t r = 0; r < kStripRows; ++r, out += kLanes) {
          std::memset(out, 0, kLanes * sizeof(std::int32_t));
          for (std::size_t m = 0; m < p.num_planes && m <= order; ++m) {
            if (order - m >= p.num_digits) continue;
            const std::uint8_t* row = p.planes[m] + (strip * kStripRows + r) * p.row_stride;
            const std::int8_t* digits = p.digits[g] + (order - m) * p.digit_stride;
            for (std::size_t k = 0; k < p.steps * kStepBytes; ++k)
              for (std::size_t lane = 0; lane < kLanes; ++lane)
                out[lane] += static_cast<std::int32_t>(row[k]) * digits[(k / 4) * kStepBytes + lane * 4 + k % 4];
          }
        }
}

IntegerTarget integer_target() {
  static const IntegerTarget best = fastest();
  const IntegerTarget* chosen = forced().load();
  return chosen != nullptr ? *chosen : best;
}

bool force_integer_target(const char* name) {
  static const IntegerTarget none{}, plain{integer_product_plain, "plain"};
  static const IntegerTarget amx{amx_kernel(), "AMX"}, vnni{vnni_kernel(), "VNNI"};
  const std::string_view wanted = name != nullptr ? name : "";
  if (wanted.empty()) return forced() = nullptr, true;
  for (const IntegerTarget* target : {&none, &plain, &amx, &vnni})
    if (wanted == target->name && (target == &none || target->kernel != nullptr)) return forced() = target, true;
  return false;
}

}  // namespace fslens::kernels
