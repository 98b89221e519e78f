#include "atom_tile.hpp"

#include <algorithm>
#include <limits>

#include "fslens/core/parallel.hpp"
#include "tile_kernels.hpp"

namespace fslens::kernels {

template <class T>
std::size_t tile_size(const SoftAssignmentRequest& request) {
  // Rows and panels together stay within half of a 1 MiB second-level cache.
  constexpr std::size_t kTileBytes = 256 * 1024;
  const std::size_t fitting = kTileBytes / (sizeof(T) * request.atoms->dim());
  const std::size_t needed = (request.atoms->count() + kPanel - 1) / kPanel * kPanel;
  return std::clamp(fitting / kPanel * kPanel, kPanel, std::min<std::size_t>(8 * kPanel, std::max(needed, kPanel)));
}

namespace {

template <class T, class Source>
void pack_atoms(const Source* x, const AtomTable& atoms, std::size_t valid, bool with_rows, AtomTile<T>& tile) {
  const std::size_t d = atoms.dim();
  const auto center = atoms.center();
  for (std::size_t i = 0; i < valid; ++i) {
    const Source* row = x + (tile.first + i) * d;
    T* panel = tile.panels.data() + (i / kPanel) * d * kPanel + i % kPanel;
    T* packed = with_rows ? tile.rows.data() + i * tile.row_stride : nullptr;
    for (std::size_t k = 0; k < d; ++k) {
      const T c = static_cast<T>(static_cast<double>(row[k]) - center[k]);
      panel[k * kPanel] = c;
      if (packed != nullptr) packed[k] = c;
    }
  }
}

template <class T>
void pack_features(const AtomFeatures& features, std::size_t valid, AtomTile<T>& tile) {
  tile.feature_stride = padded_columns(features.size);
  tile.features.assign(tile.size * tile.feature_stride, 0.0);
  std::vector<double> values(valid * features.size);
  features.fill(tile.first, valid, values.data());
  for (std::size_t i = 0; i < valid; ++i)
    for (std::size_t j = 0; j < features.size; ++j)
      tile.features[i * tile.feature_stride + j] = values[i * features.size + j];
}

}  // namespace

template <class T>
void pack_tile(const SoftAssignmentRequest& request, std::size_t first, bool with_rows, AtomTile<T>& tile) {
  const AtomTable& atoms = *request.atoms;
  const std::size_t d = atoms.dim();
  tile.first = first;
  tile.size = tile_size<T>(request);
  const std::size_t valid = std::min(tile.size, atoms.count() - first);
  tile.row_stride = padded_columns(d + (request.want_variance ? 1 : 0));
  if (valid < tile.size || tile.panels.empty()) tile.panels.assign(tile.size * d, T{0});
  if (with_rows && (valid < tile.size || tile.rows.empty())) tile.rows.assign(tile.size * tile.row_stride, T{0});

  atoms.visit([&](const auto* x) { pack_atoms(x, atoms, valid, with_rows, tile); });
  if (with_rows && request.want_variance)
    for (std::size_t i = 0; i < valid; ++i)
      tile.rows[i * tile.row_stride + d] = static_cast<T>(atoms.centered_squared_norms()[first + i]);
  if (with_rows && request.features != nullptr) pack_features(*request.features, valid, tile);

  const double half = 0.5 * request.a * request.a / request.s2;
  for (std::size_t measure = 0; measure < request.log_weights.size(); ++measure) {
    tile.offsets[measure].assign(tile.size, -std::numeric_limits<T>::infinity());
    for (std::size_t i = 0; i < valid; ++i)
      tile.offsets[measure][i] =
          static_cast<T>(request.log_weights[measure][first + i] - half * atoms.centered_squared_norms()[first + i]);
  }
}

template <class T>
AtomTiles<T>::AtomTiles(const SoftAssignmentRequest& request, std::size_t num_blocks)
    : request_(request),
      with_rows_(request.want_mean || request.want_variance || !request.direction.empty() || request.features != nullptr),
      count_((request.atoms->count() + tile_size<T>(request) - 1) / tile_size<T>(request)) {
  constexpr std::size_t kSharedBytes = std::size_t{16} << 20;
  const std::size_t columns = 2 * padded_columns(request.atoms->dim() + 1);
  const std::size_t wide_columns = request.features != nullptr ? padded_columns(request.features->size) : 0;
  const std::size_t atom_bytes = columns * sizeof(T) + wide_columns * sizeof(double);
  if (num_blocks < 2 || request.atoms->count() > kSharedBytes / atom_bytes) return;
  shared_.resize(count_);
  parallel_for(count_, [&](std::size_t i) { pack_tile(request, i * tile_size<T>(request), with_rows_, shared_[i]); });
}

template <class T>
const AtomTile<T>& AtomTiles<T>::get(std::size_t index, AtomTile<T>& scratch) const {
  if (!shared_.empty()) return shared_[index];
  pack_tile(request_, index * tile_size<T>(request_), with_rows_, scratch);
  return scratch;
}

template class AtomTiles<float>;
template class AtomTiles<double>;
template std::size_t tile_size<float>(const SoftAssignmentRequest&);
template std::size_t tile_size<double>(const SoftAssignmentRequest&);
template void pack_tile<float>(const SoftAssignmentRequest&, std::size_t, bool, AtomTile<float>&);
template void pack_tile<double>(const SoftAssignmentRequest&, std::size_t, bool, AtomTile<double>&);

}  // namespace fslens::kernels
