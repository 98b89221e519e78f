#include "fslens/metrics/repeated_rows.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace fslens {

std::size_t count_repeated_rows(ConstBatchView x) {
  std::vector<std::size_t> order(x.rows());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t i, std::size_t j) { return std::ranges::lexicographical_compare(x.row(i), x.row(j)); });
  const auto same = [&](std::size_t i, std::size_t j) { return std::ranges::equal(x.row(order[i]), x.row(order[j])); };
  std::size_t repeated = 0;
  for (std::size_t i = 0; i < order.size(); ++i)
    repeated += (i > 0 && same(i - 1, i)) || (i + 1 < order.size() && same(i, i + 1)) ? 1 : 0;
  return repeated;
}

}  // namespace fslens
