#include <algorithm>
#include <cmath>
#include <limits>

#include "error_bound.hpp"
#include "fixed_point_pass.hpp"
#include "fslens/core/parallel.hpp"
#include "lane_kernels.hpp"
#include "lane_queries.hpp"

namespace fslens::kernels {
namespace {

constexpr std::size_t kProbeAtoms = 512;
constexpr float kLiveArgument = -20.0f;

/// Every N/k-th atom, k ≥ 64: a thirty-second of them, at most 512.
std::size_t probe_size(std::size_t num_atoms) { return std::min({std::max<std::size_t>(64, num_atoms / 32), kProbeAtoms, num_atoms}); }

/// Logits of the probe's atoms for two lane groups, float32 relative to 0, and what they say.
class ProbeGroups {
 public:
  ProbeGroups(const SoftAssignmentRequest& request, const LaneQueries& queries, const AtomBlock& block, const BlockOffsets& offsets,
              IntegerKernel kernel)
      : request_(request), queries_(queries), block_(block), offsets_(offsets), kernel_(kernel) {
    for (AlignedArray<float>& logits : logits_) logits.resize(2 * block.rows * kLanes);
  }

  void look(std::size_t group, std::size_t planes, Probe& probe) {
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
      for (std::size_t m = 0; m < planes; ++m) product.planes[m] = block_.planes[m].data() + r * block_.row_bytes;
      kernel_(product);
      for (std::size_t g = 0; g < 2; ++g) strip(ints.data() + g * kStripRows * kLanes, product.orders, r, group + g, g);
    }
    for (std::size_t m = 0; m < request_.log_weights.size(); ++m) add_up(m);
    for (std::size_t m = 0; m < request_.log_weights.size(); ++m)
      for (std::size_t lane = 0; lane < 2 * kLanes; ++lane) summarise(m, group * kLanes + lane, lane, probe);
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

  /// Sums of the weights and counts of those above e^{−20}, by lane.
  void add_up(std::size_t m) {
    const float smallest = std::exp(kLiveArgument);
    for (std::size_t g = 0; g < 2; ++g) {
      float top[kLanes];
      double square[kLanes] = {};
      for (std::size_t l = 0; l < kLanes; ++l) top[l] = std::max(largest_[m][g * kLanes + l], -1e30f);
      float* values = logits_[m].data() + g * block_.rows * kLanes;
      lane_weights(values, block_.rows, top, values, square);
      float* weight = weight_[m] + g * kLanes;
      float* live = live_[m] + g * kLanes;
      std::fill_n(weight, kLanes, 0.0f), std::fill_n(live, kLanes, 0.0f);
      for (std::size_t r = 0; r < block_.atoms.size(); ++r)
        for (std::size_t l = 0; l < kLanes; ++l) {
          const float w = values[r * kLanes + l];
          weight[l] += w;
          live[l] += w > smallest ? 1.0f : 0.0f;
        }
    }
  }

  void summarise(std::size_t m, std::size_t p, std::size_t lane, Probe& probe) const {
    if (p >= queries_.particles.size()) return;
    const auto atoms = static_cast<double>(block_.atoms.size());
    probe.reference[m][p] = static_cast<double>(largest_[m][lane]) + queries_.constant[p];
    probe.live_share[p] = std::max(probe.live_share[p], static_cast<double>(live_[m][lane]) / atoms);
    probe.mean_weight[p] = std::min(probe.mean_weight[p], static_cast<double>(weight_[m][lane]) / atoms);
  }

  const SoftAssignmentRequest& request_;
  const LaneQueries& queries_;
  const AtomBlock& block_;
  const BlockOffsets& offsets_;
  IntegerKernel kernel_;
  AlignedArray<float> logits_[2];
  float largest_[2][2 * kLanes] = {}, weight_[2][2 * kLanes] = {}, live_[2][2 * kLanes] = {};
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
  AtomBlock block;
  pack_atoms(atoms, format, sample, rounded_up(size, kStepBytes), block);
  BlockOffsets offsets;
  fill_offsets(request, block, offsets);
  Probe probe;
  for (std::vector<double>& reference : probe.reference) reference.assign(particles.size(), -std::numeric_limits<double>::infinity());
  probe.live_share.assign(particles.size(), 0.0);
  probe.mean_weight.assign(particles.size(), 1.0);
  parallel_for(queries.groups / 2, [&](std::size_t pair) {
    ProbeGroups(request, queries, block, offsets, kernel).look(2 * pair, format.planes, probe);
  });
  return probe;
}

FixedPointPlan plan_fixed_point(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Probe& probe) {
  const AtomTable& atoms = *request.atoms;
  const double d = static_cast<double>(atoms.dim()), s = std::sqrt(request.s2);
  const double reach = request.a * atoms.radius() / (s * std::sqrt(d));  // of an atom, in units of the tolerance
  // A quarter of the tolerance each; deviations as they usually are where many atoms count.
  const double logit_error = 0.25 * request.tolerance / std::min(kUsualDeviation, reach);
  double largest = 0.0, norm = 0.0, mean_weight = 1.0;
  for (std::size_t p = 0; p < particles.size(); ++p) {
    double square = 0.0, most = 0.0;
    for (std::size_t k = 0; k < atoms.dim(); ++k) {
      const double q = std::abs(request.x(particles[p], k) - request.a * atoms.center()[k]);
      square += q * q, most = std::max(most, q);
    }
    largest = std::max(largest, most), norm = std::max(norm, std::sqrt(square));
    mean_weight = std::min(mean_weight, probe.mean_weight[p]);
  }
  const double slope = request.a / request.s2;
  const std::size_t most_planes = atoms.type() == AtomType::uint8 ? 1 : kMaxPlanes;
  FixedPointPlan plan;
  plan.planes = 1;
  while (plan.planes < most_planes && slope * norm * fixed_point_format(atoms, plan.planes).residual > 0.3 * logit_error) ++plan.planes;
  plan.query_digits = 2;
  const auto digit_loss = [&] {
    return slope * std::ldexp(largest / 127.0, -8 * static_cast<int>(plan.query_digits - 1)) * 0.3 * std::sqrt(d) * atoms.radius();
  };
  while (plan.query_digits < kMaxDigits && digit_loss() > 0.4 * logit_error) ++plan.query_digits;
  const double unit = fixed_point_format(atoms, plan.planes).unit;
  plan.orders = std::max(plan.query_digits, plan.planes);
  const auto order_loss = [&] { return slope * largest / 127.0 * unit * dropped_orders(plan.query_digits, plan.planes, plan.orders, d); };
  while (order_loss() > 0.3 * logit_error) ++plan.orders;
  plan.weight_digits = 2;
  const auto weight_loss = [&] { return 0.3 * std::ldexp(1.0 / 127.0, -8 * static_cast<int>(plan.weight_digits - 1)) / mean_weight; };
  while (plan.weight_digits < kMaxDigits && weight_loss() * reach > 0.15 * request.tolerance) ++plan.weight_digits;
  plan.weight_orders = std::max(plan.weight_digits, plan.planes);
  const auto weight_order_loss = [&] {
    return request.a / s * unit / 127.0 * dropped_orders(plan.weight_digits, plan.planes, plan.weight_orders, 1.0) / mean_weight;
  };
  while (weight_order_loss() > 0.1 * request.tolerance) ++plan.weight_orders;
  return plan;
}

}  // namespace fslens::kernels
