#include "fslens/kernels/atom_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cluster_index.hpp"
#include "fixed_point.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "half_precision.hpp"
#include "row_product.hpp"
#include "squared_distance.hpp"

namespace fslens {
namespace {

constexpr std::size_t kAtomsPerTask = 1024;

template <class T>
AtomData own(std::vector<T>&& values, std::size_t rows) {
  const auto owner = std::make_shared<const std::vector<T>>(std::move(values));
  AtomData data;
  data.type = sizeof(T) == 4 ? AtomType::float32 : AtomType::float64;
  data.values = owner->data();
  data.owner = owner;
  data.rows = rows;
  return data;
}

AtomData own_checked(AtomTable::Values&& values, std::size_t count, std::size_t dim) {
  require(count > 0, "atoms", "0 rows", "must have at least one atom");
  require(dim > 0, "atoms", "0 columns", "must have at least one dimension");
  require_size("atoms", std::visit([](const auto& v) { return v.size(); }, values), count * dim, "rows times columns");
  return std::visit([&](auto& v) { return own(std::move(v), count); }, values);
}

/// Sum and range of the atoms [first, last).
struct Partial {
  std::vector<double> sum;
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
};

Partial partial_of(const AtomTable& atoms, std::size_t first, std::size_t last) {
  Partial partial{std::vector<double>(atoms.dim(), 0.0)};
  std::vector<double> atom(atoms.dim());
  for (std::size_t i = first; i < last; ++i) {
    atoms.copy_atom(i, atom);
    for (std::size_t k = 0; k < atom.size(); ++k) {
      if (!std::isfinite(atom[k]))  // asked first: a message for every value would cost a hundred times the pass
        require(false, fmt::format("atoms[{}][{}]", i, k), fmt::format("{}", atom[k]), "must be finite");
      partial.sum[k] += atom[k];
      partial.low = std::min(partial.low, atom[k]);
      partial.high = std::max(partial.high, atom[k]);
    }
  }
  return partial;
}

}  // namespace

std::size_t bytes_of(AtomType type) {
  switch (type) {
    case AtomType::float64: return 8;
    case AtomType::float32: return 4;
    case AtomType::float16:
    case AtomType::bfloat16: return 2;
    case AtomType::uint8: break;
  }
  return 1;
}

std::string_view name_of(AtomType type) {
  switch (type) {
    case AtomType::float64: return "float64";
    case AtomType::float32: return "float32";
    case AtomType::float16: return "float16";
    case AtomType::bfloat16: return "bfloat16";
    case AtomType::uint8: break;
  }
  return "uint8";
}

AtomTable::AtomTable(Values values, std::size_t count, std::size_t dim) : AtomTable(own_checked(std::move(values), count, dim), dim) {}

AtomTable::AtomTable(AtomData data, std::size_t dim)
    : data_(std::move(data)), count_(data_.rows - (data_.excluded < data_.rows ? 1 : 0)), dim_(dim) {
  require(dim_ > 0, "atoms", "0 columns", "must have at least one dimension");
  require(count_ > 0 && data_.rows > 0, "atoms", "0 rows", "must have at least one atom");
  if (data_.type == AtomType::uint8) {
    require(std::isfinite(data_.low), "atoms.low", fmt::format("{}", data_.low), "must be finite");
    require_positive("atoms.step", data_.step);
  }
  measure();
}

void AtomTable::measure() {
  const std::size_t tasks = (count_ + kAtomsPerTask - 1) / kAtomsPerTask;
  std::vector<Partial> partials(tasks);
  parallel_for(tasks, [&](std::size_t task) {
    const std::size_t first = task * kAtomsPerTask;
    partials[task] = partial_of(*this, first, std::min(count_, first + kAtomsPerTask));
  });
  center_.assign(dim_, 0.0);
  low_ = partials[0].low, high_ = partials[0].high;
  for (const Partial& partial : partials) {
    for (std::size_t k = 0; k < dim_; ++k) center_[k] += partial.sum[k];
    low_ = std::min(low_, partial.low), high_ = std::max(high_, partial.high);
  }
  for (double& c : center_) c /= static_cast<double>(count_);
  if (data_.type == AtomType::uint8) low_ = data_.low, high_ = data_.low + 255.0 * data_.step;

  squared_norms_.assign(count_, 0.0);
  parallel_for_ranges(count_, kAtomsPerTask, [&](std::size_t first, std::size_t last) {
    std::vector<double> atom(dim_);
    for (std::size_t i = first; i < last; ++i) {
      copy_atom(i, atom);
      squared_norms_[i] = kernels::squared_distance(atom, 1.0, center_);
    }
  });
  radius_ = std::sqrt(*std::ranges::max_element(squared_norms_)) * (1.0 + 1e-12);
  clusters_ = std::make_shared<kernels::SharedClusterIndex>();
  packed_ = std::make_shared<kernels::SharedPackedAtoms>();
}

const std::byte* AtomTable::stored_atom(std::size_t i) const {
  const std::size_t row = i + (i >= data_.excluded ? 1 : 0);
  return static_cast<const std::byte*>(data_.values) + row * dim_ * bytes_of(data_.type);
}

void AtomTable::copy_atom(std::size_t i, std::span<double> out) const {
  const std::byte* stored = stored_atom(i);
  double* __restrict to = out.data();
  const std::size_t dim = dim_;
  const auto widen = [=]<class T>(const T* values) {
    for (std::size_t k = 0; k < dim; ++k) to[k] = static_cast<double>(values[k]);
  };
  switch (data_.type) {
    case AtomType::float64: widen(reinterpret_cast<const double*>(stored)); break;
    case AtomType::float32: widen(reinterpret_cast<const float*>(stored)); break;
    case AtomType::float16: kernels::widen_float16(reinterpret_cast<const std::uint16_t*>(stored), dim_, out.data()); break;
    case AtomType::bfloat16: kernels::widen_bfloat16(reinterpret_cast<const std::uint16_t*>(stored), dim_, out.data()); break;
    case AtomType::uint8:
      kernels::widen_bytes(reinterpret_cast<const std::uint8_t*>(stored), dim_, data_.low, data_.step, out.data());
      break;
  }
}

}  // namespace fslens
