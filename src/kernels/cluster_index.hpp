// Atoms that lie close together, and how far they reach along few directions and across them.
//
// For a state z and an atom x_i, E_i(z) = ‖z − x_i‖² − ‖z − x̄‖² = ‖x_i − x̄‖² − 2⟨z − x̄, x_i − x̄⟩ is affine in z. With P the orthogonal
// projection on a few directions of large variance and Q = 1 − P,
//
//   E_i(z') ≥ E_i(z) − 2‖P(z' − z)‖ ‖P(x_i − x̄)‖ − 2‖Q(z' − z)‖ ‖Q(x_i − x̄)‖   (Cauchy–Schwarz),
//
// so that the smallest E_i of a cluster at one state bounds it at another. Noise has little along few directions, atoms have little
// across them: the two terms are together about half of 2‖z' − z‖ ‖x_i − x̄‖ for images.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "fslens/kernels/atom_table.hpp"

namespace fslens::kernels {

struct ClusterIndex {
  static constexpr std::size_t kAtoms = 64;   ///< of a cluster

  std::vector<std::uint32_t> order;           ///< the atoms, cluster by cluster [N]
  std::size_t directions = 0;                 ///< columns of the basis
  std::vector<float> basis;                   ///< orthonormal but for `slack` [d][directions]
  std::vector<float> along, across;           ///< ≥ max ‖P(x_i − x̄)‖, ≥ max ‖Q(x_i − x̄)‖ over a cluster [clusters]
  double slack = 0.0;                         ///< ‖computed P u − P u‖ ≤ slack ‖u‖, for u in float32

  std::size_t count() const { return along.size(); }
  std::span<const std::uint32_t> atoms(std::size_t cluster) const {
    const std::size_t first = cluster * kAtoms;
    return std::span(order).subspan(first, std::min(kAtoms, order.size() - first));
  }
  /// out ← P u in the basis. @shape u [d], out [directions]
  void project(std::span<const float> u, std::span<float> out) const;
};

/// Bytes that the index of a table takes beside it.
std::size_t cluster_index_bytes(const AtomTable& atoms);

/// Clusters by halving: the longest direction of the sixteen of largest variance, at its median, until kAtoms are left. Depends on the
/// atoms alone. Costs about 2 N d · 64 operations.
std::shared_ptr<const ClusterIndex> make_cluster_index(const AtomTable& atoms);

/// The index of a table, made once.
class SharedClusterIndex {
 public:
  std::shared_ptr<const ClusterIndex> of(const AtomTable& atoms) {
    std::call_once(made_, [&] { index_ = make_cluster_index(atoms); });
    return index_;
  }

 private:
  std::once_flag made_;
  std::shared_ptr<const ClusterIndex> index_;
};

}  // namespace fslens::kernels
