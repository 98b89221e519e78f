// Projections of a sample on directions.
#pragma once

#include "fslens/core/matrix.hpp"

namespace fslens::metrics_internal {

/// out(k, b) = ⟨directions.row(k), x.row(b)⟩, one direction a row, in parallel over blocks of particles.
/// @shape x [B, d], directions [K, d] → [K, B]
Matrix project_on_directions(ConstBatchView x, MatrixView<const double> directions);

}  // namespace fslens::metrics_internal
