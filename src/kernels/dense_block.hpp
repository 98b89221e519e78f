// A block of particles in the float64 pass: what both of its sweeps share.
#pragma once

#include <array>
#include <cstdint>

#include "particle_block.hpp"
#include "tile_kernels.hpp"

namespace fslens::kernels {

/// What one measure has accumulated for a block of particles, relative to the running maximum of each.
struct DenseSums {
  std::vector<double> best;      // [P], −∞ before the first atom
  std::vector<double> weight;    // Σ w
  std::vector<double> moments;   // [P][row_stride]: Σ w c_i, Σ w ‖c_i‖²
  std::vector<double> features;  // [P][feature_stride]: Σ w φ_i

  void rescale(std::size_t p, double new_best, std::size_t row_stride, std::size_t feature_stride);
};

class DenseBlock {
 public:
  DenseBlock(const SoftAssignmentRequest& request, std::span<const std::size_t> particles);

  /// First sweep: moments under every measure.
  void sweep(const AtomTiles& tiles);
  /// Writes moments and bounds; returns the particles whose error exceeds the tolerance (their rows are written all the same).
  std::vector<std::size_t> write(SoftAssignmentResult& result);
  /// Second sweep, after write(): C v. The weights of the first are used again where they were kept.
  void multiply(const AtomTiles& tiles, SoftAssignmentResult& result);

 private:
  void visit_tile(const AtomTile& tile, std::size_t index, std::size_t group);
  void fill_dots(const AtomTile& tile, std::size_t group);
  void weigh(const AtomTile& tile, std::size_t group, std::size_t m);
  void accumulate(const AtomTile& tile, std::size_t group, std::size_t m, std::size_t num_live);
  double write_measure(std::size_t m, std::size_t p, SoftAssignmentMoments& out);
  /// Bounds of particle p under measure m; `judged` ← what is held against the tolerance.
  MomentError error_of(std::size_t m, std::size_t p, double second, double centered, double log_normaliser, double& judged) const;

  void keep_weights(std::size_t num_tiles);
  void take_directions(SoftAssignmentResult& result);
  void pack_direction(std::size_t p, std::span<const double> v, std::span<const double> mean);
  void weigh_again(const AtomTile& tile, std::size_t index, std::size_t group);
  void accumulate_product(const AtomTile& tile, std::size_t group, std::size_t num_live);
  void gather_panels(const AtomTile& tile, std::size_t num_live);
  void write_product(std::size_t p, SoftAssignmentResult& result) const;

  const SoftAssignmentRequest& request_;
  RequestSize size_;
  QueryBlock queries_;
  std::size_t tile_size_;
  std::size_t num_tiles_ = 0;
  std::size_t row_stride_;
  std::size_t feature_stride_;
  double feature_size_ = 0.0;
  bool want_moments_;
  double cut_;
  std::array<DenseSums, 2> sums_;
  std::vector<double> dots_, weights_;
  std::vector<std::uint32_t> live_;

  std::vector<double> directions_, direction_offset_, along_;  // v packed as queries; ⟨m − x̄, v⟩; ⟨c_i, v⟩ of a tile
  Matrix means_;                       // that the directions are about [particles, d]
  std::vector<double> product_, product_weight_, direction_norm_;
  std::vector<MomentError> errors_;    // under measure 0
  std::vector<double> gathered_;       // panels of the live atoms of a tile
  std::vector<double> kept_, kept_best_;  // [tile][group][kGroup][tile size] weights and [tile][group][kGroup] their maximum then
};

}  // namespace fslens::kernels
