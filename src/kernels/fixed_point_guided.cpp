// m + C Pᵀ u in one sum over the atoms: Σ p_i (1 + z_i) x_i with z_i = ⟨P(x_i − m), u⟩, Σ p_i z_i = 0.
//
// With computed weights p̂_i = p_i (1 + ε_i) + Δ_i, factors 1 + ẑ_i = 1 + z_i + b + e_i (b the same for all atoms: of P m̂) and values that
// lose δ_i to their digits, the sum of the values Q = Σ q̂_i is 1 + b + … instead of 1, and ĝ = Σ q̂_i x_i / Q has
//
//   Q (ĝ − m) − (g − m) = Σ p_i ε_i (1 + ẑ_i)(x_i − m) + Σ p_i e_i (x_i − m) + Σ Δ_i (1 + ẑ_i)(x_i − m) + Σ δ_i (x_i − m),
//
// since Σ p_i (x_i − m) = 0. With v = Pᵀ u, |z_i| ≤ ‖v‖ρ and g − m = C v: each term is one of error_bound.hpp's, the first and the third once
// as for a mean and ‖v‖ times as for C v; and what Q is not 1 by counts ‖C v‖ ≤ ‖v‖ V times.
#include <algorithm>
#include <cmath>
#include <memory>

#include "error_bound.hpp"
#include "fixed_point_product.hpp"
#include "fixed_point_values.hpp"
#include "fslens/core/parallel.hpp"
#include "squared_distance.hpp"

namespace fslens::kernels {
namespace {

/// 1 + ⟨P(x_i − m), u⟩ of every particle of a batch, as base + ⟨φ_i, u⟩ with φ_i = P(x_i − x̄).
struct LaneTilts {
  std::vector<float> slopes;    ///< u [groups][q][kLanes]
  std::vector<float> base;      ///< 1 − ⟨P(m − x̄), u⟩ [lanes]
  std::vector<double> norm;     ///< ‖Pᵀ u‖ [lanes]
  std::vector<double> rounding; ///< of the factor in float32 [lanes]
};

/// φ_i of a block in float32, the factors, and the values.
class TiltedWeights : public ValueMaker {
 public:
  TiltedWeights(const FixedPointJob& job, const LaneTilts& tilts, std::size_t size) : job_(job), tilts_(tilts), size_(size) {}

  void start(const AtomBlock& block) override {
    const double* features = features_.of(job_, block);
    projected_.assign(block.rows * size_, 0.0f);
    for (std::size_t r = 0; r < block.atoms.size(); ++r)
      for (std::size_t j = 0; j < size_; ++j) projected_[r * size_ + j] = static_cast<float>(features[r * job_.feature_columns + 1 + j]);
  }
  void make(const AtomBlock& block, std::size_t group, const float* const (&weights)[2], float* const (&values)[2], float* largest) override {
    for (std::size_t g = 0; g < 2; ++g)
      lane_tilts({.weights = weights[g], .rows = block.rows, .features = projected_.data(), .columns = size_,
                  .slopes = tilts_.slopes.data() + (group + g) * size_ * kLanes, .base = tilts_.base.data() + (group + g) * kLanes,
                  .values = values[g], .largest = largest + g * kLanes});
  }

 private:
  const FixedPointJob& job_;
  const LaneTilts& tilts_;
  std::size_t size_;
  BlockFeatures features_;
  std::vector<float> projected_;
};

/// u of every particle of the batch. @shape features [P, feature columns], tilts [P, q]
void ask_tilts(const FixedPointJob& job, const FixedPointWriter& writer, Matrix& features, Matrix& tilts) {
  constexpr std::size_t kRows = 64;
  parallel_for_ranges(tilts.rows(), kRows, [&](std::size_t first, std::size_t last) {
    for (std::size_t p = first; p < last; ++p) writer.write_features(0, p, features.row(p));
    job.request.guided->tilt_of(job.queries.particles.subspan(first, last - first), features.view().rows_from(first, last - first),
                                tilts.view().rows_from(first, last - first));
  });
}

LaneTilts make_tilts(const FixedPointJob& job, const FixedPointWriter& writer) {
  const auto& projection = job.request.guided->projection;
  const std::size_t size = projection.rows(), particles = job.queries.particles.size(), lanes = job.queries.groups * kLanes;
  Matrix features(particles, job.feature_columns), tilts(particles, size);
  ask_tilts(job, writer, features, tilts);
  LaneTilts out;
  out.slopes.assign(lanes * size, 0.0f), out.base.assign(lanes, 0.0f);
  out.norm.assign(lanes, 0.0), out.rounding.assign(lanes, 0.0);
  std::vector<double> largest(size);  // ≥ max |φ_ij|
  for (std::size_t j = 0; j < size; ++j) largest[j] = 1.001 * std::sqrt(squared_norm(projection.row(j))) * job.request.atoms->radius();
  parallel_for_ranges(particles, kLanes, [&](std::size_t first, std::size_t last) {
    std::vector<double> v(projection.cols());
    for (std::size_t p = first; p < last; ++p) {
      double along = 0.0, reach = 0.0;
      std::ranges::fill(v, 0.0);
      for (std::size_t j = 0; j < size; ++j) {
        const double u = tilts(p, j);
        reach += std::abs(u) * largest[j];
        out.slopes[(p / kLanes * size + j) * kLanes + p % kLanes] = static_cast<float>(u);
        along += u * features(p, 1 + j);
        for (std::size_t k = 0; k < v.size(); ++k) v[k] += u * projection(j, k);
      }
      out.base[p] = static_cast<float>(1.0 - along);
      out.norm[p] = std::sqrt(squared_norm(v)) * (1.0 + 1e-10);
      // Of u, φ and (where products are rounded on their own) u φ, of the base, and of the steps of the sum.
      const double base = std::abs(1.0 - along);
      out.rounding[p] = 1.001 * kSingleUnit * (3.0 * reach + base + static_cast<double>(size) * (base + reach));
    }
  });
  return out;
}

/// ≥ ‖ĝ − g‖ for the u that was used.
double guided_error(const FixedPointJob& job, const WeightSummary& weights, const ValueFormat& format, const ValueTotals& totals,
                    const LaneTilts& tilts, std::size_t p, std::size_t lane) {
  const double norm = tilts.norm[p], deviation = std::sqrt(weights.variance);
  const double root = std::sqrt(static_cast<double>(job.request.atoms->dim())), range = job.request.atoms->high() - job.request.atoms->low();
  const double sum = totals.sum[lane] / weights.weight, astray = std::abs(sum - 1.0);
  // b: beyond this the factors are not known.
  const double common = norm * weights.mean + tilts.rounding[p];
  if (!(common < 0.01) || !(astray < 0.01)) return std::numeric_limits<double>::infinity();
  const double largest = 1.01 + norm * weights.reach;
  // Values are rounded when they are made and when they are counted.
  const double relative = 2.0 * kSingleUnit * largest * deviation;
  const double of_weights = 1.01 * weights.mean + norm * weights.product + tilts.rounding[p] * deviation + relative;
  const double lost = lost_values(job, totals, lane, largest) * weights.reach + dropped_values(job, format, totals, lane);
  const double size = 1.01 + norm * deviation;  // ≥ Σ p |1 + ẑ|
  const double sums = kUnit * (static_cast<double>(job.num_blocks + job.block_rows) + 16.0) *
                      (range + std::abs(job.request.atoms->high()) + std::abs(job.request.atoms->low())) * root * size;
  return (of_weights + lost / weights.weight + job.format.residual * size + sums + astray * norm * weights.variance) / (1.0 - astray);
}

}  // namespace

std::vector<double> fixed_point_guided(const FixedPointJob& job, const FixedPointWriter& writer, SoftAssignmentResult& result) {
  const SoftAssignmentRequest& request = job.request;
  const std::size_t particles = job.queries.particles.size(), size = request.guided->projection.rows();
  std::vector<WeightSummary> weights(particles);
  parallel_for_ranges(particles, kLanes, [&](std::size_t first, std::size_t last) {
    for (std::size_t p = first; p < last; ++p) weights[p] = writer.summarise(p);
  });
  const LaneTilts tilts = make_tilts(job, writer);
  const ValueFormat format{.digits = job.plan.weight_digits[0], .orders = job.plan.weight_orders[0]};
  const std::vector<ValueTotals> totals = sum_values(job, weights, format, [&] { return std::make_unique<TiltedWeights>(job, tilts, size); });
  std::vector<double> judged(particles);
  parallel_for_ranges(particles, kLanes, [&](std::size_t first, std::size_t last) {
    for (std::size_t p = first; p < last; ++p) {
      const ValueTotals& sums = totals[p / (kGroupsPerTask * kLanes)];
      const std::size_t lane = p % (kGroupsPerTask * kLanes), b = job.queries.particles[p];
      const double* moments = sums.moments.data() + lane / kLanes * kLanes * job.columns + lane % kLanes;
      const double unit = job.format.unit / sums.sum[lane];
      const auto out = result.guided_mean.row(b);
      for (std::size_t k = 0; k < out.size(); ++k) out[k] = job.format.low + unit * moments[k * kLanes];
      const double error = stated(guided_error(job, weights[p], format, sums, tilts, p, lane));
      result.guided_mean_error[b] = error;
      judged[p] = relative_score_error(request, error) / (1.0 + tilts.norm[p] * weights[p].reach);
    }
  });
  return judged;
}

}  // namespace fslens::kernels
