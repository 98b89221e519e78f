// Second sweep of the fixed-point pass: Σ z_i x_i for values z_i = w_i · (what the first sweep's moments say), as digits again.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "fixed_point_sweep.hpp"

namespace fslens::kernels {

/// How the values are counted.
struct ValueFormat {
  std::size_t digits = kMaxDigits;
  std::size_t orders = kMaxDigits;   ///< of the products that are kept
  const std::vector<double>* unit = nullptr;  ///< of the values of each lane; nullptr: 1
};

/// Sums over the atoms, per lane.
struct ValueTotals {
  std::vector<double> sum, lost;   ///< Σ ẑ, Σ |ẑ − z|, in units of e^best
  std::vector<double> largest;     ///< max |z| so far
  AlignedArray<double> moments;    ///< Σ ẑ U [groups][columns][kLanes]
};

/// Makes the values of a block for two lane groups.
class ValueMaker {
 public:
  virtual ~ValueMaker() = default;
  virtual void start(const AtomBlock&) {}  ///< the next blocks are of these atoms
  /// values[g] ← of lane group `group` + g from its weights [rows][kLanes], which may be the same array; largest [2][kLanes] is raised.
  virtual void make(const AtomBlock& block, std::size_t group, const float* const (&weights)[2], float* const (&values)[2], float* largest) = 0;
};

/// Sums for all particles of a batch, by band: with the logits of the first sweep's weights where these were kept. `make`: once a task.
std::vector<ValueTotals> sum_values(const FixedPointJob& job, const std::vector<WeightSummary>& weights, const ValueFormat& format,
                                    const std::function<std::unique_ptr<ValueMaker>()>& make);

/// What the digits of the values lose, and weights that the sweep left out, as Σ|δz| in units of e^best, for values up to `largest` times
/// the weights.
double lost_values(const FixedPointJob& job, const ValueTotals& totals, std::size_t lane, double largest);
/// ‖δΣ z x‖ of the orders that are left out.
double dropped_values(const FixedPointJob& job, const ValueFormat& format, const ValueTotals& totals, std::size_t lane);

}  // namespace fslens::kernels
