#include <array>
#include <cstdint>
#include <type_traits>

#include "atom_tile.hpp"
#include "particle_block.hpp"

namespace fslens::kernels {

template <class T>
QueryBlock<T> pack_queries(const SoftAssignmentRequest& request, std::span<const std::size_t> particles) {
  const std::size_t d = request.atoms->dim();
  const auto center = request.atoms->center();
  QueryBlock<T> block;
  block.particles = particles;
  block.num_groups = (particles.size() + kGroup - 1) / kGroup;
  block.packed.assign(block.num_groups * d * kGroup, T{0});
  block.norms.resize(particles.size());
  for (std::size_t p = 0; p < particles.size(); ++p) {
    T* packed = block.packed.data() + (p / kGroup) * d * kGroup + p % kGroup;
    double sum = 0.0;
    for (std::size_t k = 0; k < d; ++k) {
      const double q = request.x(particles[p], k) - request.a * center[k];
      sum += q * q;
      packed[k * kGroup] = static_cast<T>(q);
    }
    block.norms[p] = std::sqrt(sum);
  }
  return block;
}

namespace {

/// What one measure has accumulated for a block of particles, relative to the running maximum of each.
template <class T>
struct Accumulator {
  std::vector<T> best;            // [P], −∞ before the first atom
  std::vector<double> weight;     // Σ w
  std::vector<T> moments;         // [P][row_stride]: Σ w c_i, Σ w ‖c_i‖²
  std::vector<double> features;   // [P][feature_stride]: Σ w φ_i

  void rescale(std::size_t p, T new_best, std::size_t row_stride, std::size_t feature_stride) {
    const T factor = std::exp(best[p] - new_best);
    const double wide_factor = static_cast<double>(factor);
    weight[p] *= wide_factor;
    for (std::size_t k = 0; k < (moments.empty() ? 0 : row_stride); ++k) moments[p * row_stride + k] *= factor;
    for (std::size_t k = 0; k < (features.empty() ? 0 : feature_stride); ++k) features[p * feature_stride + k] *= wide_factor;
    best[p] = new_best;
  }
};

template <class T>
class DenseBlock {
 public:
  DenseBlock(const SoftAssignmentRequest& request, std::span<const std::size_t> particles)
      : request_(request),
        queries_(pack_queries<T>(request, particles)),
        tile_size_(tile_size<T>(request)),
        row_stride_(padded_columns(request.atoms->dim() + (request.want_variance ? 1 : 0))),
        feature_stride_(request.features != nullptr ? padded_columns(request.features->size) : 0),
        cut_(static_cast<T>(weight_cut<T>(request.atoms->count()))),
        dots_(kGroup * tile_size_),
        weights_(kGroup * tile_size_),
        live_(tile_size_) {
    const std::size_t padded = queries_.num_groups * kGroup;
    for (std::size_t m = 0; m < request.log_weights.size(); ++m) {
      sums_[m].best.assign(padded, -std::numeric_limits<T>::infinity());
      sums_[m].weight.assign(padded, 0.0);
      if (request.want_mean || request.want_variance) sums_[m].moments.assign(padded * row_stride_, T{0});
      sums_[m].features.assign(padded * feature_stride_, 0.0);
    }
    if (!request.direction.empty()) {
      prepare_product(padded);
      for (std::size_t q = 0; q < particles.size(); ++q)
        pack_direction(q, request.direction.row(particles[q]), request.direction_mean.row(particles[q]));
    }
  }

  void sweep(const AtomTiles<T>& tiles) {
    if (request_.direction_of) keep_weights(tiles.count());
    AtomTile<T> scratch;
    for (std::size_t i = 0; i < tiles.count(); ++i) {
      const AtomTile<T>& tile = tiles.get(i, scratch);
      for (std::size_t g = 0; g < queries_.num_groups; ++g) visit_tile(tile, i, g);
    }
  }

  /// Writes the rows of the particles whose rounding is within the tolerance; returns the others.
  std::vector<std::size_t> write(double tolerance, SoftAssignmentResult& result) {
    std::vector<std::size_t> imprecise;
    for (std::size_t p = 0; p < queries_.particles.size(); ++p) {
      double best = 0.0;
      for (std::size_t m = 0; m < request_.log_weights.size(); ++m)
        best = std::max(best, std::abs(static_cast<double>(sums_[m].best[p])));
      if (!(logit_rounding<T>(request_, queries_.norms[p], best) <= tolerance)) {
        imprecise.push_back(queries_.particles[p]);
        continue;
      }
      precise_.push_back(p);
      for (std::size_t m = 0; m < request_.log_weights.size(); ++m) write_measure(m, p, result.measures[m]);
      if (!request_.direction.empty()) write_product(p, request_.direction_mean, result);
    }
    return imprecise;
  }

  /// After write(): asks for the directions of the particles written, and writes C v. The weights of the first sweep are used
  /// again where they were kept.
  void multiply(const AtomTiles<T>& tiles, SoftAssignmentResult& result) {
    if (precise_.empty()) return;
    take_directions(result);
    AtomTile<T> scratch;
    for (std::size_t i = 0; i < tiles.count(); ++i) {
      const AtomTile<T>& tile = tiles.get(i, scratch);
      for (std::size_t g = 0; g < queries_.num_groups; ++g) {
        kept_.empty() ? weigh_again(tile, g) : recall_weights(tile.size, i, g);
        const std::size_t num_live = TileKernels<T>::live_atoms(weights_.data(), tile.size, live_.data());
        if (num_live > 0) accumulate_product(tile, g, num_live);
      }
    }
    for (const std::size_t p : precise_) write_product(p, result.measures[0].mean, result);
  }

 private:
  void prepare_product(std::size_t padded) {
    directions_.assign(queries_.packed.size(), T{0});
    direction_offset_.assign(padded, T{0});
    along_.resize(kGroup * tile_size_);
    product_.assign(padded * row_stride_, T{0});
    product_weight_.assign(padded, 0.0);
  }

  void pack_direction(std::size_t p, std::span<const double> v, std::span<const double> mean) {
    const std::size_t d = request_.atoms->dim();
    double mean_along = 0.0;
    for (std::size_t k = 0; k < d; ++k) {
      directions_[(p / kGroup) * d * kGroup + k * kGroup + p % kGroup] = static_cast<T>(v[k]);
      mean_along += (mean[k] - request_.atoms->center()[k]) * v[k];
    }
    direction_offset_[p] = static_cast<T>(mean_along);
  }

  void take_directions(const SoftAssignmentResult& result) {
    const SoftAssignmentMoments& moments = result.measures[0];
    std::vector<std::size_t> particles;
    for (const std::size_t p : precise_) particles.push_back(queries_.particles[p]);
    Matrix means(particles.size(), moments.mean.cols()), features(particles.size(), moments.feature_mean.cols());
    for (std::size_t j = 0; j < particles.size(); ++j) {
      std::ranges::copy(moments.mean.row(particles[j]), means.row(j).begin());
      if (features.cols() > 0) std::ranges::copy(moments.feature_mean.row(particles[j]), features.row(j).begin());
    }
    Matrix directions(particles.size(), means.cols());
    request_.direction_of(particles, means, features, directions);
    prepare_product(queries_.num_groups * kGroup);
    for (std::size_t j = 0; j < particles.size(); ++j) pack_direction(precise_[j], directions.row(j), means.row(j));
  }

  /// dots_ ← (a/s²)⟨q, c_i⟩ of a group and a tile.
  void fill_dots(const AtomTile<T>& tile, std::size_t group) {
    const std::size_t d = request_.atoms->dim();
    const T scale = static_cast<T>(request_.a / request_.s2);
    TileKernels<T>::dots(tile.panels.data(), tile.size, d, queries_.packed.data() + group * d * kGroup, scale, dots_.data());
  }

  void visit_tile(const AtomTile<T>& tile, std::size_t index, std::size_t group) {
    fill_dots(tile, group);
    for (std::size_t m = 0; m < request_.log_weights.size(); ++m) {
      weigh(tile, group, m);
      if (m == 0 && !kept_.empty()) {
        const std::size_t place = index * queries_.num_groups + group;
        std::copy_n(weights_.data(), kGroup * tile.size, kept_.data() + place * kGroup * tile_size_);
        std::copy_n(sums_[0].best.data() + group * kGroup, kGroup, kept_best_.data() + place * kGroup);
      }
      const std::size_t num_live = TileKernels<T>::live_atoms(weights_.data(), tile.size, live_.data());
      if (num_live > 0) accumulate(tile, group, m, num_live);
    }
  }

  /// Makes room for the weights of every tile and particle, if that is little beside a processor's cache.
  void keep_weights(std::size_t num_tiles) {
    constexpr std::size_t kKeptBytes = std::size_t{8} << 20;
    const std::size_t places = num_tiles * queries_.num_groups * kGroup;
    if (places * tile_size_ * sizeof(T) > kKeptBytes) return;
    kept_.resize(places * tile_size_);
    kept_best_.resize(places);
  }

  /// weights_ ← what the first sweep had, relative to the final maximum.
  void recall_weights(std::size_t size, std::size_t index, std::size_t group) {
    const std::size_t place = index * queries_.num_groups + group;
    const T* kept = kept_.data() + place * kGroup * tile_size_;
    for (std::size_t r = 0; r < kGroup; ++r) {
      const T then = kept_best_[place * kGroup + r], best = sums_[0].best[group * kGroup + r];
      const T factor = std::isfinite(then) ? std::exp(then - best) : T{0};
      T* weights = weights_.data() + r * size;
      for (std::size_t i = 0; i < size; ++i) weights[i] = factor * kept[r * size + i];
    }
  }

  /// weights_ ← exp(logit − final maximum) under measure 0, from the atoms.
  void weigh_again(const AtomTile<T>& tile, std::size_t group) {
    fill_dots(tile, group);
    for (std::size_t r = 0; r < kGroup; ++r) {
      const T best = sums_[0].best[group * kGroup + r];
      T* weights = weights_.data() + r * tile.size;
      if (std::isfinite(best))
        TileKernels<T>::exp_weights(dots_.data() + r * tile.size, tile.offsets[0].data(), tile.size, best, cut_, weights);
      else
        std::fill_n(weights, tile.size, T{0});
    }
  }

  /// weights_ ← exp(logit − running maximum) for the rows of a group; raises the maximum where the tile does.
  void weigh(const AtomTile<T>& tile, std::size_t group, std::size_t m) {
    Accumulator<T>& sums = sums_[m];
    const T* offsets = tile.offsets[m].data();
    for (std::size_t r = 0; r < kGroup; ++r) {
      const std::size_t p = group * kGroup + r;
      T* weights = weights_.data() + r * tile.size;
      const T* dots = dots_.data() + r * tile.size;
      const T top = p < queries_.particles.size() ? TileKernels<T>::max_logit(dots, offsets, tile.size)
                                                  : -std::numeric_limits<T>::infinity();
      if (top > sums.best[p]) {
        if (m == 0 && !product_.empty()) rescale_product(p, std::exp(sums.best[p] - top));
        sums.rescale(p, top, row_stride_, feature_stride_);
      }
      if (top >= sums.best[p] - cut_ && std::isfinite(top))
        sums.weight[p] += static_cast<double>(
            TileKernels<T>::exp_weights(dots, offsets, tile.size, sums.best[p], cut_, weights));
      else
        std::fill_n(weights, tile.size, T{0});
    }
  }

  void accumulate(const AtomTile<T>& tile, std::size_t group, std::size_t m, std::size_t num_live) {
    if (request_.want_mean || request_.want_variance)
      TileKernels<T>::accumulate(weights_.data(), tile.size, live_.data(), num_live, tile.rows.data(), tile.row_stride,
                                 row_stride_, sums_[m].moments.data() + group * kGroup * row_stride_, row_stride_);
    if (feature_stride_ > 0)
      TileKernels<double>::accumulate(wide_weights(tile.size, num_live), tile.size, live_.data(), num_live, tile.features.data(),
                                      tile.feature_stride, feature_stride_,
                                      sums_[m].features.data() + group * kGroup * feature_stride_, feature_stride_);
    if (m == 0 && !product_.empty()) accumulate_product(tile, group, num_live);
  }

  /// The weights of the live atoms in float64.
  const double* wide_weights(std::size_t tile_size, std::size_t num_live) {
    if constexpr (std::is_same_v<T, double>) {
      return weights_.data();
    } else {
      wide_weights_.resize(weights_.size());
      for (std::size_t r = 0; r < kGroup; ++r)
        for (std::size_t j = 0; j < num_live; ++j)
          wide_weights_[r * tile_size + live_[j]] = static_cast<double>(weights_[r * tile_size + live_[j]]);
      return wide_weights_.data();
    }
  }

  /// Σ w_i ⟨c_i − m, v⟩ c_i and Σ w_i ⟨c_i − m, v⟩.
  void accumulate_product(const AtomTile<T>& tile, std::size_t group, std::size_t num_live) {
    const std::size_t d = request_.atoms->dim();
    const T* directions = directions_.data() + group * d * kGroup;
    // Where few atoms are live, gathering them costs less than the dot products of the others.
    const std::size_t gathered = (num_live + kPanel - 1) / kPanel * kPanel;
    const bool gather = 2 * gathered <= tile.size;
    if (gather) gather_panels(tile, num_live);
    const std::size_t columns = gather ? gathered : tile.size;
    TileKernels<T>::dots(gather ? gathered_.data() : tile.panels.data(), columns, d, directions, T{1}, along_.data());
    for (std::size_t r = 0; r < kGroup; ++r) {
      const std::size_t p = group * kGroup + r;
      T* weights = weights_.data() + r * tile.size;
      if (gather) {
        for (std::size_t j = 0; j < num_live; ++j) {
          weights[live_[j]] *= along_[r * columns + j] - direction_offset_[p];
          product_weight_[p] += static_cast<double>(weights[live_[j]]);
        }
      } else {
        product_weight_[p] += static_cast<double>(
            TileKernels<T>::multiply_by_difference(along_.data() + r * columns, direction_offset_[p], tile.size, weights));
      }
    }
    TileKernels<T>::accumulate(weights_.data(), tile.size, live_.data(), num_live, tile.rows.data(), tile.row_stride, row_stride_,
                               product_.data() + group * kGroup * row_stride_, row_stride_);
  }

  void gather_panels(const AtomTile<T>& tile, std::size_t num_live) {
    const std::size_t d = request_.atoms->dim();
    gathered_.resize(tile.panels.size());
    for (std::size_t j = 0; j < num_live; ++j) {
      const T* row = tile.rows.data() + live_[j] * tile.row_stride;
      T* panel = gathered_.data() + (j / kPanel) * d * kPanel + j % kPanel;
      for (std::size_t k = 0; k < d; ++k) panel[k * kPanel] = row[k];
    }
  }

  void rescale_product(std::size_t p, T factor) {
    product_weight_[p] *= static_cast<double>(factor);
    for (std::size_t k = 0; k < row_stride_; ++k) product_[p * row_stride_ + k] *= factor;
  }

  void write_measure(std::size_t m, std::size_t p, SoftAssignmentMoments& out) const {
    const Accumulator<T>& sums = sums_[m];
    const std::size_t d = request_.atoms->dim();
    const std::size_t b = queries_.particles[p];
    const double weight = sums.weight[p];
    out.log_normaliser[b] = static_cast<double>(sums.best[p]) + std::log(weight) -
                            0.5 * queries_.norms[p] * queries_.norms[p] / request_.s2;
    double centered_norm = 0.0;
    if (request_.want_mean || request_.want_variance)
      for (std::size_t k = 0; k < d; ++k) {
        const double c = static_cast<double>(sums.moments[p * row_stride_ + k]) / weight;
        centered_norm += c * c;
        if (request_.want_mean) out.mean(b, k) = c + request_.atoms->center()[k];
      }
    if (request_.want_variance)
      out.variance[b] = std::max(0.0, static_cast<double>(sums.moments[p * row_stride_ + d]) / weight - centered_norm);
    for (std::size_t j = 0; j < out.feature_mean.cols(); ++j)
      out.feature_mean(b, j) = sums.features[p * feature_stride_ + j] / weight;
  }

  void write_product(std::size_t p, ConstBatchView means, SoftAssignmentResult& result) const {
    const std::size_t b = queries_.particles[p];
    const double weight = sums_[0].weight[p];
    for (std::size_t k = 0; k < request_.atoms->dim(); ++k) {
      const double m = means(b, k) - request_.atoms->center()[k];
      result.covariance_product(b, k) =
          (static_cast<double>(product_[p * row_stride_ + k]) - product_weight_[p] * m) / weight;
    }
  }

  const SoftAssignmentRequest& request_;
  QueryBlock<T> queries_;
  std::size_t tile_size_;
  std::size_t row_stride_;
  std::size_t feature_stride_;
  T cut_;
  std::array<Accumulator<T>, 2> sums_;
  std::vector<T> directions_, direction_offset_, along_;  // v packed as queries; ⟨m − x̄, v⟩; ⟨c_i, v⟩ of a tile
  std::vector<T> product_;
  std::vector<double> product_weight_;
  std::vector<T> gathered_;  // panels of the live atoms of a tile
  std::vector<std::size_t> precise_;  // positions in the block of the particles that write() has written
  std::vector<T> kept_, kept_best_;   // [tile][group][kGroup][tile size] weights and [tile][group][kGroup] their maximum then
  std::vector<T> dots_, weights_;
  std::vector<double> wide_weights_;
  std::vector<std::uint32_t> live_;
};

}  // namespace

template <class T>
std::vector<std::size_t> dense_pass(const SoftAssignmentRequest& request, const AtomTiles<T>& tiles,
                                    std::span<const std::size_t> particles, double tolerance, SoftAssignmentResult& result) {
  DenseBlock<T> block(request, particles);
  block.sweep(tiles);
  std::vector<std::size_t> imprecise = block.write(tolerance, result);
  if (request.direction_of) block.multiply(tiles, result);
  return imprecise;
}

template QueryBlock<double> pack_queries<double>(const SoftAssignmentRequest&, std::span<const std::size_t>);
template std::vector<std::size_t> dense_pass<float>(const SoftAssignmentRequest&, const AtomTiles<float>&,
                                                    std::span<const std::size_t>, double, SoftAssignmentResult&);
template std::vector<std::size_t> dense_pass<double>(const SoftAssignmentRequest&, const AtomTiles<double>&,
                                                     std::span<const std::size_t>, double, SoftAssignmentResult&);

}  // namespace fslens::kernels
