#include "fslens/kernels/atom_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

constexpr std::size_t kAtomsPerTask = 1024;

}  // namespace

AtomTable::AtomTable(Values values, std::size_t count, std::size_t dim)
    : values_(std::move(values)), count_(count), dim_(dim), center_(dim, 0.0), squared_norms_(count, 0.0) {
  require(count > 0, "atoms", "0 rows", "must have at least one atom");
  require(dim > 0, "atoms", "0 columns", "must have at least one dimension");
  const std::size_t size = std::visit([](const auto& v) { return v.size(); }, values_);
  require_size("atoms", size, count * dim, "rows times columns");

  visit([&](const auto* x) {
    for (std::size_t i = 0; i < count_; ++i)
      for (std::size_t k = 0; k < dim_; ++k) {
        const double value = static_cast<double>(x[i * dim_ + k]);
        require(std::isfinite(value), fmt::format("atoms[{}][{}]", i, k), fmt::format("{}", value), "must be finite");
        center_[k] += value;
      }
    for (double& c : center_) c /= static_cast<double>(count_);
    parallel_for_ranges(count_, kAtomsPerTask, [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) {
        double sum = 0.0;
        for (std::size_t k = 0; k < dim_; ++k) {
          const double c = static_cast<double>(x[i * dim_ + k]) - center_[k];
          sum += c * c;
        }
        squared_norms_[i] = sum;
      }
    });
  });
  radius_ = std::sqrt(*std::max_element(squared_norms_.begin(), squared_norms_.end()));
}

std::size_t AtomTable::bytes() const {
  return std::visit([](const auto& v) { return v.size() * sizeof(v[0]); }, values_);
}

void AtomTable::copy_atom(std::size_t i, std::span<double> out) const {
  visit([&](const auto* x) {
    for (std::size_t k = 0; k < dim_; ++k) out[k] = static_cast<double>(x[i * dim_ + k]);
  });
}

}  // namespace fslens
