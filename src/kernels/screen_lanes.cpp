#include "screen_lanes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "error_bound.hpp"

namespace fslens::kernels {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr std::size_t kUsuallyPassed = 64;  // few lists are longer: room for them is taken once

}  // namespace

ScreenLanes::ScreenLanes(const ScreenRequest& screen, const FixedPointFormat& format, const LaneQueries& queries, std::size_t first,
                         std::size_t count)
    : screen_(screen), queries_(queries), first_(first), measures_(screen.request.log_weights.size()), scale_(count), error_at_zero_(count),
      error_per_logit_(8.0 * kSingleUnit + kOffsetRoundingPerLogit), passed_(count), crowded_(count, false) {
  const double d = static_cast<double>(screen.request.atoms->dim());
  const RequestSize size = request_size(screen.request);
  for (std::size_t lane = 0; lane < count; ++lane) {
    scale_[lane] = static_cast<float>(queries.scale[first + lane]);
    const double products = static_cast<double>(std::abs(scale_[lane])) * 128.0 * 255.0 * d;
    const double digits = digit_error(screen.request, format, queries, first + lane, 1);
    error_at_zero_[lane] = digits + 8.0 * kSingleUnit * (products + screen.cut + 2.0 * digits) +
                           offset_rounding(screen.request, size, queries.norm[first + lane], 0.0, screen.cut);
  }
  for (std::size_t m = 0; m < measures_; ++m) best_[m].assign(count, kNothing), lowest_[m].assign(count, kNothing);
  for (std::size_t lane = 0; lane < count; ++lane) raise(lane);
}

/// lowest ← what an atom must reach, by the best so far and by the hint.
void ScreenLanes::raise(std::size_t lane) {
  const std::size_t p = first_ + lane;
  if (!is_open(lane)) return close(lane);
  for (std::size_t m = 0; m < measures_; ++m) {
    double best = static_cast<double>(best_[m][lane]);
    if (!screen_.hint[m].empty() && std::isfinite(screen_.hint[m][p])) {
      // The hint was found with more digits: its own error is below that of this screen.
      const double hint = screen_.hint[m][p] - queries_.constant[p];
      best = std::max(best, hint - error(lane, hint));
    }
    if (!std::isfinite(best)) continue;
    const double lowest = best - screen_.cut - 2.0 * error(lane, best);
    lowest_[m][lane] = std::nextafter(static_cast<float>(lowest), kNothing);
  }
}

void ScreenLanes::close(std::size_t lane) {
  for (std::size_t m = 0; m < measures_; ++m) lowest_[m][lane] = std::numeric_limits<float>::infinity();
}

void ScreenLanes::take(std::span<const Candidate> found, const std::uint32_t* atoms, std::span<const std::uint32_t> lanes) {
  std::uint32_t seen = 0;
  for (const Candidate& candidate : found) {
    const std::uint32_t lane = lanes[candidate.lane];
    // Rows past the last atom, and atoms without weight, pass where nothing is known yet.
    if (crowded_[lane] || !(std::isfinite(candidate.logit[0]) || std::isfinite(candidate.logit[1]))) continue;
    if (passed_[lane].capacity() == 0) passed_[lane].reserve(kUsuallyPassed);
    passed_[lane].push_back({atoms[candidate.row], {candidate.logit[0], candidate.logit[1]}});
    seen |= 1u << candidate.lane;
  }
  for (std::size_t l = 0; l < lanes.size(); ++l)
    if ((seen >> l & 1u) != 0) settle(lanes[l]);
}

/// After new candidates: a higher threshold, and an end to lists that grow too long.
void ScreenLanes::settle(std::size_t lane) {
  raise(lane);
  if (passed_[lane].size() <= 2 * screen_.most + 256) return;
  prune(lane);
  if (passed_[lane].size() <= screen_.most) return;
  crowded_[lane] = true;
  passed_[lane] = {};
  close(lane);
}

/// Drops the candidates that a later, better atom has made irrelevant.
void ScreenLanes::prune(std::size_t lane) {
  std::erase_if(passed_[lane], [&](const PassedAtom& passed) {
    for (std::size_t m = 0; m < measures_; ++m)
      if (passed.logit[m] >= lowest_[m][lane] && std::isfinite(passed.logit[m])) return false;
    return true;
  });
}

std::vector<PassedAtom> ScreenLanes::gather(std::vector<ScreenLanes>& shards, std::size_t lane, std::size_t p, Screened& screened) {
  const ScreenLanes& front = shards.front();
  for (std::size_t m = 0; m < front.measures_; ++m) {
    float best = kNothing;
    for (const ScreenLanes& shard : shards) best = std::max(best, shard.best_[m][lane]);
    for (ScreenLanes& shard : shards) shard.best_[m][lane] = best;
    const auto logit = static_cast<double>(best);
    screened.reached[m][p] = std::isfinite(logit) ? logit - front.error(lane, logit) + front.queries_.constant[front.first_ + lane] : logit;
  }
  std::vector<PassedAtom> all;
  bool crowded = false;
  for (ScreenLanes& shard : shards) {
    shard.raise(lane);
    shard.prune(lane);
    crowded = crowded || shard.crowded_[lane];
    if (all.empty()) all = std::move(shard.passed_[lane]);
    else all.insert(all.end(), shard.passed_[lane].begin(), shard.passed_[lane].end());
    shard.passed_[lane] = {};
  }
  if (crowded || all.size() > shards.front().screen_.most) all.clear();
  return all;
}

}  // namespace fslens::kernels
