#include "fslens/core/sort.hpp"

#include <hwy/contrib/sort/vqsort.h>

namespace fslens {

void sort_ascending(std::span<double> values) {
  static thread_local hwy::Sorter sorter;  // its buffer is worth keeping
  sorter(values.data(), values.size(), hwy::SortAscending());
}

}  // namespace fslens
