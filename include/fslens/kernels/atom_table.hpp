// The atoms of an empirical prior, as the kernels read them.
#pragma once

#include <cstddef>
#include <span>
#include <variant>
#include <vector>

namespace fslens {

/// N atoms x_i ∈ R^d, row-major, in the precision that they came in. Immutable.
///
/// Holds what the soft assignment needs beside them: the centre x̄ (plain mean), ‖x_i − x̄‖² and the largest of these norms.
/// Distances are computed from centred atoms, which keeps the cancellation in ‖x‖² − 2⟨x, x_i⟩ + ‖x_i‖² small.
class AtomTable {
 public:
  using Values = std::variant<std::vector<float>, std::vector<double>>;

  /// @throws InvalidArgument if there is no atom, the size is not N·d, or a value is not finite.
  AtomTable(Values values, std::size_t count, std::size_t dim);

  std::size_t count() const { return count_; }
  std::size_t dim() const { return dim_; }
  std::span<const double> center() const { return center_; }
  std::span<const double> centered_squared_norms() const { return squared_norms_; }
  double radius() const { return radius_; }  ///< max_i ‖x_i − x̄‖
  bool is_single_precision() const { return std::holds_alternative<std::vector<float>>(values_); }
  std::size_t bytes() const;

  /// out ← x_i. @shape out [d]
  void copy_atom(std::size_t i, std::span<double> out) const;
  /// Calls f(pointer to atom 0), a const float* or a const double*.
  template <class F>
  decltype(auto) visit(F&& f) const {
    return std::visit([&](const auto& v) -> decltype(auto) { return f(v.data()); }, values_);
  }

 private:
  Values values_;
  std::size_t count_;
  std::size_t dim_;
  std::vector<double> center_;
  std::vector<double> squared_norms_;
  double radius_ = 0.0;
};

}  // namespace fslens
