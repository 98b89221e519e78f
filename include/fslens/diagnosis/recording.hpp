// Trajectories recorded elsewhere: states x_t at some times, or final samples alone.
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/diffusion/schedule.hpp"
#include "fslens/io/array.hpp"

namespace fslens {

/// Statistics need a sample.
inline constexpr std::size_t kFewestParticles = 10;

/// States of one sampler at decreasing times, as they were recorded.
class Recording {
 public:
  /// From `path` (.npz, or a directory of .npy): `t` (T,) with `x` (T, B, d); or `sigma` (T,) with `x` for variance
  /// exploding recordings; or `x0` (B, d) alone, which is then judged at t = 0. More than `max_times` times are thinned.
  /// @throws DataError naming the file, the array and the rule
  static Recording read(const std::string& path, const NoiseSchedule& schedule, std::size_t dim, std::size_t max_times);
  /// States that are at hand. @param times decreasing; 0 only as the last @shape states [T] of [B, d]
  /// @throws InvalidArgument where the shapes do not agree, or there are too few particles
  Recording(std::string name, std::vector<double> times, std::vector<Matrix> states);

  const std::string& name() const { return name_; }
  const std::vector<double>& times() const { return times_; }  ///< decreasing; {0} for final samples
  std::size_t num_particles() const { return num_particles_; }
  std::size_t dim() const { return dim_; }
  Matrix states(std::size_t index) const;  ///< at times()[index] [B, d]

 private:
  Recording() = default;

  std::string name_;
  std::vector<double> times_;
  std::vector<std::size_t> source_;  // index into x of each time
  std::size_t num_particles_ = 0;
  std::size_t dim_ = 0;
  std::variant<NumericArray, std::vector<Matrix>> x_;
};

}  // namespace fslens
