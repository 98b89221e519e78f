// Samples that are copies of one another.
#pragma once

#include <cstddef>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// How many rows are equal, in every coordinate, to another one. Under a law with a density none are; resampling without fresh noise, a
/// seed that is used twice and states that are kept in few digits make some. @cost O(B d log B)
std::size_t count_repeated_rows(ConstBatchView x);

}  // namespace fslens
