#include "screen.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "dense_block.hpp"
#include "error_bound.hpp"
#include "fslens/core/parallel.hpp"
#include "screen_lanes.hpp"

namespace fslens::kernels {
namespace {

constexpr std::size_t kGroupsPerScreen = 16;
constexpr std::size_t kScreenRows = 512;

/// One band of lane groups over a shard of the atoms.
class ByteScreen {
 public:
  ByteScreen(const ScreenRequest& screen, const FixedPointFormat& format, const LaneQueries& queries, std::size_t group,
             std::size_t num_groups, IntegerKernel kernel, ScreenLanes& lanes)
      : screen_(screen), format_(format), queries_(queries), group_(group), num_groups_(num_groups), kernel_(kernel), lanes_(lanes),
        found_(kStripRows * kLanes) {
    for (std::vector<float>& offsets : offsets_) offsets.resize(kScreenRows);
  }

  /// Looks at the atoms [begin, end).
  void run(std::size_t begin, std::size_t end) {
    const AtomTable& atoms = *screen_.request.atoms;
    std::vector<std::uint32_t> indices(kScreenRows);
    const AtomBlock* packed = atoms.packed()->of(atoms, format_);
    AtomPacker packer;
    BlockOffsets offsets;
    AlignedArray<std::int32_t> ints(2 * kStripRows * kLanes);
    for (std::size_t first = begin; first < end; first += kScreenRows) {
      const std::size_t valid = std::min(kScreenRows, end - first);
      std::iota(indices.begin(), indices.end(), static_cast<std::uint32_t>(first));
      const AtomBlock block = packed != nullptr ? part_of_block(*packed, first, valid)
                                                : packer.pack(atoms, format_, std::span(indices).first(valid), rounded_up(valid, kStepBytes));
      fill_offsets(screen_.request, block, offsets);
      for (std::size_t m = 0; m < lanes_.measures(); ++m)
        for (std::size_t r = 0; r < block.rows; ++r) offsets_[m][r] = static_cast<float>(offsets.measure[m][r]);
      const ProductScope scope(kernel_);
      for (std::size_t pair = 0; pair < num_groups_; pair += 2)
        if (!is_done(pair)) look(block, pair, ints);
    }
  }

 private:
  void look(const AtomBlock& block, std::size_t pair, AlignedArray<std::int32_t>& ints) {
    IntegerProduct product;
    product.row_stride = block.row_bytes;
    product.digit_stride = queries_.digits.digit_stride;
    product.steps = block.row_bytes / kStepBytes;
    product.out = ints.data();
    for (std::size_t g = 0; g < 2; ++g) product.digits[g] = queries_.digits.group(group_ + pair + g);
    for (std::size_t r = 0; r < block.rows; r += kStripRows) {
      product.planes[0] = block.planes[0] + r * block.row_bytes;
      kernel_(product);
      for (std::size_t g = 0; g < 2; ++g) collect(block, r, pair + g, ints.data() + g * kStripRows * kLanes);
    }
  }

  void collect(const AtomBlock& block, std::size_t row, std::size_t group, const std::int32_t* ints) {
    const std::size_t lane = group * kLanes;
    ScreenTask task;
    task.sums = {ints, 1, 0};
    task.scale = lanes_.scale(lane);
    for (std::size_t m = 0; m < lanes_.measures(); ++m) {
      task.offsets[m] = offsets_[m].data() + row;
      task.lowest[m] = lanes_.lowest(m, lane);
      task.best[m] = lanes_.best(m, lane);
    }
    const std::size_t count = lane_screen(task, found_.data());
    if (count == 0) return;
    std::uint32_t lanes[kLanes];
    std::iota(lanes, lanes + kLanes, static_cast<std::uint32_t>(lane));
    lanes_.take(std::span(found_).first(count), block.atoms.data() + row, lanes);
  }

  /// Every lane of two groups is crowded, or has no particle.
  bool is_done(std::size_t pair) const {
    for (std::size_t lane = pair * kLanes; lane < (pair + 2) * kLanes; ++lane)
      if (lanes_.is_open(lane)) return false;
    return true;
  }

  const ScreenRequest& screen_;
  const FixedPointFormat& format_;
  const LaneQueries& queries_;
  std::size_t group_, num_groups_;
  IntegerKernel kernel_;
  ScreenLanes& lanes_;
  std::vector<float> offsets_[2];
  std::vector<Candidate> found_;
};

/// Appends the atoms of a tile that are within the cut, allowing for errors, of the best seen under any measure.
class Float64Screen {
 public:
  Float64Screen(const ScreenRequest& screen, std::span<const std::size_t> particles)
      : screen_(screen), size_(request_size(screen.request)), queries_(pack_queries(screen.request, particles)), passed_(particles.size()) {
    for (std::vector<double>& best : best_) best.assign(particles.size(), -std::numeric_limits<double>::infinity());
  }

  void run(std::size_t first, Screened& out) {
    const SoftAssignmentRequest& request = screen_.request;
    const std::size_t d = request.atoms->dim(), size = tile_size(request);
    AtomTile tile;
    std::vector<double> dots(kGroup * size);
    for (std::size_t atom = 0; atom < request.atoms->count(); atom += size) {
      pack_tile(request, atom, false, tile);
      for (std::size_t g = 0; g < queries_.num_groups; ++g) {
        TileKernels::dots(tile.panels.data(), tile.size, d, queries_.packed.data() + g * d * kGroup, request.a / request.s2, dots.data());
        for (std::size_t r = 0; r < kGroup && g * kGroup + r < passed_.size(); ++r) collect(tile, dots.data() + r * size, g * kGroup + r);
      }
    }
    for (std::size_t p = 0; p < passed_.size(); ++p) {
      prune(p);
      if (passed_[p].size() > screen_.most) continue;
      for (const Logits& passed : passed_[p]) out.candidates[first + p].push_back(passed.atom);
    }
  }

 private:
  struct Logits {
    std::uint32_t atom;
    double logit[2];
  };

  double lowest(std::size_t m, std::size_t p) const {
    const double best = best_[m][p];
    return best - screen_.cut - 2.0 * dense_logit_error(screen_.request, size_, queries_.norms[p], best);
  }

  void collect(const AtomTile& tile, const double* dots, std::size_t p) {
    double needed[2];
    bool any = false;
    const std::size_t measures = screen_.request.log_weights.size();
    for (std::size_t m = 0; m < measures; ++m) {
      const double top = TileKernels::max_logit(dots, tile.offsets[m].data(), tile.size);
      best_[m][p] = std::max(best_[m][p], top);
      needed[m] = lowest(m, p);
      any = any || (top >= needed[m] && std::isfinite(top));
    }
    if (!any) return;
    for (std::size_t i = 0; i < tile.size; ++i) {
      Logits logits{static_cast<std::uint32_t>(tile.first + i), {}};
      bool kept = false;
      for (std::size_t m = 0; m < measures; ++m) {
        logits.logit[m] = dots[i] + tile.offsets[m][i];
        kept = kept || (logits.logit[m] >= needed[m] && std::isfinite(logits.logit[m]));
      }
      if (kept) passed_[p].push_back(logits);
    }
    if (passed_[p].size() > 2 * screen_.most + 256) prune(p);
  }

  void prune(std::size_t p) {
    std::erase_if(passed_[p], [&](const Logits& logits) {
      for (std::size_t m = 0; m < screen_.request.log_weights.size(); ++m)
        if (logits.logit[m] >= lowest(m, p) && std::isfinite(logits.logit[m])) return false;
      return true;
    });
  }

  const ScreenRequest& screen_;
  RequestSize size_;
  QueryBlock queries_;
  std::vector<double> best_[2];
  std::vector<std::vector<Logits>> passed_;
};

}  // namespace

void find_crowded(Screened& screened) {
  for (std::size_t p = 0; p < screened.candidates.size(); ++p)
    if (screened.candidates[p].empty()) screened.crowded.push_back(p);
}

double screening_cut(const SoftAssignmentRequest& request) {
  const auto atoms = static_cast<double>(request.atoms->count());
  const double reach = std::max(1.0, relative_score_error(request, 2.0 * request.atoms->radius()));
  return std::max(0.0, std::log(atoms * reach / (0.05 * std::min(request.tolerance, 1.0))));
}

Screened screen_bytes(const ScreenRequest& screen, IntegerKernel kernel) {
  const FixedPointFormat format = fixed_point_format(*screen.request.atoms, 1);
  const LaneQueries queries = lane_queries(screen.request, format, screen.particles, 1);
  Screened out;
  out.candidates.resize(screen.particles.size());
  const std::size_t bands = (queries.groups + kGroupsPerScreen - 1) / kGroupsPerScreen;
  const std::size_t count = screen.request.atoms->count(), blocks = (count + kScreenRows - 1) / kScreenRows;
  const std::size_t shards = std::clamp<std::size_t>((kScreenTasks + bands - 1) / bands, 1, std::max<std::size_t>(1, blocks / 4));
  std::vector<std::vector<ScreenLanes>> lanes(bands);
  const auto groups_of = [&](std::size_t band) { return std::min(kGroupsPerScreen, queries.groups - band * kGroupsPerScreen); };
  for (std::size_t band = 0; band < bands; ++band)
    for (std::size_t shard = 0; shard < shards; ++shard)
      lanes[band].emplace_back(screen, format, queries, band * kGroupsPerScreen * kLanes, groups_of(band) * kLanes);
  parallel_for(bands * shards, [&](std::size_t task) {
    const std::size_t band = task / shards, shard = task % shards;
    ByteScreen(screen, format, queries, band * kGroupsPerScreen, groups_of(band), kernel, lanes[band][shard])
        .run(blocks * shard / shards * kScreenRows, std::min(count, blocks * (shard + 1) / shards * kScreenRows));
  });
  out.make_room(screen.request.log_weights.size());
  parallel_for_ranges(screen.particles.size(), kLanes, [&](std::size_t begin, std::size_t end) {
    for (std::size_t p = begin; p < end; ++p) {
      const std::size_t band = p / (kGroupsPerScreen * kLanes), lane = p % (kGroupsPerScreen * kLanes);
      const std::vector<PassedAtom> passed = ScreenLanes::gather(lanes[band], lane, p, out);
      out.candidates[p].reserve(passed.size());
      for (const PassedAtom& atom : passed) out.candidates[p].push_back(atom.atom);
    }
  });
  out.pairs = static_cast<double>(screen.particles.size()) * static_cast<double>(count);
  find_crowded(out);
  return out;
}

Screened screen_float64(const ScreenRequest& screen) {
  constexpr std::size_t kParticles = 96;
  Screened out;
  out.candidates.resize(screen.particles.size());
  parallel_for_ranges(screen.particles.size(), kParticles, [&](std::size_t first, std::size_t last) {
    Float64Screen(screen, screen.particles.subspan(first, last - first)).run(first, out);
  });
  out.pairs = static_cast<double>(screen.particles.size()) * static_cast<double>(screen.request.atoms->count());
  find_crowded(out);
  return out;
}

}  // namespace fslens::kernels
