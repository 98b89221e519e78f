#include "atom_tile.hpp"

#include <algorithm>
#include <limits>

#include "error_bound.hpp"
#include "fslens/core/parallel.hpp"
#include "tile_kernels.hpp"

namespace fslens::kernels {

std::size_t tile_size(const SoftAssignmentRequest& request) {
  // Rows and panels together stay within half of a 1 MiB second-level cache.
  constexpr std::size_t kTileBytes = 256 * 1024;
  const std::size_t fitting = kTileBytes / (sizeof(double) * request.atoms->dim());
  const std::size_t needed = (request.atoms->count() + kPanel - 1) / kPanel * kPanel;
  return std::clamp(fitting / kPanel * kPanel, kPanel, std::min<std::size_t>(8 * kPanel, std::max(needed, kPanel)));
}

namespace {

void pack_centered(const AtomTable& atoms, std::size_t valid, bool with_rows, AtomTile& tile) {
  const std::size_t d = atoms.dim();
  const auto center = atoms.center();
  std::vector<double> atom(d);
  for (std::size_t i = 0; i < valid; ++i) {
    atoms.copy_atom(tile.first + i, atom);
    double* panel = tile.panels.data() + (i / kPanel) * d * kPanel + i % kPanel;
    double* packed = with_rows ? tile.rows.data() + i * tile.row_stride : nullptr;
    for (std::size_t k = 0; k < d; ++k) {
      const double c = atom[k] - center[k];
      panel[k * kPanel] = c;
      if (packed != nullptr) packed[k] = c;
    }
  }
}

void pack_features(const AtomFeatures& features, std::size_t valid, AtomTile& tile) {
  tile.feature_stride = padded_columns(features.size);
  tile.features.assign(tile.size * tile.feature_stride, 0.0);
  std::vector<double> values(valid * features.size);
  features.fill(tile.first, valid, values.data());
  for (std::size_t i = 0; i < valid; ++i)
    for (std::size_t j = 0; j < features.size; ++j)
      tile.features[i * tile.feature_stride + j] = values[i * features.size + j];
}

}  // namespace

void pack_tile(const SoftAssignmentRequest& request, std::size_t first, bool with_rows, AtomTile& tile) {
  const AtomTable& atoms = *request.atoms;
  const std::size_t d = atoms.dim();
  tile.first = first;
  tile.size = tile_size(request);
  const std::size_t valid = std::min(tile.size, atoms.count() - first);
  tile.row_stride = padded_columns(d + 1);
  if (valid < tile.size || tile.panels.empty()) tile.panels.assign(tile.size * d, 0.0);
  if (with_rows && (valid < tile.size || tile.rows.empty())) tile.rows.assign(tile.size * tile.row_stride, 0.0);

  pack_centered(atoms, valid, with_rows, tile);
  if (with_rows)
    for (std::size_t i = 0; i < valid; ++i)
      tile.rows[i * tile.row_stride + d] = atoms.centered_squared_norms()[first + i];
  if (with_rows && request.features != nullptr) pack_features(*request.features, valid, tile);

  const double half = 0.5 * request.a * request.a / request.s2;
  for (std::size_t measure = 0; measure < request.log_weights.size(); ++measure) {
    tile.offsets[measure].assign(tile.size, -std::numeric_limits<double>::infinity());
    for (std::size_t i = 0; i < valid; ++i)
      tile.offsets[measure][i] =
          request.log_weights[measure][first + i] - half * atoms.centered_squared_norms()[first + i];
  }
}

AtomTiles::AtomTiles(const SoftAssignmentRequest& request, std::size_t num_blocks)
    : request_(request),
      with_rows_(wants_moments(request) || request.features != nullptr),
      count_((request.atoms->count() + tile_size(request) - 1) / tile_size(request)) {
  constexpr std::size_t kSharedBytes = std::size_t{16} << 20;
  const std::size_t columns =
      2 * padded_columns(request.atoms->dim() + 1) + (request.features != nullptr ? padded_columns(request.features->size) : 0);
  const std::size_t atom_bytes = columns * sizeof(double);
  if (num_blocks < 2 || request.atoms->count() > kSharedBytes / atom_bytes) return;
  shared_.resize(count_);
  parallel_for(count_, [&](std::size_t i) { pack_tile(request, i * tile_size(request), with_rows_, shared_[i]); });
}

const AtomTile& AtomTiles::get(std::size_t index, AtomTile& scratch) const {
  if (!shared_.empty()) return shared_[index];
  pack_tile(request_, index * tile_size(request_), with_rows_, scratch);
  return scratch;
}

}  // namespace fslens::kernels
