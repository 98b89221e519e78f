// The screen of particles whose last screen is remembered: only clusters whose bounds have expired are looked at.
#include <algorithm>
#include <cmath>
#include <limits>

#include "error_bound.hpp"
#include "fslens/core/parallel.hpp"
#include "row_memory.hpp"
#include "screen_lanes.hpp"

namespace fslens::kernels {
namespace {

static_assert(ClusterIndex::kAtoms % kStripRows == 0);

/// Which particles look at which cluster.
struct Visits {
  std::vector<std::size_t> first;          // [clusters + 1]
  std::vector<std::uint32_t> particles;    // positions, ascending within a cluster

  std::span<const std::uint32_t> of(std::size_t cluster) const {
    return std::span(particles).subspan(first[cluster], first[cluster + 1] - first[cluster]);
  }
};

Visits visits_of(const std::vector<std::vector<std::uint32_t>>& expired, std::size_t clusters) {
  Visits visits;
  visits.first.assign(clusters + 1, 0);
  for (const auto& list : expired)
    for (const std::uint32_t c : list) ++visits.first[c + 1];
  for (std::size_t c = 0; c < clusters; ++c) visits.first[c + 1] += visits.first[c];
  visits.particles.resize(visits.first[clusters]);
  std::vector<std::size_t> next(visits.first.begin(), visits.first.end() - 1);
  for (std::size_t p = 0; p < expired.size(); ++p)
    for (const std::uint32_t c : expired[p]) visits.particles[next[c]++] = static_cast<std::uint32_t>(p);
  return visits;
}

/// The digits of sixteen particles as one lane group: where they lie, if they are one, else a copy.
class GroupDigits {
 public:
  explicit GroupDigits(const LaneDigits& digits) : digits_(digits), copy_(digits.digit_stride) {}

  const std::int8_t* of(std::span<const std::uint32_t> lanes) {
    if (lanes.empty()) return digits_.group(0);  // not looked at
    const std::uint32_t first = lanes.front();
    if (first % kLanes == 0 && lanes.back() == first + lanes.size() - 1) return digits_.group(first / kLanes);
    std::int32_t offsets[kLanes] = {};
    for (std::size_t l = 0; l < lanes.size(); ++l)
      offsets[l] = static_cast<std::int32_t>(lanes[l] / kLanes * (digits_.group_stride / kWord) + lanes[l] % kLanes);
    lane_gather(reinterpret_cast<const std::int32_t*>(digits_.group(0)), offsets, digits_.digit_stride / (kLanes * kWord),
                reinterpret_cast<std::int32_t*>(copy_.data()));
    return copy_.data();
  }

 private:
  static constexpr std::size_t kWord = sizeof(std::int32_t);
  const LaneDigits& digits_;
  AlignedArray<std::int8_t> copy_;
};

/// The rows of a cluster lie anywhere: asked for while another is looked at, they are there in time.
void prefetch_atoms(const AtomTable& atoms, std::span<const std::uint32_t> indices) {
  for (const std::uint32_t i : indices) prefetch_atom(atoms, i);
}

/// A shard of the clusters.
class ClusterScreen {
 public:
  ClusterScreen(const ScreenRequest& screen, const FixedPointFormat& format, const LaneQueries& queries, IntegerKernel kernel,
                RowMemory& memory, ScreenLanes& lanes)
      : screen_(screen), format_(format), queries_(queries), kernel_(kernel), memory_(memory), lanes_(lanes),
        digits_{GroupDigits(queries.digits), GroupDigits(queries.digits)}, ints_(2 * kStripRows * kLanes), found_(kStripRows * kLanes) {
    const double slope = screen.request.a * screen.request.a / screen.request.s2;
    per_logit_ = 2.0 / slope;
  }

  void look(std::size_t cluster, std::span<const std::uint32_t> particles) {
    const AtomTable& atoms = *screen_.request.atoms;
    block_ = packer_.pack(atoms, format_, memory_.index().atoms(cluster), ClusterIndex::kAtoms);
    fill_offsets(screen_.request, block_, exact_);
    for (std::size_t r = 0; r < block_.rows; ++r) {
      for (std::size_t m = 0; m < lanes_.measures(); ++m) offsets_[m][r] = static_cast<float>(exact_.measure[m][r]);
      bare_[r] = r < block_.atoms.size() ? static_cast<float>(-exact_.squared_norms[r] / per_logit_) : -std::numeric_limits<float>::infinity();
    }
    for (std::size_t first = 0; first < particles.size(); first += 2 * kLanes) {
      const auto some = particles.subspan(first, std::min(2 * kLanes, particles.size() - first));
      look_at_pair(cluster, some.first(std::min(kLanes, some.size())), some.subspan(std::min(kLanes, some.size())));
    }
  }

 private:
  using Lanes = std::span<const std::uint32_t>;

  void look_at_pair(std::size_t cluster, Lanes first, Lanes second) {
    const Lanes lanes[2] = {first, second};
    IntegerProduct product;
    product.row_stride = block_.row_bytes;
    product.digit_stride = queries_.digits.digit_stride;
    product.steps = block_.row_bytes / kStepBytes;
    product.out = ints_.data();
    for (std::size_t g = 0; g < 2; ++g) product.digits[g] = digits_[g].of(lanes[g]);
    float best[2][kLanes];
    for (float(&group)[kLanes] : best) std::fill_n(group, kLanes, -std::numeric_limits<float>::infinity());
    const ProductScope scope(kernel_);
    for (std::size_t r = 0; r < block_.rows; r += kStripRows) {
      product.planes[0] = block_.planes[0] + r * block_.row_bytes;
      kernel_(product);
      for (std::size_t g = 0; g < 2; ++g)
        if (!lanes[g].empty()) collect(r, lanes[g], ints_.data() + g * kStripRows * kLanes, best[g]);
    }
    for (std::size_t g = 0; g < 2; ++g)
      for (std::size_t l = 0; l < lanes[g].size(); ++l) record(cluster, lanes[g][l], static_cast<double>(best[g][l]));
  }

  void collect(std::size_t row, Lanes lanes, const std::int32_t* ints, float* best_bare) {
    float scale[kLanes] = {}, lowest[2][kLanes], best[2][kLanes];
    for (std::size_t m = 0; m < 2; ++m) std::fill_n(lowest[m], kLanes, std::numeric_limits<float>::infinity());
    ScreenTask task;
    task.sums = {ints, 1, 0};
    task.scale = scale;
    for (std::size_t l = 0; l < lanes.size(); ++l) scale[l] = *lanes_.scale(lanes[l]);
    for (std::size_t m = 0; m < lanes_.measures(); ++m) {
      for (std::size_t l = 0; l < lanes.size(); ++l) lowest[m][l] = *lanes_.lowest(m, lanes[l]), best[m][l] = *lanes_.best(m, lanes[l]);
      task.offsets[m] = offsets_[m] + row, task.lowest[m] = lowest[m], task.best[m] = best[m];
    }
    task.bare_offsets = bare_ + row, task.best_bare = best_bare;
    const std::size_t count = lane_screen(task, found_.data());
    for (std::size_t m = 0; m < lanes_.measures(); ++m)
      for (std::size_t l = 0; l < lanes.size(); ++l) *lanes_.best(m, lanes[l]) = best[m][l];
    if (count > 0) lanes_.take(std::span(found_).first(count), block_.atoms.data() + row, lanes);
  }

  /// E = −(2s²/a²)(logit less the log-weight + shift) of the best atom, allowing for the errors of logit and shift.
  void record(std::size_t cluster, std::uint32_t lane, double best) {
    const double d = static_cast<double>(screen_.request.atoms->dim());
    const double shift = queries_.shift[lane] + kUnit * (d / 8.0 + 16.0) * 128.0 * 256.0 * d * queries_.scale[lane];
    const double bound = -per_logit_ * (best + lanes_.error(lane, best) + shift);
    memory_.record(screen_.particles[lane], cluster, std::nextafter(static_cast<float>(bound), -std::numeric_limits<float>::infinity()));
  }

  const ScreenRequest& screen_;
  const FixedPointFormat& format_;
  const LaneQueries& queries_;
  IntegerKernel kernel_;
  RowMemory& memory_;
  ScreenLanes& lanes_;
  GroupDigits digits_[2];
  double per_logit_;
  AtomPacker packer_;
  AtomBlock block_;
  BlockOffsets exact_;
  float offsets_[2][ClusterIndex::kAtoms] = {}, bare_[ClusterIndex::kAtoms] = {};
  AlignedArray<std::int32_t> ints_;
  std::vector<Candidate> found_;
};

/// Clusters that particle p must look at.
void find_expired(const ScreenRequest& screen, const LaneQueries& queries, const ScreenLanes& lanes, std::size_t p, RowMemory& memory, std::vector<std::uint32_t>& expired) {
  const SoftAssignmentRequest& request = screen.request;
  const auto x = request.x.row(screen.particles[p]);
  std::vector<float> z(x.size());
  for (std::size_t k = 0; k < z.size(); ++k) z[k] = static_cast<float>((x[k] - request.a * request.atoms->center()[k]) / request.a);
  // logit = log w − E a²/2s² − shift; below `lowest` an atom may be left out.
  RowMemory::Threshold threshold;
  threshold.slope = 2.0 * request.s2 / (request.a * request.a);
  threshold.measures = lanes.measures();
  for (std::size_t m = 0; m < threshold.measures; ++m)
    threshold.constant[m] = -threshold.slope * (static_cast<double>(*lanes.lowest(m, p)) + queries.shift[p]);
  memory.expire(screen.particles[p], z, threshold, expired);
}

/// Atoms with the best screened logits under each measure.
RowMemory::Hints hints_of(std::span<const PassedAtom> passed, std::size_t measures) {
  RowMemory::Hints hints;
  for (std::size_t m = 0; m < 2; ++m) {
    const auto logit = [&](std::size_t i) { return passed[i].logit[std::min(m, measures - 1)]; };
    std::size_t best = 0, next = 0;
    for (std::size_t i = 1; i < passed.size(); ++i) {
      if (logit(i) > logit(best)) next = best, best = i;
      else if (next == best || logit(i) > logit(next)) next = i;
    }
    hints[m] = {passed[best].atom, passed[next].atom};
  }
  return hints;
}

}  // namespace

Screened screen_clusters(const ScreenRequest& screen, IntegerKernel kernel, RowMemory& memory) {
  const SoftAssignmentRequest& request = screen.request;
  const FixedPointFormat format = fixed_point_format(*request.atoms, 1);
  const LaneQueries queries = lane_queries(request, format, screen.particles, 1);
  const std::size_t count = screen.particles.size(), clusters = memory.index().count();
  const ScreenLanes by_hints(screen, format, queries, 0, queries.groups * kLanes);
  std::vector<std::vector<std::uint32_t>> expired(count);
  parallel_for(count, [&](std::size_t p) { find_expired(screen, queries, by_hints, p, memory, expired[p]); });
  const Visits visits = visits_of(expired, clusters);

  const std::size_t shards = std::min(kScreenTasks, clusters);
  std::vector<ScreenLanes> lanes(shards, by_hints);
  parallel_for(shards, [&](std::size_t shard) {
    ClusterScreen task(screen, format, queries, kernel, memory, lanes[shard]);
    const std::size_t last = clusters * (shard + 1) / shards;
    const auto next_visited = [&](std::size_t c) {
      while (c < last && visits.of(c).empty()) ++c;
      return c;
    };
    for (std::size_t c = next_visited(clusters * shard / shards); c < last;) {
      const std::size_t next = next_visited(c + 1);
      if (next < last) prefetch_atoms(*request.atoms, memory.index().atoms(next));
      task.look(c, visits.of(c));
      c = next;
    }
  });

  Screened out;
  out.candidates.resize(count);
  out.pairs = static_cast<double>(visits.particles.size()) * ClusterIndex::kAtoms;
  const double noise = noise_of(request);
  out.make_room(lanes.front().measures());
  parallel_for(count, [&](std::size_t p) {
    const std::vector<PassedAtom> passed = ScreenLanes::gather(lanes, p, p, out);
    if (passed.empty()) return memory.forget(screen.particles[p]);
    out.candidates[p].reserve(passed.size());
    for (const PassedAtom& atom : passed) out.candidates[p].push_back(atom.atom);
    std::ranges::sort(out.candidates[p]);
    memory.keep(screen.particles[p], noise, hints_of(passed, lanes.front().measures()));
  });
  find_crowded(out);
  return out;
}

}  // namespace fslens::kernels
