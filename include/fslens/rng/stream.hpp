// Counter-based random numbers: the value of a draw is a pure function of where it is used.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "fslens/core/matrix.hpp"

namespace fslens {

/// A stream of random numbers addressed by (step, particle, coordinate), from Philox4x32-10.
///
/// A stream holds no state: asking twice gives the same value, in any order and from any thread.
/// Independent streams are made by `child`: one for each purpose, replicate or sampler.
/// @source salmon2011parallel
class RandomStream {
 public:
  explicit RandomStream(std::uint64_t seed) : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)} {}

  /// An independent stream, a pure function of this one and the name (and index).
  RandomStream child(std::string_view purpose, std::uint64_t index = 0) const;

  /// This stream, seen from a later particle: what it calls particle b is particle first + b here, in its children too.
  /// A block of rows of a batch then has the draws that the rows have in the whole batch.
  RandomStream from_particle(std::uint64_t first) const;

  /// Uniform in (0, 1), 53 bits, never 0 nor 1.
  double uniform(std::uint64_t step, std::uint64_t particle, std::uint64_t coordinate = 0) const;
  /// Standard normal (Box–Muller on a pair of coordinates).
  double normal(std::uint64_t step, std::uint64_t particle, std::uint64_t coordinate = 0) const;
  /// out(b, j) = normal(step, b, j) for the whole batch, in parallel.
  void fill_normal(std::uint64_t step, BatchView out) const;

 private:
  /// The first two words of a counter, and the last two.
  std::uint64_t place_of(std::uint64_t particle, std::uint64_t block) const;
  static std::array<std::uint32_t, 2> counter_of(std::uint64_t step);

  std::array<std::uint32_t, 2> key_;
  std::uint64_t first_particle_ = 0;
};

}  // namespace fslens
