// What one step of a sampler is, rather than a draw of it.
#pragma once

#include <cstdint>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {

/// The law of x_u given x_t = x_b: Σ_q weight_q N(mean_q(x_b), variance I). One component for a step that draws its noise once; for
/// one whose mean depends on an earlier draw, quadrature nodes over that draw.
struct StepLaw {
  std::vector<double> weight;  ///< [Q], sums to 1
  std::vector<Matrix> mean;    ///< [Q], each [B, d]
  double variance = 0.0;       ///< v; 0: deterministic, x_u = mean
};

/// x ← mean + √variance ε with ε_j of particle b = stream.normal(step, b, first_coordinate + j); mean where variance = 0.
/// @shape mean, x [B, d]
void draw_step(ConstBatchView mean, double variance, std::uint64_t step, const RandomStream& stream,
               std::size_t first_coordinate, BatchView x);

}  // namespace fslens
