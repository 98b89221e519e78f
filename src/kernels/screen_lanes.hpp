// What a screen with byte products knows of each particle: the best logit so far, what an atom must reach, and the atoms that do.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "lane_kernels.hpp"
#include "lane_queries.hpp"
#include "screen.hpp"

namespace fslens::kernels {

/// An atom that passed, with its screened logits.
struct PassedAtom {
  std::uint32_t atom;
  float logit[2];
};

/// Some lanes of the queries over a shard of the atoms. Logits are less the constant of the particle.
class ScreenLanes {
 public:
  /// Lanes [first, first + count) of the queries, by the hints alone.
  ScreenLanes(const ScreenRequest& screen, const FixedPointFormat& format, const LaneQueries& queries, std::size_t first, std::size_t count);

  std::size_t measures() const { return measures_; }
  const float* scale(std::size_t lane) const { return scale_.data() + lane; }
  const float* lowest(std::size_t m, std::size_t lane) const { return lowest_[m].data() + lane; }
  float* best(std::size_t m, std::size_t lane) { return best_[m].data() + lane; }
  /// Has a particle, and not too many candidates.
  bool is_open(std::size_t lane) const { return first_ + lane < queries_.particles.size() && !crowded_[lane]; }
  /// Error of a screened logit of an atom that counts where the best is `best`.
  double error(std::size_t lane, double best) const { return error_at_zero_[lane] + error_per_logit_ * std::abs(best); }

  /// Takes what one strip found; `atoms` are the strip's, `lanes` the lane of each place of the group.
  void take(std::span<const Candidate> found, const std::uint32_t* atoms, std::span<const std::uint32_t> lanes);

  /// What passed on a lane in any shard, by the best of all shards. Clears the shards' lists. @return empty also if the lane is crowded
  /// What the best atom seen on it reaches at least goes to screened.reached of particle p.
  static std::vector<PassedAtom> gather(std::vector<ScreenLanes>& shards, std::size_t lane, std::size_t p, Screened& screened);

 private:
  void raise(std::size_t lane);
  void settle(std::size_t lane);
  void prune(std::size_t lane);
  void close(std::size_t lane);

  const ScreenRequest& screen_;
  const LaneQueries& queries_;
  std::size_t first_, measures_;
  std::vector<float> best_[2], lowest_[2], scale_;
  std::vector<double> error_at_zero_;
  double error_per_logit_;
  std::vector<std::vector<PassedAtom>> passed_;
  std::vector<bool> crowded_;
};

/// Sharding of a screen: of the problem alone, never of the threads.
inline constexpr std::size_t kScreenTasks = 16;

}  // namespace fslens::kernels
