#include <algorithm>
#include <cmath>
#include <limits>

#include "error_bound.hpp"
#include "fixed_point_pass.hpp"
#include "fslens/core/parallel.hpp"
#include "lane_digits.hpp"
#include "lane_kernels.hpp"
#include "lane_queries.hpp"

namespace fslens::kernels {
namespace {

constexpr std::size_t kProbeAtoms = 512;
constexpr float kLiveArgument = -20.0f;
/// The variance of fewer than five effective atoms says little: then that about x̄, which is no less.
constexpr double kMostMissing = 0.2;
/// Fewer live atoms say little about how crowded the others are. Evenly spread logits have a crowding of twenty.
constexpr double kEnough = 64.0, kFewCrowding = 40.0;

/// Every N/k-th atom, k ≥ 64: a thirty-second of them, at most 512.
std::size_t probe_size(std::size_t num_atoms) { return std::min({std::max<std::size_t>(64, num_atoms / 32), kProbeAtoms, num_atoms}); }

/// sums[lane] += (offset + unit[lane] · (256 high + low)[lane])².
void add_squares(const std::int32_t* high, const std::int32_t* low, const double* unit, double offset, double* sums) {
  for (std::size_t l = 0; l < kLanes; ++l) {
    const double value = offset + unit[l] * (256.0 * static_cast<double>(high[l]) + static_cast<double>(low[l]));
    sums[l] += value * value;
  }
}

/// Logits of the probe's atoms for two lane groups, float32 relative to 0, and what they say.
class ProbeGroups {
 public:
  ProbeGroups(const SoftAssignmentRequest& request, const FixedPointFormat& format, const LaneQueries& queries, const AtomBlock& block,
              const BlockOffsets& offsets, IntegerKernel kernel)
      : request_(request), format_(format), queries_(queries), block_(block), offsets_(offsets), kernel_(kernel) {
    for (AlignedArray<float>& logits : logits_) logits.resize(2 * block.rows * kLanes);
  }

  void look(std::size_t group, Probe& probe) {
    const std::size_t planes = format_.planes;
    const ProductScope scope(kernel_);
    AlignedArray<std::int32_t> ints(2 * kStripRows * kLanes * queries_.digits.num_digits);
    for (std::size_t m = 0; m < 2; ++m) std::fill_n(largest_[m], 2 * kLanes, -std::numeric_limits<float>::infinity());
    IntegerProduct product;
    product.num_planes = planes;
    product.row_stride = block_.row_bytes;
    product.num_digits = product.orders = queries_.digits.num_digits;
    product.digit_stride = queries_.digits.digit_stride;
    product.steps = block_.row_bytes / kStepBytes;
    product.out = ints.data();
    for (std::size_t g = 0; g < 2; ++g) product.digits[g] = queries_.digits.group(group + g);
    for (std::size_t r = 0; r < block_.rows; r += kStripRows) {
      for (std::size_t m = 0; m < planes; ++m) product.planes[m] = block_.planes[m] + r * block_.row_bytes;
      kernel_(product);
      for (std::size_t g = 0; g < 2; ++g) strip(ints.data() + g * kStripRows * kLanes, product.orders, r, group + g, g);
    }
    for (std::size_t m = 0; m < request_.log_weights.size(); ++m) {
      const Sums sums = add_up(m);
      for (std::size_t lane = 0; lane < 2 * kLanes; ++lane) summarise(m, sums, group * kLanes + lane, lane, probe);
    }
  }

 private:
  void strip(const std::int32_t* ints, std::size_t orders, std::size_t row, std::size_t group, std::size_t g) {
    static constexpr double kZero[kLanes] = {};
    LogitTask task;
    task.sums = {ints, orders, 2 * kStripRows * kLanes};
    task.scale = queries_.scale.data() + group * kLanes;
    for (std::size_t m = 0; m < request_.log_weights.size(); ++m) {
      task.reference[m] = kZero;
      task.offsets[m] = offsets_.measure[m].data() + row;
      task.logits[m] = logits_[m].data() + (g * block_.rows + row) * kLanes;
      task.largest[m] = largest_[m] + g * kLanes;
    }
    lane_logits(task);
  }

  /// What the weights under a measure add up to, by lane of two groups.
  struct Sums {
    float weight[2 * kLanes] = {}, square[2 * kLanes] = {}, second[2 * kLanes] = {}, live[2 * kLanes] = {};
    double variance[2 * kLanes] = {};
    std::uint32_t best[2 * kLanes] = {};  // place in the sample

    /// Adds the rows of one group's weights, whose lanes start at `lane`.
    void add(std::size_t lane, const float* weights, std::size_t rows, const float* norms) {
      const float smallest = std::exp(kLiveArgument);
      float sum[kLanes] = {}, squares[kLanes] = {}, seconds[kLanes] = {}, lives[kLanes] = {}, most[kLanes] = {};
      std::uint32_t places[kLanes] = {};
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t l = 0; l < kLanes; ++l) {
          const float w = weights[r * kLanes + l];
          sum[l] += w, squares[l] += w * w, seconds[l] += w * norms[r], lives[l] += w > smallest ? 1.0f : 0.0f;
          places[l] = w > most[l] ? static_cast<std::uint32_t>(r) : places[l];
          most[l] = w > most[l] ? w : most[l];
        }
      std::copy_n(sum, kLanes, weight + lane), std::copy_n(squares, kLanes, square + lane);
      std::copy_n(seconds, kLanes, second + lane), std::copy_n(lives, kLanes, live + lane);
      std::copy_n(places, kLanes, best + lane);
    }

    /// Σ p_i²: a sample finds the rest of the variance.
    double missing(std::size_t lane) const {
      const auto total = static_cast<double>(weight[lane]);
      return static_cast<double>(square[lane]) / (total * total);
    }
  };

  Sums add_up(std::size_t m) {
    Sums sums;
    for (std::size_t g = 0; g < 2; ++g) {
      float top[kLanes];
      double about_top[kLanes] = {};
      for (std::size_t l = 0; l < kLanes; ++l) top[l] = std::max(largest_[m][g * kLanes + l], -1e30f);
      float* values = logits_[m].data() + g * block_.rows * kLanes;
      lane_weights({.logits = values, .rows = block_.rows, .top = top, .weights = values, .square = about_top});
      sums.add(g * kLanes, values, block_.atoms.size(), offsets_.rough_norms.data());
    }
    bool enough = false;
    for (std::size_t lane = 0; lane < 2 * kLanes; ++lane) {
      sums.variance[lane] = static_cast<double>(sums.second[lane] / sums.weight[lane]);
      enough = enough || sums.missing(lane) < kMostMissing;
    }
    if (enough) take_means(m, sums);
    return sums;
  }

  /// variance −= ‖m − x̄‖² with the weights in two digits and the atoms' first plane: for a plan that is enough.
  void take_means(std::size_t m, Sums& sums) {
    static constexpr std::size_t kDigits = 2;
    float factor[kLanes];
    std::fill_n(factor, kLanes, 127.0f * 256.0f);
    double sum[2 * kLanes] = {}, lost[2 * kLanes] = {}, centered[2 * kLanes] = {};
    std::vector<std::uint8_t> live(block_.rows / kStepBytes);
    IntegerProduct product;
    product.row_stride = block_.rows;
    product.num_digits = product.orders = kDigits;
    product.digit_stride = block_.rows * kLanes;
    product.steps = block_.rows / kStepBytes;
    for (std::size_t g = 0; g < 2; ++g) {
      digits_[g].resize(kDigits * product.digit_stride);
      lane_digits({.values = logits_[m].data() + g * block_.rows * kLanes, .rows = block_.rows, .factor = factor,
                   .num_digits = kDigits, .digits = digits_[g].data(),
                   .digit_stride = product.digit_stride, .live = live.data(), .sum = sum + g * kLanes,
                   .lost = lost + g * kLanes});
      product.digits[g] = digits_[g].data();
    }
    AlignedArray<std::int32_t> ints(2 * kStripRows * kLanes * kDigits);
    product.out = ints.data();
    double unit[2 * kLanes];
    for (std::size_t lane = 0; lane < 2 * kLanes; ++lane) unit[lane] = format_.unit / sum[lane];
    const auto center = request_.atoms->center();
    for (std::size_t k = 0; k < center.size(); k += kStripRows) {
      product.planes[0] = block_.transposed[0] + k * block_.column_bytes;
      kernel_(product);
      for (std::size_t g = 0; g < 2; ++g)
        for (std::size_t j = 0; j < std::min(kStripRows, center.size() - k); ++j) {
          const std::int32_t* high = ints.data() + (g * kStripRows + j) * kLanes;
          add_squares(high, high + 2 * kStripRows * kLanes, unit + g * kLanes, format_.low - center[k + j], centered + g * kLanes);
        }
    }
    for (std::size_t lane = 0; lane < 2 * kLanes; ++lane) {
      const double missing = sums.missing(lane), most = sums.variance[lane];
      if (missing < kMostMissing) sums.variance[lane] = std::clamp((most - centered[lane]) / (1.0 - missing), 0.0, most);
    }
  }

  void summarise(std::size_t m, const Sums& sums, std::size_t p, std::size_t lane, Probe& probe) const {
    if (p >= queries_.particles.size()) return;
    const auto atoms = static_cast<double>(block_.atoms.size());
    const auto weight = static_cast<double>(sums.weight[lane]), live = static_cast<double>(sums.live[lane]);
    if (!(weight > 0.0)) return;  // no atom of the sample has a weight under this measure
    probe.reference[m][p] = kLogTwo * static_cast<double>(largest_[m][lane]) + queries_.constant[p];
    probe.atom[m][p] = block_.atoms[sums.best[lane]];
    probe.log_mean[m][p] = probe.reference[m][p] + std::log(weight / atoms);
    probe.live_share[p] = std::max(probe.live_share[p], live / atoms);
    probe.crowding[m][p] = live < kEnough ? std::max(live / weight, kFewCrowding) : live / weight;
    probe.variance[p] = std::max(probe.variance[p], sums.variance[lane]);
  }

  const SoftAssignmentRequest& request_;
  const FixedPointFormat& format_;
  const LaneQueries& queries_;
  const AtomBlock& block_;
  const BlockOffsets& offsets_;
  IntegerKernel kernel_;
  AlignedArray<float> logits_[2];
  AlignedArray<std::int8_t> digits_[2];
  float largest_[2][2 * kLanes] = {};
};

}  // namespace

Probe probe_atoms(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, IntegerKernel kernel) {
  const AtomTable& atoms = *request.atoms;
  const FixedPointFormat format = fixed_point_format(atoms, 2);
  const LaneQueries queries = lane_queries(request, format, particles, 2);
  const std::size_t size = probe_size(atoms.count());
  const std::size_t stride = atoms.count() / size;
  std::vector<std::uint32_t> sample(size);
  for (std::size_t i = 0; i < size; ++i) sample[i] = static_cast<std::uint32_t>(i * stride);
  AtomPacker packer;
  AtomBlock block = packer.pack(atoms, format, sample, rounded_up(size, kStepBytes));
  packer.transpose(format, atoms.dim(), block);
  BlockOffsets offsets;
  fill_offsets(request, block, offsets);
  Probe probe;
  for (std::size_t m = 0; m < 2; ++m)
    for (std::vector<double>* logs : {&probe.reference[m], &probe.log_mean[m]})
      logs->assign(particles.size(), -std::numeric_limits<double>::infinity());
  for (std::vector<double>* values : {&probe.live_share, &probe.crowding[0], &probe.crowding[1], &probe.variance})
    values->assign(particles.size(), 0.0);
  for (std::vector<std::uint32_t>& atom : probe.atom) atom.assign(particles.size(), 0);
  parallel_for(queries.groups / 2, [&](std::size_t pair) {
    ProbeGroups(request, format, queries, block, offsets, kernel).look(2 * pair, probe);
  });
  return probe;
}

}  // namespace fslens::kernels
