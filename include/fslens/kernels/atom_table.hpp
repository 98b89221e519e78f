// The atoms of an empirical prior, as the kernels read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

namespace fslens {

namespace kernels {
class SharedClusterIndex;
class SharedPackedAtoms;
}

/// How an atom's values are stored.
enum class AtomType { float64, float32, float16, bfloat16, uint8 };

std::size_t bytes_of(AtomType type);        ///< 8, 4, 2, 2, 1
std::string_view name_of(AtomType type);    ///< "float64", …

/// Row-major values [rows, dim] that `owner` keeps alive: a vector, or a file mapped into memory.
struct AtomData {
  AtomType type = AtomType::float64;
  const void* values = nullptr;
  std::shared_ptr<const void> owner;
  std::size_t rows = 0;
  double low = 0.0;   ///< uint8 only: x = low + step · u
  double step = 1.0;
  /// A row that is left out (the atom that was measured), without moving the others; none by default.
  std::size_t excluded = std::numeric_limits<std::size_t>::max();
};

/// N atoms x_i ∈ R^d, in the type that they came in. Immutable; cheap to copy (the values are shared).
///
/// Holds what the soft assignment needs beside them: the centre x̄ (plain mean), ‖x_i − x̄‖², the largest of these norms, and
/// the range of the values. Beside the values it takes 8 bytes an atom, and a small table up to 16 MiB for copies that are packed for products.
class AtomTable {
 public:
  using Values = std::variant<std::vector<float>, std::vector<double>>;

  /// @throws InvalidArgument if there is no atom, the size is not N·d, or a value is not finite.
  AtomTable(Values values, std::size_t count, std::size_t dim);
  /// @throws InvalidArgument as above, or if low or step is not finite, or step is not positive.
  AtomTable(AtomData data, std::size_t dim);

  std::size_t count() const { return count_; }
  std::size_t dim() const { return dim_; }
  std::span<const double> center() const { return center_; }
  std::span<const double> centered_squared_norms() const { return squared_norms_; }
  double radius() const { return radius_; }  ///< max_i ‖x_i − x̄‖, rounded up
  double low() const { return low_; }        ///< smallest value (uint8: that of u = 0)
  double high() const { return high_; }      ///< largest value (uint8: that of u = 255)
  AtomType type() const { return data_.type; }
  std::size_t bytes() const { return count_ * dim_ * bytes_of(data_.type); }

  /// out ← x_i. @shape out [d]
  void copy_atom(std::size_t i, std::span<double> out) const;
  /// Where the stored values of atom i begin.
  const std::byte* stored_atom(std::size_t i) const;
  /// Made when they are first asked for, and shared by copies of the table. For soft_assignment
  const std::shared_ptr<kernels::SharedClusterIndex>& clusters() const { return clusters_; }
  const std::shared_ptr<kernels::SharedPackedAtoms>& packed() const { return packed_; }

 private:
  void measure();

  AtomData data_;
  std::size_t count_;
  std::size_t dim_;
  std::vector<double> center_;
  std::vector<double> squared_norms_;
  double radius_ = 0.0;
  double low_ = 0.0;
  double high_ = 0.0;
  std::shared_ptr<kernels::SharedClusterIndex> clusters_;
  std::shared_ptr<kernels::SharedPackedAtoms> packed_;
};

}  // namespace fslens
