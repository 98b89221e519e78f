// C v in float64: the second sweep of the dense pass.
#include "dense_block.hpp"

namespace fslens::kernels {

/// Makes room for the weights of every tile and particle, if that is little beside a processor's cache.
void DenseBlock::keep_weights(std::size_t num_tiles) {
  constexpr std::size_t kKeptBytes = std::size_t{8} << 20;
  const std::size_t places = num_tiles * queries_.num_groups * kGroup;
  if (places * tile_size_ * sizeof(double) > kKeptBytes) return;
  kept_.resize(places * tile_size_);
  kept_best_.resize(places);
}

void DenseBlock::multiply(const AtomTiles& tiles, SoftAssignmentResult& result) {
  take_directions(result);
  AtomTile scratch;
  for (std::size_t i = 0; i < tiles.count(); ++i) {
    const AtomTile& tile = tiles.get(i, scratch);
    for (std::size_t g = 0; g < queries_.num_groups; ++g) {
      weigh_again(tile, i, g);
      const std::size_t num_live = TileKernels::live_atoms(weights_.data(), tile.size, live_.data());
      if (num_live > 0) accumulate_product(tile, g, num_live);
    }
  }
  for (std::size_t p = 0; p < queries_.particles.size(); ++p) write_product(p, result);
}

void DenseBlock::take_directions(SoftAssignmentResult& result) {
  const auto particles = queries_.particles;
  const std::size_t d = request_.atoms->dim();
  const SoftAssignmentMoments& moments = result.measures[0];
  const bool given = !request_.direction.empty();
  means_ = Matrix(particles.size(), d);
  Matrix directions(particles.size(), d), features(particles.size(), moments.feature_mean.cols());
  for (std::size_t p = 0; p < particles.size(); ++p) {
    const ConstBatchView means = given ? request_.direction_mean : ConstBatchView(moments.mean);
    std::ranges::copy(means.row(particles[p]), means_.row(p).begin());
    if (given) std::ranges::copy(request_.direction.row(particles[p]), directions.row(p).begin());
    if (features.cols() > 0) std::ranges::copy(moments.feature_mean.row(particles[p]), features.row(p).begin());
  }
  if (!given) request_.direction_of(particles, means_, features, directions);
  const std::size_t padded = queries_.num_groups * kGroup;
  directions_.assign(queries_.packed.size(), 0.0);
  direction_offset_.assign(padded, 0.0);
  direction_norm_.assign(padded, 0.0);
  along_.resize(kGroup * tile_size_);
  product_.assign(padded * row_stride_, 0.0);
  product_weight_.assign(padded, 0.0);
  for (std::size_t p = 0; p < particles.size(); ++p) pack_direction(p, directions.row(p), means_.row(p));
}

void DenseBlock::pack_direction(std::size_t p, std::span<const double> v, std::span<const double> mean) {
  const std::size_t d = request_.atoms->dim();
  double mean_along = 0.0, square = 0.0;
  for (std::size_t k = 0; k < d; ++k) {
    directions_[(p / kGroup) * d * kGroup + k * kGroup + p % kGroup] = v[k];
    mean_along += (mean[k] - request_.atoms->center()[k]) * v[k];
    square += v[k] * v[k];
  }
  direction_offset_[p] = mean_along;
  direction_norm_[p] = std::sqrt(square) * (1.0 + kUnit * static_cast<double>(d + 4));
}

/// weights_ ← responsibilities under measure 0 relative to the final maximum: as they were kept, or from the atoms.
void DenseBlock::weigh_again(const AtomTile& tile, std::size_t index, std::size_t group) {
  if (kept_.empty()) fill_dots(tile, group);
  const std::size_t place = index * queries_.num_groups + group;
  for (std::size_t r = 0; r < kGroup; ++r) {
    const double best = sums_[0].best[group * kGroup + r];
    double* weights = weights_.data() + r * tile.size;
    if (!kept_.empty()) {
      const double then = kept_best_[place * kGroup + r];
      const double factor = std::isfinite(then) ? std::exp(then - best) : 0.0;
      const double* kept = kept_.data() + place * kGroup * tile_size_ + r * tile.size;
      for (std::size_t i = 0; i < tile.size; ++i) weights[i] = factor * kept[i];
    } else if (std::isfinite(best)) {
      TileKernels::exp_weights(dots_.data() + r * tile.size, tile.offsets[0].data(), tile.size, best, cut_, weights);
    } else {
      std::fill_n(weights, tile.size, 0.0);
    }
  }
}

/// Σ w_i ⟨c_i − m, v⟩ c_i and Σ w_i ⟨c_i − m, v⟩.
void DenseBlock::accumulate_product(const AtomTile& tile, std::size_t group, std::size_t num_live) {
  const std::size_t d = request_.atoms->dim();
  const double* directions = directions_.data() + group * d * kGroup;
  // Where few atoms are live, gathering them costs less than the dot products of the others.
  const std::size_t gathered = (num_live + kPanel - 1) / kPanel * kPanel;
  const bool gather = 2 * gathered <= tile.size;
  if (gather) gather_panels(tile, num_live);
  const std::size_t columns = gather ? gathered : tile.size;
  TileKernels::dots(gather ? gathered_.data() : tile.panels.data(), columns, d, directions, 1.0, along_.data());
  for (std::size_t r = 0; r < kGroup; ++r) {
    const std::size_t p = group * kGroup + r;
    double* weights = weights_.data() + r * tile.size;
    if (gather) {
      for (std::size_t j = 0; j < num_live; ++j) {
        weights[live_[j]] *= along_[r * columns + j] - direction_offset_[p];
        product_weight_[p] += weights[live_[j]];
      }
    } else {
      product_weight_[p] += TileKernels::multiply_by_difference(along_.data() + r * columns, direction_offset_[p], tile.size, weights);
    }
  }
  TileKernels::accumulate(weights_.data(), tile.size, live_.data(), num_live, tile.rows.data(), tile.row_stride, row_stride_,
                          product_.data() + group * kGroup * row_stride_, row_stride_);
}

void DenseBlock::gather_panels(const AtomTile& tile, std::size_t num_live) {
  const std::size_t d = request_.atoms->dim();
  gathered_.resize(tile.panels.size());
  for (std::size_t j = 0; j < num_live; ++j) {
    const double* row = tile.rows.data() + live_[j] * tile.row_stride;
    double* panel = gathered_.data() + (j / kPanel) * d * kPanel + j % kPanel;
    for (std::size_t k = 0; k < d; ++k) panel[k * kPanel] = row[k];
  }
}

void DenseBlock::write_product(std::size_t p, SoftAssignmentResult& result) const {
  const std::size_t b = queries_.particles[p], d = request_.atoms->dim();
  const double weight = sums_[0].weight[p];
  double mean_norm = 0.0;
  for (std::size_t k = 0; k < d; ++k) {
    const double m = means_(p, k) - request_.atoms->center()[k];
    mean_norm += m * m;
    result.covariance_product(b, k) = (product_[p * row_stride_ + k] - product_weight_[p] * m) / weight;
  }
  // Roundings of ⟨c_i − m, v⟩ (a dot product each) and of the sums over the atoms, about Σ w |⟨c − m, v⟩| ‖c‖ ≤ √V ‖v‖ (R + ‖m‖).
  const MomentError& error = errors_[p];
  const double reach = size_.radius + std::sqrt(mean_norm);
  const double roundings = static_cast<double>(std::min(d, kDotChunk) + d + tile_size_ + num_tiles_) + 24.0;
  const double deviation = std::sqrt(error.true_variance) + kUnit * reach;
  const double center = 3.0 * size_.center_norm;  // m and x̄ are subtracted in float64
  result.covariance_product_error[b] =
      stated(direction_norm_[p] * (error.product + kUnit * roundings * deviation * (reach + center) +
                                   kUnit * roundings * reach * (deviation + kUnit * center)));
}

}  // namespace fslens::kernels
