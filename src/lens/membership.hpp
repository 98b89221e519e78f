// The modes of a partition as features of the components.
#pragma once

#include <algorithm>
#include <cstddef>

#include "fslens/core/error.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/prior/modes.hpp"

namespace fslens {

/// φ_ik = 1 if component i belongs to mode k, else 0: its weighted mean is the responsibility of the mode. `modes` must outlive it.
inline AtomFeatures membership_features(const ModePartition& modes, std::size_t num_components) {
  require_size("modes", modes.mode_of_component.size(), num_components, "one a component");
  AtomFeatures membership;
  membership.size = modes.num_modes();
  membership.fill = [&modes](std::size_t first, std::size_t count, double* values) {
    std::fill_n(values, count * modes.num_modes(), 0.0);
    for (std::size_t i = 0; i < count; ++i) values[i * modes.num_modes() + modes.mode_of_component[first + i]] = 1.0;
  };
  return membership;
}

}  // namespace fslens
