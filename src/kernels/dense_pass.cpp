#include "dense_block.hpp"
#include "squared_distance.hpp"

namespace fslens::kernels {

QueryBlock pack_queries(const SoftAssignmentRequest& request, std::span<const std::size_t> particles) {
  const std::size_t d = request.atoms->dim();
  const auto center = request.atoms->center();
  QueryBlock block;
  block.particles = particles;
  block.num_groups = (particles.size() + kGroup - 1) / kGroup;
  block.packed.assign(block.num_groups * d * kGroup, 0.0);
  block.norms.resize(particles.size());
  for (std::size_t p = 0; p < particles.size(); ++p) {
    double* packed = block.packed.data() + (p / kGroup) * d * kGroup + p % kGroup;
    for (std::size_t k = 0; k < d; ++k) {
      const double q = request.x(particles[p], k) - request.a * center[k];
      packed[k * kGroup] = q;
    }
    block.norms[p] = std::sqrt(squared_distance(center, request.a, request.x.row(particles[p])));
  }
  return block;
}

double dense_logit_error(const SoftAssignmentRequest& request, const RequestSize& size, double query_norm, double best_logit) {
  const std::size_t d = request.atoms->dim();
  const double terms = static_cast<double>(std::min(d, kDotChunk) + (d + kDotChunk - 1) / kDotChunk) + 6.0;
  const double dots = kUnit * terms * request.a / request.s2 * query_norm * size.radius;
  const double cut = weight_cut(request.atoms->count());
  return dots + offset_rounding(request, size, query_norm, best_logit, cut) + 2.0 * kUnit * (std::abs(best_logit) + cut);
}

void DenseSums::rescale(std::size_t p, double new_best, std::size_t row_stride, std::size_t feature_stride) {
  const double factor = std::exp(best[p] - new_best);
  weight[p] *= factor;
  for (std::size_t k = 0; k < (moments.empty() ? 0 : row_stride); ++k) moments[p * row_stride + k] *= factor;
  for (std::size_t k = 0; k < (features.empty() ? 0 : feature_stride); ++k) features[p * feature_stride + k] *= factor;
  best[p] = new_best;
}

DenseBlock::DenseBlock(const SoftAssignmentRequest& request, std::span<const std::size_t> particles)
    : request_(request),
      size_(request_size(request)),
      queries_(pack_queries(request, particles)),
      tile_size_(tile_size(request)),
      row_stride_(padded_columns(request.atoms->dim() + 1)),
      feature_stride_(request.features != nullptr ? padded_columns(request.features->size) : 0),
      want_moments_(wants_moments(request)),
      cut_(weight_cut(request.atoms->count())),
      dots_(kGroup * tile_size_),
      weights_(kGroup * tile_size_),
      live_(tile_size_),
      errors_(particles.size()) {
  const std::size_t padded = queries_.num_groups * kGroup;
  for (std::size_t m = 0; m < request.log_weights.size(); ++m) {
    sums_[m].best.assign(padded, -std::numeric_limits<double>::infinity());
    sums_[m].weight.assign(padded, 0.0);
    if (want_moments_) sums_[m].moments.assign(padded * row_stride_, 0.0);
    sums_[m].features.assign(padded * feature_stride_, 0.0);
  }
}

void DenseBlock::sweep(const AtomTiles& tiles) {
  num_tiles_ = tiles.count();
  if (request_.direction_of || !request_.direction.empty()) keep_weights(num_tiles_);
  AtomTile scratch;
  for (std::size_t i = 0; i < num_tiles_; ++i) {
    const AtomTile& tile = tiles.get(i, scratch);
    for (const double value : tile.features) feature_size_ = std::max(feature_size_, std::abs(value));
    for (std::size_t g = 0; g < queries_.num_groups; ++g) visit_tile(tile, i, g);
  }
}

/// dots_ ← (a/s²)⟨q, c_i⟩ of a group and a tile.
void DenseBlock::fill_dots(const AtomTile& tile, std::size_t group) {
  const std::size_t d = request_.atoms->dim();
  TileKernels::dots(tile.panels.data(), tile.size, d, queries_.packed.data() + group * d * kGroup, request_.a / request_.s2,
                    dots_.data());
}

void DenseBlock::visit_tile(const AtomTile& tile, std::size_t index, std::size_t group) {
  fill_dots(tile, group);
  for (std::size_t m = 0; m < request_.log_weights.size(); ++m) {
    weigh(tile, group, m);
    if (m == 0 && !kept_.empty()) {
      const std::size_t place = index * queries_.num_groups + group;
      std::copy_n(weights_.data(), kGroup * tile.size, kept_.data() + place * kGroup * tile_size_);
      std::copy_n(sums_[0].best.data() + group * kGroup, kGroup, kept_best_.data() + place * kGroup);
    }
    const std::size_t num_live = TileKernels::live_atoms(weights_.data(), tile.size, live_.data());
    if (num_live > 0) accumulate(tile, group, m, num_live);
  }
}

/// weights_ ← exp(logit − running maximum) for the rows of a group; raises the maximum where the tile does.
void DenseBlock::weigh(const AtomTile& tile, std::size_t group, std::size_t m) {
  DenseSums& sums = sums_[m];
  const double* offsets = tile.offsets[m].data();
  for (std::size_t r = 0; r < kGroup; ++r) {
    const std::size_t p = group * kGroup + r;
    double* weights = weights_.data() + r * tile.size;
    const double* dots = dots_.data() + r * tile.size;
    const double top =
        p < queries_.particles.size() ? TileKernels::max_logit(dots, offsets, tile.size) : -std::numeric_limits<double>::infinity();
    if (top > sums.best[p]) sums.rescale(p, top, row_stride_, feature_stride_);
    if (top >= sums.best[p] - cut_ && std::isfinite(top))
      sums.weight[p] += TileKernels::exp_weights(dots, offsets, tile.size, sums.best[p], cut_, weights);
    else
      std::fill_n(weights, tile.size, 0.0);
  }
}

void DenseBlock::accumulate(const AtomTile& tile, std::size_t group, std::size_t m, std::size_t num_live) {
  if (want_moments_)
    TileKernels::accumulate(weights_.data(), tile.size, live_.data(), num_live, tile.rows.data(), tile.row_stride, row_stride_,
                            sums_[m].moments.data() + group * kGroup * row_stride_, row_stride_);
  if (feature_stride_ > 0)
    TileKernels::accumulate(weights_.data(), tile.size, live_.data(), num_live, tile.features.data(), tile.feature_stride,
                            feature_stride_, sums_[m].features.data() + group * kGroup * feature_stride_, feature_stride_);
}

std::vector<std::size_t> DenseBlock::write(SoftAssignmentResult& result) {
  std::vector<std::size_t> imprecise;
  for (std::size_t p = 0; p < queries_.particles.size(); ++p) {
    double worst = 0.0;
    // In descending order, so that errors_ is left with that of measure 0.
    for (std::size_t m = request_.log_weights.size(); m-- > 0;) {
      worst = std::max(worst, write_measure(m, p, result.measures[m]));
    }
    if (!(worst <= request_.tolerance)) imprecise.push_back(queries_.particles[p]);
  }
  return imprecise;
}

double DenseBlock::write_measure(std::size_t m, std::size_t p, SoftAssignmentMoments& out) {
  const DenseSums& sums = sums_[m];
  const std::size_t d = request_.atoms->dim();
  const std::size_t b = queries_.particles[p];
  const double weight = sums.weight[p];
  out.log_normaliser[b] = sums.best[p] + std::log(weight) - 0.5 * queries_.norms[p] * queries_.norms[p] / request_.s2;
  double centered = 0.0, second = size_.radius * size_.radius, judged = 0.0;
  for (std::size_t k = 0; want_moments_ && k < d; ++k) {
    const double c = sums.moments[p * row_stride_ + k] / weight;
    centered += c * c;
    if (request_.want_mean) out.mean(b, k) = c + request_.atoms->center()[k];
  }
  if (want_moments_) second = sums.moments[p * row_stride_ + d] / weight;
  if (request_.want_variance) out.variance[b] = std::max(0.0, second - centered);
  for (std::size_t j = 0; j < out.feature_mean.cols(); ++j) out.feature_mean(b, j) = sums.features[p * feature_stride_ + j] / weight;
  errors_[p] = error_of(m, p, second, centered, out.log_normaliser[b], judged);
  write_errors(errors_[p], b, out);
  return judged;
}

MomentError DenseBlock::error_of(std::size_t m, std::size_t p, double second, double centered, double log_normaliser,
                                 double& judged) const {
  const DenseSums& sums = sums_[m];
  const std::size_t d = request_.atoms->dim();
  const double best = std::abs(sums.best[p]);
  WeightError weights;
  // The exponential of Highway: 2 units; its argument's rounding is in the logit's error.
  weights.root_mean_square = weights.largest = dense_logit_error(request_, size_, queries_.norms[p], best) + 4.0 * kUnit;
  weights.lost = static_cast<double>(request_.atoms->count()) * std::exp(-cut_) / sums.weight[p];
  const double terms = static_cast<double>(tile_size_ + num_tiles_) + 8.0;
  MomentSize size;
  size.variance = std::max(0.0, second - centered);
  size.variance_rounding = kUnit * (terms + interleaved_roundings(d) + static_cast<double>(d)) * (second + 2.0 * centered);
  size.reach = size_.radius + std::sqrt(centered);
  // Sums of w c: each coordinate's roundings are below terms · Σ w |c_k|, together √(Σ w ‖c‖²); then the centre is added.
  size.mean_rounding = kUnit * (terms * std::sqrt(second) + 3.0 * (std::sqrt(second) + size_.center_norm));
  size.normaliser_rounding = kUnit * (terms + 4.0 * std::abs(log_normaliser) + 4.0 * best +
                                      (interleaved_roundings(d) + 4.0) * queries_.norms[p] * queries_.norms[p] / request_.s2) +
                             kUnit * queries_.norms[p] / request_.s2 * (queries_.norms[p] + 2.0 * request_.a * size_.center_norm);
  size.feature_size = feature_size_;
  size.feature_rounding = kUnit * terms * feature_size_;
  const MomentError error = moment_error(weights, size);
  judged = judged_error(request_, weights, error);
  return error;
}

std::vector<std::size_t> dense_pass(const SoftAssignmentRequest& request, const AtomTiles& tiles,
                                    std::span<const std::size_t> particles, SoftAssignmentResult& result) {
  DenseBlock block(request, particles);
  block.sweep(tiles);
  std::vector<std::size_t> imprecise = block.write(result);
  if (request.direction_of || !request.direction.empty()) block.multiply(tiles, result);
  return imprecise;
}

}  // namespace fslens::kernels
