// Sorting numbers, the time of every distance in one dimension.
#pragma once

#include <span>

namespace fslens {

/// Sorts ascending with Highway's vectorised quicksort. `values` must hold no NaN.
void sort_ascending(std::span<double> values);

}  // namespace fslens
