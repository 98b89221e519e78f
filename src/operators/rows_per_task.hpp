// How a batched operator cuts its rows into tasks.
#pragma once

#include <algorithm>
#include <cstddef>

namespace fslens {

/// Rows of `width` numbers in one task of about 16 Ki numbers: enough work to pay for scheduling it.
inline std::size_t rows_per_task(std::size_t width) {
  constexpr std::size_t kNumbersPerTask = std::size_t{1} << 14;
  return std::max<std::size_t>(1, kNumbersPerTask / std::max<std::size_t>(1, width));
}

}  // namespace fslens
