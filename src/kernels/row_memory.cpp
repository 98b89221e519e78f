#include "row_memory.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "error_bound.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/kernels/trajectory_memory.hpp"
#include "squared_distance.hpp"

namespace fslens {

TrajectoryMemory::TrajectoryMemory(Calls calls) : rows_(std::make_unique<kernels::RowMemory>(calls == Calls::one_run)) {}
TrajectoryMemory::~TrajectoryMemory() = default;

namespace kernels {
namespace {

constexpr std::size_t kFewAtoms = 4096;               // looking at all of them costs as little
constexpr std::size_t kMostBytes = std::size_t{48} << 20;
constexpr std::size_t kMostIndexBytes = std::size_t{128} << 20;
/// Passes over all pairs that cost as much as the index: 8 of 256 particles, as measured for 784 dimensions.
constexpr double kPairsPerAtom = 2048.0;
/// A row whose noise level is further from the last than this begins with a probe.
constexpr double kSameNoise = 1.3;
constexpr float kRoundings = 0x1p-21f;
constexpr float kForget = -std::numeric_limits<float>::infinity();

bool same(const std::vector<std::span<const double>>& a, const std::vector<std::span<const double>>& b) {
  return std::ranges::equal(a, b, [](auto u, auto v) { return u.data() == v.data() && u.size() == v.size(); });
}

}  // namespace

bool RowMemory::prepare(const SoftAssignmentRequest& request, std::size_t num_particles) {
  const AtomTable& atoms = *request.atoms;
  if (table_ != atoms.clusters() || !same(log_weights_, request.log_weights)) {
    if (table_ != atoms.clusters()) index_.reset(), pairs_ = 0.0;
    table_ = atoms.clusters(), log_weights_ = request.log_weights;
    wanted_rows_ = 0;
    looks_.clear();
  }
  looks_.prepare(request.x.rows());
  if (atoms.count() < kFewAtoms || cluster_index_bytes(atoms) > kMostIndexBytes || !(request.a > 1e-6)) return false;
  if (!index_) {
    // Before this call: a single one, however large, never makes an index.
    const bool paid = pairs_ > kPairsPerAtom * static_cast<double>(atoms.count());
    pairs_ += static_cast<double>(num_particles) * static_cast<double>(atoms.count());
    if (!paid) return false;
    index_ = table_->of(atoms);
  }
  if (wanted_rows_ < request.x.rows()) allot(request);
  return true;
}

void RowMemory::allot(const SoftAssignmentRequest& request) {
  const std::size_t clusters = index_->count(), d = request.atoms->dim();
  const std::size_t state = (d + index_->directions) * sizeof(float), bounds = clusters * (sizeof(float) + 1);
  const std::size_t wanted = wanted_rows_ = request.x.rows();
  slots_ = std::clamp<std::size_t>((kMostBytes / wanted - std::min(bounds, kMostBytes / wanted)) / state, 4, kMostSlots);
  rows_ = std::min(wanted, kMostBytes / (slots_ * state + bounds));
  bound_.assign(rows_ * clusters, kForget);
  slot_.assign(rows_ * clusters, 0);
  state_.assign(rows_ * slots_ * d, 0.0f);
  projected_.assign(rows_ * slots_ * index_->directions, 0.0f);
  attached_.assign(rows_ * slots_, 0);
  noise_.assign(rows_, 0.0);
  hints_.assign(rows_, {});
  for (std::size_t m = 0; m < log_weights_.size(); ++m) {
    highest_weight_[m].resize(clusters);
    parallel_for_ranges(clusters, 64, [&](std::size_t first, std::size_t last) {
      for (std::size_t c = first; c < last; ++c) {
        double highest = -std::numeric_limits<double>::infinity();
        for (const std::uint32_t i : index_->atoms(c)) highest = std::max(highest, log_weights_[m][i]);
        highest_weight_[m][c] = std::nextafter(static_cast<float>(highest), std::numeric_limits<float>::infinity());
      }
    });
  }
}

bool RowMemory::knows(std::size_t row, double noise) const {
  return row < rows_ && noise_[row] > 0.0 && noise < kSameNoise * noise_[row] && noise_[row] < kSameNoise * noise;
}

double RowMemory::hint(const SoftAssignmentRequest& request, std::size_t row, std::size_t m) const {
  double best = -std::numeric_limits<double>::infinity();
  std::vector<double> atom(request.atoms->dim());
  for (const std::uint32_t i : hints_[row][m]) {
    request.atoms->copy_atom(i, atom);
    best = std::max(best, request.log_weights[m][i] + bare_logit(request, row, atom));
  }
  return best;
}

void RowMemory::keep(std::size_t row, double noise, const Hints& hints) {
  if (row >= rows_) return;
  noise_[row] = noise, hints_[row] = hints;
}

void RowMemory::forget(std::size_t row) {
  if (row >= rows_) return;
  const std::size_t clusters = index_->count();
  std::fill_n(bound_.data() + row * clusters, clusters, kForget);
  std::fill_n(slot_.data() + row * clusters, clusters, std::uint8_t{0});
  std::fill_n(attached_.data() + row * slots_, slots_, 0u);
  noise_[row] = 0.0;
}

/// along ≥ 2‖P(z − z_k)‖, across ≥ 2‖Q(z − z_k)‖ for the states k that bounds are about.
void RowMemory::displacements(std::size_t row, std::span<const float> z, std::span<const float> projected, std::span<float> along,
                              std::span<float> across) const {
  const std::size_t d = z.size();
  double size = 0.0;
  for (const float value : z) size += static_cast<double>(value) * static_cast<double>(value);
  size = std::sqrt(size);
  for (std::size_t k = 0; k < slots_; ++k) {
    if (attached_[row * slots_ + k] == 0) continue;
    const float* state = state_.data() + (row * slots_ + k) * d;
    const float* part = projected_.data() + (row * slots_ + k) * projected.size();
    float sums[16] = {};
    for (std::size_t j = 0; j + 16 <= d; j += 16)
      for (std::size_t l = 0; l < 16; ++l) sums[l] += (z[j + l] - state[j + l]) * (z[j + l] - state[j + l]);
    for (std::size_t j = d / 16 * 16; j < d; ++j) sums[j % 16] += (z[j] - state[j]) * (z[j] - state[j]);
    double square = 0.0, inside = 0.0;
    for (const float sum : sums) square += static_cast<double>(sum);
    for (std::size_t j = 0; j < projected.size(); ++j) {
      const double difference = static_cast<double>(projected[j]) - static_cast<double>(part[j]);
      inside += difference * difference;
    }
    // Sums of d/16 + 16 squares; both projections are off by slack ‖z‖ at most, and ‖z_k‖ ≤ ‖z‖ + ‖z − z_k‖.
    square *= 1.0 + kSingleUnit * (static_cast<double>(d) / 16.0 + 24.0);
    inside = std::sqrt(inside);
    const double sizes = 2.0 * size + std::sqrt(square), rounded = 2.0 * kSingleUnit * sizes;  // of both states to float32
    const double slack = index_->slack * sizes + kSingleUnit * inside;
    const double outside = std::sqrt(std::max(0.0, square - std::pow(std::max(0.0, inside - slack), 2)));
    along[k] = static_cast<float>(2.0 * (inside + slack + rounded) * (1.0 + 1e-6));
    across[k] = static_cast<float>(2.0 * (outside + rounded) * (1.0 + 1e-6));
  }
}

/// The state that the fewest bounds are about.
std::size_t RowMemory::free_slot(std::size_t row) const {
  const auto first = attached_.begin() + static_cast<std::ptrdiff_t>(row * slots_);
  return static_cast<std::size_t>(std::min_element(first, first + static_cast<std::ptrdiff_t>(slots_)) - first);
}

void RowMemory::expire(std::size_t row, std::span<const float> z, const Threshold& threshold, std::vector<std::uint32_t>& expired) {
  const std::size_t clusters = index_->count();
  expired.clear();
  if (row >= rows_) {
    for (std::size_t c = 0; c < clusters; ++c) expired.push_back(static_cast<std::uint32_t>(c));
    return;
  }
  std::vector<float> projected(index_->directions);
  index_->project(z, projected);
  float along[kMostSlots] = {}, across[kMostSlots] = {};
  displacements(row, z, projected, along, across);
  // What is about the state that makes room must be looked at again: its bounds sink below any threshold.
  const std::size_t fresh = free_slot(row);
  along[fresh] = across[fresh] = std::numeric_limits<float>::max();

  float* bound = bound_.data() + row * clusters;
  std::uint8_t* slot = slot_.data() + row * clusters;
  const float slope = static_cast<float>(threshold.slope);
  const float constant0 = static_cast<float>(threshold.constant[0]);
  const float constant1 = static_cast<float>(threshold.constant[threshold.measures - 1]);
  const float* weight0 = highest_weight_[0].data();
  const float* weight1 = highest_weight_[threshold.measures - 1].data();
  // Each side is a few roundings of float32 off.
  const auto below = [](float value, float size) { return value - kRoundings * size; };
  const auto above = [](float constant, float part) { return constant + part + kRoundings * (std::abs(constant) + std::abs(part)); };
  for (std::size_t c = 0; c < clusters; ++c) {
    const float moved = along[slot[c]] * index_->along[c] + across[slot[c]] * index_->across[c];
    const float lowest = below(bound[c] - moved, std::abs(bound[c]) + moved);
    const float reached = std::max(above(constant0, slope * weight0[c]), above(constant1, slope * weight1[c]));
    // Written so that a bound that is not a number counts as expired.
    if (!(lowest > reached)) expired.push_back(static_cast<std::uint32_t>(c));
  }
  if (expired.empty()) return;
  std::uint32_t* attached = attached_.data() + row * slots_;
  for (const std::uint32_t c : expired) {
    if (bound[c] > kForget) --attached[slot[c]];
    slot[c] = static_cast<std::uint8_t>(fresh);
    bound[c] = kForget;  // until it is recorded
    ++attached[fresh];
  }
  std::ranges::copy(z, state_.begin() + static_cast<std::ptrdiff_t>((row * slots_ + fresh) * z.size()));
  std::ranges::copy(projected, projected_.begin() + static_cast<std::ptrdiff_t>((row * slots_ + fresh) * projected.size()));
}

}  // namespace kernels
}  // namespace fslens
