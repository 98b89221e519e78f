// Passes over atoms as doubles, a block at a time: N × d doubles never exist at once.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/prior/empirical_prior.hpp"

namespace fslens {

inline constexpr std::size_t kAtomsPerBlock = 1024;

/// Calls f(first, x_i − x̄ of a block of atoms [n, d]) for all blocks, from several threads at once.
template <class F>
void parallel_for_atom_blocks(const AtomTable& atoms, const F& f) {
  parallel_for((atoms.count() + kAtomsPerBlock - 1) / kAtomsPerBlock, [&](std::size_t block) {
    const std::size_t first = block * kAtomsPerBlock;
    Matrix centred(std::min(kAtomsPerBlock, atoms.count() - first), atoms.dim());
    for (std::size_t i = 0; i < centred.rows(); ++i) {
      atoms.copy_atom(first + i, centred.row(i));
      for (std::size_t k = 0; k < atoms.dim(); ++k) centred(i, k) -= atoms.center()[k];
    }
    f(first, centred);
  });
}

}  // namespace fslens
