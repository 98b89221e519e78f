// The grain of work that the guidance methods share among threads.
#pragma once

#include <cstddef>

namespace fslens {

inline constexpr std::size_t kParticlesPerTask = 64;

}  // namespace fslens
