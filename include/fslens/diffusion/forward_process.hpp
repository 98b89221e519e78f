// Draws of the forward (noising) process.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fslens/core/error.hpp"
#include "fslens/core/matrix.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/diffusion/schedule.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {

/// out ← a(t) x_0 + b(t) + s(t) ε, row by row, with ε_bj = stream.normal(step, b, j).
/// @shape x0, out [B, d]; out may be x0 itself
/// @throws InvalidArgument unless 0 < t ≤ schedule.t_max() and the shapes agree
inline void forward_draw(const NoiseSchedule& schedule, ConstBatchView x0, double t, const RandomStream& stream,
                         std::uint64_t step, BatchView out) {
  schedule.require_time("t", t);
  require_size("out.rows", out.rows(), x0.rows(), "the particles of x0");
  require_size("out.cols", out.cols(), x0.cols(), "the dimension of x0");
  const double a = schedule.a(t);
  const double b = schedule.shift(t);
  const double s = schedule.s(t);
  Matrix noise(x0.rows(), x0.cols());
  stream.fill_normal(step, noise);
  constexpr std::size_t kParticlesPerTask = 64;
  parallel_for_ranges(x0.rows(), kParticlesPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t p = first; p < last; ++p)
      for (std::size_t j = 0; j < x0.cols(); ++j) out(p, j) = a * x0(p, j) + b + s * noise(p, j);
  });
}

}  // namespace fslens
