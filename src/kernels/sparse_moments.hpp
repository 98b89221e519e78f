// Sums over the few atoms of a block that count for a lane, where products of whole blocks would multiply zeros.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fixed_point.hpp"

namespace fslens::kernels {

/// The weights of one lane group in one block that are worth a unit, lane by lane.
class SparseWeights {
 public:
  /// Lists the weights with factor[lane] · w > ½. @return false if there are more than `most`: then there is no list
  bool list(const float* weights, std::size_t rows, const float* factor, std::size_t most);

  std::span<const std::uint32_t> rows(std::size_t lane) const { return rows_[lane]; }
  std::span<const double> weights(std::size_t lane) const { return weights_[lane]; }
  float left_out(std::size_t lane) const { return left_out_[lane]; }  ///< Σ of the others, to a few roundings of float32

 private:
  std::vector<std::uint32_t> rows_[kLanes];
  std::vector<double> weights_[kLanes];
  float left_out_[kLanes] = {};
};

/// sums[k] += Σ_j weights[j] · rows[which[j]][k] in float64. @shape sums [columns], columns a multiple of 16
void add_rows(const std::uint8_t* rows, std::size_t stride, std::span<const std::uint32_t> which, std::span<const double> weights,
              std::size_t columns, double* sums);

}  // namespace fslens::kernels
