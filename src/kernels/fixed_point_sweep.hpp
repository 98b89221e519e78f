// One sweep over a shard of the atoms for some lane groups: the inner part of the fixed-point pass.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "fixed_point_pass.hpp"
#include "lane_digits.hpp"
#include "lane_kernels.hpp"
#include "lane_queries.hpp"
#include "logit_steps.hpp"

namespace fslens::kernels {

/// Sums over atoms, per lane: in units of e^reference.
struct LaneTotals {
  std::vector<double> weight;    ///< Σ ŵ [lanes]
  std::vector<double> second;    ///< Σ ŵ ‖x_i − x̄‖²
  std::vector<double> square;    ///< ≥ Σ w (logit − best)²
  std::vector<double> lost;      ///< Σ |ŵ − w| of digits and of atoms that were skipped
  std::vector<double> ceiling;   ///< Σ over the blocks of rows · the largest weight that their digits can hold
  std::vector<double> best;      ///< largest logit − reference
  AlignedArray<double> moments;  ///< Σ ŵ U_ik [groups][columns][kLanes]; empty: nothing yet
  std::vector<double> features;  ///< Σ w φ_ij [groups][feature columns][kLanes]
  double feature_size = 0.0;     ///< max |φ_ij| of the atoms seen
};

/// Σ w (logit − best)² about a higher best, by Minkowski's inequality.
double moved_square(const LaneTotals& totals, std::size_t lane, double best);

/// A block whose best logit is this far below the best so far is left out, whatever the floor.
inline constexpr double kDeadBlock = 60.0;
/// Of a block without atoms, what its weights are relative to.
inline constexpr double kLeastTop = -1e30;

/// Lane groups that share a packed block of atoms.
inline constexpr std::size_t kGroupsPerTask = 16;

/// What all tasks of a pass share.
struct FixedPointJob {
  const SoftAssignmentRequest& request;
  FixedPointFormat format;
  FixedPointPlan plan;
  IntegerKernel kernel;
  LaneQueries queries;
  std::vector<double> reference[2];  ///< [lanes]
  std::vector<LogitSteps> steps;     ///< [groups]
  std::vector<double> floor[2];      ///< log of what a weight may lose, less the reference; −∞: nothing beyond its digits [lanes]
  /// The atoms that may count, in the order in which they are visited: under a second measure first. Beyond them it is left out.
  std::vector<std::uint32_t> order;
  std::size_t num_tilted = 0;        ///< of these
  const AtomBlock* packed = nullptr; ///< all atoms in the order of the table, if that is the order here and the table is small
  std::size_t block_rows = 0;
  std::size_t num_blocks = 0;
  std::size_t columns = 0;           ///< d rounded up to kStripRows
  std::size_t feature_columns = 0;   ///< q
  bool want_moments = false;
  AlignedArray<float> kept;          ///< weights under measure 0 [groups][num_blocks · block_rows][kLanes], if there is room
  std::vector<double> kept_top;      ///< the logit (less the reference) that they are relative to [groups][num_blocks][kLanes]
};

/// The atoms of block b.
inline std::span<const std::uint32_t> block_atoms(const FixedPointJob& job, std::size_t b) {
  const std::size_t first = b * job.block_rows;
  return std::span(job.order).subspan(first, std::min(job.block_rows, job.order.size() - first));
}
/// Measures under which block b may count.
inline std::size_t block_measures(const FixedPointJob& job, std::size_t b) {
  return b * job.block_rows < job.num_tilted ? job.request.log_weights.size() : 1;
}

/// The blocks of a job, with their transposes if they are asked for: parts of what is packed already, or packed one by one.
class BlockSource {
 public:
  AtomBlock block(const FixedPointJob& job, std::size_t b);
  void transpose(const FixedPointJob& job, AtomBlock& block);  ///< unless it is

 private:
  AtomPacker packer_;
};

/// The features of a block of atoms in the order of the table, where they are stored or made.
class BlockFeatures {
 public:
  /// @return [rows][job.feature_columns]
  const double* of(const FixedPointJob& job, const AtomBlock& block);
  double largest() const { return largest_; }  ///< max |φ_ij| so far

 private:
  std::vector<double> values_;
  double largest_ = 0.0;
};

LaneTotals make_totals(const FixedPointJob& job, std::size_t groups);
/// [groups][columns][kLanes] of 0.
AlignedArray<double> make_moments(const FixedPointJob& job, std::size_t groups);
/// totals += other: of another shard. `other` is used up.
void add_totals(const FixedPointJob& job, LaneTotals& totals, LaneTotals& other);

/// Digits of a block of values for two lane groups, and their products with the transposed atoms.
class DigitMoments {
 public:
  DigitMoments(const FixedPointJob& job, std::size_t num_digits, std::size_t orders);
  struct Sums {  ///< in units of the integers
    double sum[kLanes] = {}, moment[kLanes] = {}, lost[kLanes] = {};
  };
  /// Digits of group g's values [rows][kLanes].
  void take(std::size_t g, const float* values, const float* factor, std::size_t rows, Sums& sums);
  /// Makes a group's weights, and digits of them; the moment is with the atoms' squared norms.
  void weigh(std::size_t g, const WeightTask& weights, const float* factor, const BlockOffsets& offsets, Sums& sums);
  void clear(std::size_t g, std::size_t rows);  ///< this group takes no part
  /// moments[g][column][lane] += unit[g][lane] · Σ_i digits_i U_i. No moments: the group took no part.
  void multiply(const AtomBlock& block, const double* const (&unit)[2], double* const (&moments)[2]);

 private:
  DigitTask task_for(std::size_t g, const float* factor, std::size_t rows, Sums& sums);

  const FixedPointJob& job_;
  AlignedArray<std::int8_t> digits_[2];
  std::size_t num_digits_, orders_, digit_stride_;
  std::vector<std::uint8_t> live_;       // [steps]
  AlignedArray<std::int32_t> ints_;
};

/// What making logits needs room for.
struct LogitScratch {
  AlignedArray<std::int32_t> ints, whole;  ///< sums of some strips; offsets in steps [2 groups][2 measures][block_rows]
  AlignedArray<float> rest;                ///< likewise
};

/// Visits the blocks [first, last) for the lane groups [group, group + totals' groups).
class FixedPointSweep {
 public:
  FixedPointSweep(FixedPointJob& job, std::size_t group, std::size_t num_groups);
  void run(std::size_t first_block, std::size_t last_block, std::span<LaneTotals> totals);

 private:
  void logits_of(std::size_t pair);
  float* weights_of(std::size_t measure, std::size_t pair, std::size_t g);
  void weigh(std::size_t measure, std::size_t pair, LaneTotals& totals);
  /// What the weights of a block are relative to, by lane of a group.
  struct BlockScale {
    float top[kLanes], factor[kLanes];  ///< largest logit, in powers of two; digits of 2^top
    double log[kLanes], relative[kLanes];  ///< largest logit; 2^top
  };
  bool scale_group(std::size_t measure, std::size_t lane, const float* largest, BlockScale& scale, LaneTotals& totals) const;
  bool weigh_group(std::size_t measure, std::size_t pair, std::size_t g, LaneTotals& totals, double* unit);
  void count_group(std::size_t measure, std::size_t lane, const WeightTask& weights, const BlockScale& scale, std::size_t g, LaneTotals& totals,
                   double* unit);
  void sum_group(std::size_t lane, const WeightTask& weights, const BlockScale& scale, LaneTotals& totals);
  void features_of(const float* weights, std::size_t lane, const double* unit, LaneTotals& totals);

  FixedPointJob& job_;
  std::size_t group_;
  std::size_t num_groups_;
  BlockSource blocks_;
  AtomBlock block_;
  BlockOffsets offsets_;
  LogitScratch scratch_;
  AlignedArray<float> logits_[2];       // [2 groups][rows][kLanes] by measure
  AlignedArray<float> weights_;         // of a group [rows][kLanes], where they are not kept
  std::size_t block_index_ = 0, measures_ = 1;
  float largest_[2][2 * kLanes] = {};
  std::vector<DigitMoments> moments_;   // by measure
  BlockFeatures features_;
  const double* block_features_ = nullptr;
  std::vector<std::uint32_t> live_;       // rows
  std::vector<std::uint8_t> live_fours_;  // of the group that is weighed [rows / 4]
};

/// Strips of a call of the integer product: their sums stay in the first-level cache, beside what is made of them.
inline std::size_t strips_per_call(std::size_t orders, std::size_t strips) {
  constexpr std::size_t kSums = (16 * 1024) / (2 * kStripRows * kLanes * sizeof(std::int32_t));
  return std::clamp<std::size_t>(kSums / orders, 1, strips);
}

/// Fills sums of strips of logits for two groups: `visit(row, strip sums of group 0, of group 1)`.
template <class Visit>
void for_strips(const FixedPointJob& job, const AtomBlock& block, const LaneDigits& digits, std::size_t group, std::size_t orders,
                AlignedArray<std::int32_t>& ints, const Visit& visit) {
  const std::size_t strips = block.rows / kStripRows, some = strips_per_call(orders, strips), sums = 2 * kStripRows * kLanes;
  ints.resize(some * sums * orders);
  IntegerProduct product;
  product.num_planes = job.format.planes;
  product.row_stride = block.row_bytes;
  product.num_digits = digits.num_digits;
  product.digit_stride = digits.digit_stride;
  product.orders = orders;
  product.steps = block.row_bytes / kStepBytes;
  product.out = ints.data();
  for (std::size_t g = 0; g < 2; ++g) product.digits[g] = digits.group(group + g);
  for (std::size_t first = 0; first < strips; first += some) {
    for (std::size_t m = 0; m < job.format.planes; ++m)
      product.planes[m] = block.planes[m] + first * kStripRows * block.row_bytes;
    product.strips = std::min(some, strips - first);
    job.kernel(product);
    for (std::size_t strip = 0; strip < product.strips; ++strip) {
      const std::int32_t* at = ints.data() + strip * orders * sums;
      visit((first + strip) * kStripRows, StripSums{at, orders, sums}, StripSums{at + kStripRows * kLanes, orders, sums});
    }
  }
}

/// Logits of a block for two lane groups under its first `measures` measures, in steps of the group: logits[m] [2][block_rows][kLanes], and
/// the largest of each lane (in powers of two, rounded up), largest[m] [2][kLanes].
struct BlockLogits {
  std::size_t measures = 1;
  float* logits[2] = {};
  float* largest[2] = {};
};
void block_logits(const FixedPointJob& job, const AtomBlock& block, const BlockOffsets& offsets, std::size_t group,
                  LogitScratch& scratch, const BlockLogits& out);

/// The bands of lane groups and the shards of the atoms that the tasks of a job are: of the problem alone.
struct JobTasks {
  std::size_t bands = 1;
  std::size_t shards = 1;
  std::size_t first_group(std::size_t task) const { return task / shards * kGroupsPerTask; }
  std::size_t first_block(std::size_t task, std::size_t num_blocks) const { return num_blocks * (task % shards) / shards; }
  std::size_t last_block(std::size_t task, std::size_t num_blocks) const { return num_blocks * (task % shards + 1) / shards; }
};
JobTasks tasks_of(const FixedPointJob& job);

/// What the first sweep says of the weights under measure 0, by particle of the batch.
struct WeightSummary {
  double weight = 0.0;    ///< Σ ŵ in units of e^{best + reference}
  double best = 0.0;
  double relative = 0.0;  ///< root mean square of the weights' relative errors, and what was lost
  double variance = 0.0;  ///< ≥ Tr C
  double reach = 0.0;     ///< ≥ max ‖x_i − m‖
  double product = 0.0;   ///< error of C v for ‖v‖ = 1 so far
  double mean = 0.0;      ///< error of the mean
};

}  // namespace fslens::kernels
