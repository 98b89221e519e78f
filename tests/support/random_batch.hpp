#pragma once

#include <cstdint>

#include "fslens/core/matrix.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens::test {

/// Standard normal entries. @shape [rows, cols]
inline Matrix random_batch(std::size_t rows, std::size_t cols, std::uint64_t seed) {
  Matrix batch(rows, cols);
  RandomStream(seed).fill_normal(0, batch);
  return batch;
}

}  // namespace fslens::test
