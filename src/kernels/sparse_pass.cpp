#include <cstdint>
#include <numeric>

#include "atom_tile.hpp"
#include "particle_block.hpp"

namespace fslens::kernels {
namespace {

/// An atom that can matter to a particle: its screened logit under each measure.
struct Candidate {
  std::uint32_t atom;
  double logit[2];
};

struct Screen {
  double best[2] = {-std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  std::vector<Candidate> candidates;
};

/// Appends the atoms of a tile that are within the cut, allowing for rounding, of the best seen under any measure.
void screen_row(const SoftAssignmentRequest& request, const AtomTile<double>& tile, const double* dots, double norm,
                double cut, Screen& screen) {
  double lowest[2];
  bool any = false;
  for (std::size_t m = 0; m < request.log_weights.size(); ++m) {
    const double top = TileKernels<double>::max_logit(dots, tile.offsets[m].data(), tile.size);
    screen.best[m] = std::max(screen.best[m], top);
    lowest[m] = screen.best[m] - cut - 2.0 * logit_rounding<double>(request, norm, screen.best[m]);
    any = any || (top >= lowest[m] && std::isfinite(top));
  }
  if (!any) return;
  for (std::size_t i = 0; i < tile.size; ++i) {
    Candidate candidate{static_cast<std::uint32_t>(tile.first + i), {}};
    bool kept = false;
    for (std::size_t m = 0; m < request.log_weights.size(); ++m) {
      candidate.logit[m] = dots[i] + tile.offsets[m][i];
      kept = kept || (candidate.logit[m] >= lowest[m] && std::isfinite(candidate.logit[m]));
    }
    if (kept) screen.candidates.push_back(candidate);
  }
}

std::vector<Screen> screen_atoms(const SoftAssignmentRequest& request, const QueryBlock<double>& queries, double cut) {
  const std::size_t d = request.atoms->dim();
  std::vector<Screen> screens(queries.particles.size());
  AtomTile<double> tile;
  const std::size_t size = tile_size<double>(request);
  std::vector<double> dots(kGroup * size);
  for (std::size_t first = 0; first < request.atoms->count(); first += size) {
    pack_tile(request, first, false, tile);
    for (std::size_t g = 0; g < queries.num_groups; ++g) {
      TileKernels<double>::dots(tile.panels.data(), tile.size, d, queries.packed.data() + g * d * kGroup,
                                request.a / request.s2, dots.data());
      for (std::size_t r = 0; r < kGroup && g * kGroup + r < screens.size(); ++r) {
        const std::size_t p = g * kGroup + r;
        screen_row(request, tile, dots.data() + r * size, queries.norms[p], cut, screens[p]);
      }
    }
  }
  return screens;
}

/// Drops the candidates that a later, better atom has made irrelevant.
void prune(const SoftAssignmentRequest& request, double norm, double cut, Screen& screen) {
  std::erase_if(screen.candidates, [&](const Candidate& candidate) {
    for (std::size_t m = 0; m < request.log_weights.size(); ++m)
      if (candidate.logit[m] >= screen.best[m] - cut - 2.0 * logit_rounding<double>(request, norm, screen.best[m]))
        return false;
    return true;
  });
}

double squared_distance(const AtomTable& atoms, std::size_t i, double a, std::span<const double> x) {
  return atoms.visit([&](const auto* values) {
    const auto* atom = values + i * atoms.dim();
    double sum = 0.0;
    for (std::size_t k = 0; k < x.size(); ++k) {
      const double difference = x[k] - a * static_cast<double>(atom[k]);
      sum += difference * difference;
    }
    return sum;
  });
}

/// Exact moments over the candidates of one particle, from direct differences.
class CandidateMoments {
 public:
  CandidateMoments(const SoftAssignmentRequest& request, std::size_t particle, const Screen& screen)
      : request_(request), particle_(particle), d_(request.atoms->dim()), count_(screen.candidates.size()),
        atoms_(count_, d_), half_distance_(count_), weights_(count_) {
    indices_.reserve(count_);
    for (const Candidate& candidate : screen.candidates) indices_.push_back(candidate.atom);
    const auto x = request.x.row(particle);
    for (std::size_t j = 0; j < count_; ++j) {
      request.atoms->copy_atom(indices_[j], atoms_.row(j));
      half_distance_[j] = 0.5 * squared_distance(*request.atoms, indices_[j], request.a, x) / request.s2;
    }
  }

  void write(std::size_t m, SoftAssignmentResult& result) {
    SoftAssignmentMoments& out = result.measures[m];
    out.log_normaliser[particle_] = weigh(m);
    const std::vector<double> mean = weighted_mean();
    if (request_.want_mean) std::copy(mean.begin(), mean.end(), out.mean.row(particle_).begin());
    if (request_.want_variance) out.variance[particle_] = variance(mean);
    if (request_.features != nullptr) feature_mean(out.feature_mean.row(particle_));
    if (m == 0 && !request_.direction.empty())
      product(mean, request_.direction.row(particle_), result.covariance_product.row(particle_));
    if (m == 0 && request_.direction_of) {
      Matrix direction(1, d_);
      const ConstBatchView features = out.feature_mean.size() == 0 ? ConstBatchView() : out.feature_mean.view().rows_from(particle_, 1);
      request_.direction_of({&particle_, 1}, out.mean.view().rows_from(particle_, 1), features, direction);
      product(mean, direction.row(0), result.covariance_product.row(particle_));
    }
  }

 private:
  /// weights_ ← responsibilities; returns the log-normaliser.
  double weigh(std::size_t m) {
    double best = -std::numeric_limits<double>::infinity();
    for (std::size_t j = 0; j < count_; ++j) {
      weights_[j] = request_.log_weights[m][indices_[j]] - half_distance_[j];
      best = std::max(best, weights_[j]);
    }
    double sum = 0.0;
    for (double& w : weights_) sum += w = std::exp(w - best);
    for (double& w : weights_) w /= sum;
    return best + std::log(sum);
  }

  std::vector<double> weighted_mean() const {
    std::vector<double> mean(d_, 0.0);
    for (std::size_t j = 0; j < count_; ++j)
      for (std::size_t k = 0; k < d_; ++k) mean[k] += weights_[j] * atoms_(j, k);
    return mean;
  }

  double variance(const std::vector<double>& mean) const {
    double sum = 0.0;
    for (std::size_t j = 0; j < count_; ++j)
      for (std::size_t k = 0; k < d_; ++k) sum += weights_[j] * (atoms_(j, k) - mean[k]) * (atoms_(j, k) - mean[k]);
    return sum;
  }

  void feature_mean(std::span<double> out) const {
    std::fill(out.begin(), out.end(), 0.0);
    std::vector<double> values(out.size());
    for (std::size_t j = 0; j < count_; ++j) {
      if (weights_[j] == 0.0) continue;
      request_.features->fill(indices_[j], 1, values.data());
      for (std::size_t q = 0; q < out.size(); ++q) out[q] += weights_[j] * values[q];
    }
  }

  void product(const std::vector<double>& mean, std::span<const double> v, std::span<double> out) const {
    std::fill(out.begin(), out.end(), 0.0);
    for (std::size_t j = 0; j < count_; ++j) {
      double along = 0.0;
      for (std::size_t k = 0; k < d_; ++k) along += (atoms_(j, k) - mean[k]) * v[k];
      for (std::size_t k = 0; k < d_; ++k) out[k] += weights_[j] * along * (atoms_(j, k) - mean[k]);
    }
  }

  const SoftAssignmentRequest& request_;
  std::size_t particle_;
  std::size_t d_;
  std::size_t count_;
  std::vector<std::uint32_t> indices_;
  Matrix atoms_;
  std::vector<double> half_distance_;
  std::vector<double> weights_;
};

}  // namespace

void sparse_pass(const SoftAssignmentRequest& request, std::span<const std::size_t> particles,
                 SoftAssignmentResult& result) {
  const double cut = weight_cut<double>(request.atoms->count());
  const QueryBlock<double> queries = pack_queries<double>(request, particles);
  std::vector<Screen> screens = screen_atoms(request, queries, cut);
  for (std::size_t p = 0; p < particles.size(); ++p) {
    prune(request, queries.norms[p], cut, screens[p]);
    CandidateMoments moments(request, particles[p], screens[p]);
    for (std::size_t m = 0; m < request.log_weights.size(); ++m) moments.write(m, result);
    screens[p] = {};
  }
}

void nearest_pass(const SoftAssignmentRequest& request, std::span<const std::size_t> particles,
                  std::vector<std::size_t>& nearest) {
  const QueryBlock<double> queries = pack_queries<double>(request, particles);
  std::vector<Screen> screens = screen_atoms(request, queries, 0.0);
  for (std::size_t p = 0; p < particles.size(); ++p) {
    double smallest = std::numeric_limits<double>::infinity();
    for (const Candidate& candidate : screens[p].candidates) {
      const double distance = squared_distance(*request.atoms, candidate.atom, request.a, request.x.row(particles[p]));
      if (distance < smallest) {
        smallest = distance;
        nearest[particles[p]] = candidate.atom;
      }
    }
  }
}

}  // namespace fslens::kernels
