// Which atoms can matter to a particle: a cheap pass over all of them with a proven bound on its own error.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fixed_point_pass.hpp"

namespace fslens::kernels {

struct Screened {
  std::vector<std::vector<std::uint32_t>> candidates;  ///< by particle, ascending: every atom within `cut` of the best, and maybe more
  std::vector<std::size_t> crowded;                    ///< positions of particles with more than `most` candidates: theirs are empty
  std::vector<double> reached[2];                      ///< by some atom: a logit as Probe::reference has it, by measure and particle; empty for a measure that is not there
  double pairs = 0.0;                                  ///< particle–atom pairs that were looked at

  /// For what the candidates' particles reach under this many measures.
  void make_room(std::size_t measures) {
    for (std::size_t m = 0; m < measures; ++m) reached[m].resize(candidates.size());
  }
};
/// crowded ← the particles without candidates.
void find_crowded(Screened& screened);

struct ScreenRequest {
  const SoftAssignmentRequest& request;
  std::span<const std::size_t> particles;
  double cut = 0.0;           ///< e^{−cut} of the best is what may be left out
  std::size_t most = 0;       ///< candidates of a particle
  std::span<const double> hint[2] = {};  ///< a logit that some atom reaches, as Probe::reference has it, or empty
};

/// One byte product a pair: q in one digit, the atoms in one plane.
Screened screen_bytes(const ScreenRequest& screen, IntegerKernel kernel);
class RowMemory;
/// The same, but for clusters of atoms that `memory` excludes. `memory` must be prepared for the request.
Screened screen_clusters(const ScreenRequest& screen, IntegerKernel kernel, RowMemory& memory);
/// A float64 product a pair.
Screened screen_float64(const ScreenRequest& screen);

/// Asks for the values of an atom that will be read soon.
inline void prefetch_atom(const AtomTable& atoms, std::size_t i) {
  constexpr std::size_t kLine = 64;
  const std::byte* values = atoms.stored_atom(i);
  for (std::size_t k = 0; k < atoms.dim() * bytes_of(atoms.type()); k += kLine) __builtin_prefetch(values + k, 0, 1);
}

/// How far below the best an atom may count at the request's tolerance.
double screening_cut(const SoftAssignmentRequest& request);

/// Drops candidates which cannot count, by more precise logits, and others which together weigh no more than N e^{−cut} times the best.
void prune_candidates(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, double cut, Screened& screened);

/// Exact moments over the candidates, from direct differences in float64: the deviations x − a x_i are never expanded.
void direct_pass(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Screened& screened, double cut,
                 SoftAssignmentResult& result);

/// nearest[b] ← the candidate closest to x_b/a: argmin ‖x_b − a x_i‖, ties: the first.
void nearest_pass(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Screened& screened,
                  std::vector<std::size_t>& nearest);

}  // namespace fslens::kernels
