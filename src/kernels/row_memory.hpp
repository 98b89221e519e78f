// Bounds on the distances from rows to clusters, each about one of the last states of its row.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cluster_index.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "row_looks.hpp"

namespace fslens::kernels {

/// Rows and clusters; E as in cluster_index.hpp, z = x/a less the centre.
class RowMemory {
 public:
  explicit RowMemory(bool keeps_probes = false) : keeps_probes_(keeps_probes) {}
  /// Forgets everything if the atoms or the log-weights are not those of the last call. @return is it worth screening by clusters now?
  /// `looks` serve in any case. Builds the index once the passes without it have cost as much.
  bool prepare(const SoftAssignmentRequest& request, std::size_t num_particles);

  const ClusterIndex& index() const { return *index_; }
  /// max log-weight of a cluster under measure m [clusters]
  std::span<const float> highest_weight(std::size_t m) const { return highest_weight_[m]; }

  /// Was the row screened at about this noise, with few candidates? Then `hints_of` tells atoms that were good for it.
  bool knows(std::size_t row, double noise) const;
  /// A logit that one of those atoms reaches under measure m, with the log-weight and less ‖x − a x_i‖²/2s².
  double hint(const SoftAssignmentRequest& request, std::size_t row, std::size_t m) const;

  /// What must be looked at again: clusters c where E may be ≤ max_m(threshold[m] + slope · highest_weight_m[c]) for an atom, with
  /// z [d] in float32. Those clusters are taken to be looked at: see `record`.
  struct Threshold {
    double constant[2] = {};
    double slope = 0.0;
    std::size_t measures = 1;
  };
  void expire(std::size_t row, std::span<const float> z, const Threshold& threshold, std::vector<std::uint32_t>& expired);
  /// E ≥ bound for the cluster's atoms at the row's state of this pass.
  void record(std::size_t row, std::size_t cluster, float bound) {
    if (row < rows_) bound_[row * index_->count() + cluster] = bound;
  }
  using Hints = std::array<std::array<std::uint32_t, 2>, 2>;  ///< by measure
  void keep(std::size_t row, double noise, const Hints& hints);
  /// The row has too many candidates: its bounds are of no use.
  void forget(std::size_t row);

  /// Which rows were crowded, and, if it keeps them, what the last probes said, whatever the number of atoms.
  RowLooks& looks() { return looks_; }
  bool keeps_probes() const { return keeps_probes_; }

  /// Takes the memory for one call. @return false if another has it: perhaps one that this thread is in the middle of
  bool take() { return !busy_.test_and_set(); }
  void give_back() { busy_.clear(); }

 private:
  void allot(const SoftAssignmentRequest& request);
  void displacements(std::size_t row, std::span<const float> z, std::span<const float> projected, std::span<float> along,
                     std::span<float> across) const;
  std::size_t free_slot(std::size_t row) const;

  static constexpr std::size_t kMostSlots = 16;

  std::atomic_flag busy_;
  std::shared_ptr<SharedClusterIndex> table_;  // of the atoms, held: no other table can be taken for it
  std::vector<std::span<const double>> log_weights_;
  double pairs_ = 0.0;                      // screened without an index
  std::shared_ptr<const ClusterIndex> index_;
  std::vector<float> highest_weight_[2];
  std::size_t wanted_rows_ = 0;
  std::size_t rows_ = 0, slots_ = 0;        // rows that there is room for; states that a row keeps
  std::vector<float> bound_;                // [rows][clusters]
  std::vector<std::uint8_t> slot_;          // the state that a bound is about [rows][clusters]
  std::vector<float> state_, projected_;    // [rows][slots][d], [rows][slots][directions]
  std::vector<std::uint32_t> attached_;     // bounds about a state [rows][slots]
  std::vector<double> noise_;               // s/a of the last screen, 0: none [rows]
  std::vector<Hints> hints_;
  bool keeps_probes_;
  RowLooks looks_;
};

}  // namespace fslens::kernels
