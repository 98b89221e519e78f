// Exact moments over few atoms, from direct differences in float64.
#include <algorithm>
#include <cmath>
#include <limits>

#include "aligned_array.hpp"
#include "error_bound.hpp"
#include "fslens/core/parallel.hpp"
#include "screen.hpp"
#include "squared_distance.hpp"

namespace fslens::kernels {
namespace {

using Extended = long double;  // 64 bits of significand on x86, 113 on most others

/// The candidates of one particle at a time. What is kept of them depends on their exact logits alone, so the result does not depend on how
/// many more the screen let through.
class CandidateMoments {
 public:
  CandidateMoments(const SoftAssignmentRequest& request, const RequestSize& size, double cut)
      : request_(request), size_(size), d_(request.atoms->dim()), cut_(cut), atom_(d_), anchor_(d_), mean_(d_), sum_(d_), direction_(1, d_),
        center_(1, d_) {}

  void take(std::size_t particle, std::span<const std::uint32_t> candidates) {
    particle_ = particle, candidates_ = candidates;
    unit_ = kUnit, roundings_ = interleaved_roundings(d_);
    half_distance_.resize(candidates.size());
    holds_ = candidates.size() * d_ <= kMostHeld;
    if (holds_) held_.resize(kMostHeld);
    for (std::size_t j = 0; j < candidates.size(); ++j) {
      if (j + kAhead < candidates.size()) prefetch_atom(*request_.atoms, candidates[j + kAhead]);
      if (holds_) request_.atoms->copy_atom(candidates[j], {held_.data() + j * d_, d_});
      half_distance_[j] = 0.5 * squared_distance(atom(j), request_.a, request_.x.row(particle)) / request_.s2;
    }
  }

  /// Between atoms far apart, logits of 10⁶ differ by less than one: there float64 does not do, and the differences are computed in
  /// extended precision.
  void write(SoftAssignmentResult& result) {
    double judged = 0.0;
    for (std::size_t m = 0; m < request_.log_weights.size(); ++m) judged = std::max(judged, write_measure(m, result));
    if (!(judged <= request_.tolerance)) {
      refine();
      for (std::size_t m = 0; m < request_.log_weights.size(); ++m) write_measure(m, result);
    }
    if (wants_product()) write_product(result);
  }

 private:
  static constexpr std::size_t kAhead = 3;
  /// Values of candidates that are held rather than read three times: 64 KiB.
  static constexpr std::size_t kMostHeld = std::size_t{1} << 13;

  bool wants_product() const { return !request_.direction.empty() || request_.direction_of; }

  /// Candidate j.
  std::span<const double> atom(std::size_t j) {
    if (holds_) return {held_.data() + j * d_, d_};
    request_.atoms->copy_atom(candidates_[j], atom_);
    return atom_;
  }

  /// @return what is held against the tolerance
  double write_measure(std::size_t m, SoftAssignmentResult& result) {
    SoftAssignmentMoments& out = result.measures[m];
    out.log_normaliser[particle_] = weigh(m);
    gather();
    if (request_.want_mean) std::ranges::copy(mean_, out.mean.row(particle_).begin());
    if (request_.want_variance) out.variance[particle_] = variance_;
    if (request_.features != nullptr) feature_mean(out.feature_mean.row(particle_));
    const WeightError weights = weight_error(m);
    const MomentError error = moment_error(weights, moment_size(out.log_normaliser[particle_]));
    write_errors(error, particle_, out);
    if (m == 0 && wants_product()) first_.error = error, first_.kept = kept_, first_.weights = weights_, first_.mean = mean_;
    return judged_error(request_, weights, error);
  }

  void refine() {
    const auto x = request_.x.row(particle_);
    for (std::size_t j = 0; j < candidates_.size(); ++j) {
      const std::span<const double> values = atom(j);
      Extended sum = 0;
      for (std::size_t k = 0; k < d_; ++k) {
        const Extended difference = Extended(x[k]) - Extended(request_.a) * Extended(values[k]);
        sum += difference * difference;
      }
      half_distance_[j] = sum / (2 * Extended(request_.s2));
    }
    unit_ = 0.5 * static_cast<double>(std::numeric_limits<Extended>::epsilon());
    roundings_ = static_cast<double>(d_) + 6.0;
  }

  /// kept_, weights_ ← the candidates that count and their responsibilities; returns the log-normaliser.
  double weigh(std::size_t m) {
    Extended best = -std::numeric_limits<Extended>::infinity();
    std::size_t anchor = 0;
    for (std::size_t j = 0; j < candidates_.size(); ++j)
      if (const Extended value = logit(m, j); value > best) best = value, anchor = j;
    kept_.clear(), weights_.clear(), arguments_.clear();
    double sum = 0.0;
    for (std::size_t j = 0; j < candidates_.size(); ++j) {
      const auto argument = static_cast<double>(logit(m, j) - best);
      if (!(argument >= -cut_)) continue;
      kept_.push_back(j);
      arguments_.push_back(argument);
      weights_.push_back(std::exp(argument));
      sum += weights_.back();
    }
    const double total = drop_light(sum);
    for (double& w : weights_) w /= total;
    // What the screen left out, what was pruned, and what was dropped here.
    lost_ = (2.0 * static_cast<double>(request_.atoms->count()) * std::exp(-cut_) + (sum - total) * (1.0 + 1e-9)) / total;
    best_ = static_cast<double>(best);
    std::ranges::copy(atom(anchor), anchor_.begin());
    return best_ + std::log(sum);
  }

  /// Drops what all together weighs no more than the cut leaves out: most of those within it. @return the sum of the others
  double drop_light(double sum) {
    const double lightest = std::exp(-cut_) * static_cast<double>(request_.atoms->count()) / static_cast<double>(kept_.size()) * sum;
    double total = 0.0;
    std::size_t left = 0;
    for (std::size_t j = 0; j < kept_.size(); ++j) {
      if (weights_[j] < lightest) continue;
      kept_[left] = kept_[j], weights_[left] = weights_[j], arguments_[left] = arguments_[j];
      total += weights_[left++];
    }
    kept_.resize(left), weights_.resize(left), arguments_.resize(left);
    return total;
  }

  Extended logit(std::size_t m, std::size_t j) const { return Extended(request_.log_weights[m][candidates_[j]]) - half_distance_[j]; }

  /// Mean and variance about the heaviest atom: where that holds the weight, roundings are as small as the rest of it.
  void gather() {
    std::ranges::fill(sum_, 0.0);
    second_ = 0.0, feature_size_ = 0.0;
    for (std::size_t j = 0; j < kept_.size(); ++j) second_ += weights_[j] * add_deviation(atom(kept_[j]), anchor_, weights_[j], sum_);
    double shift = 0.0, centered = 0.0;
    for (std::size_t k = 0; k < d_; ++k) {
      mean_[k] = anchor_[k] + sum_[k];
      shift += sum_[k] * sum_[k];
      centered += (mean_[k] - request_.atoms->center()[k]) * (mean_[k] - request_.atoms->center()[k]);
    }
    variance_ = std::max(0.0, second_ - shift);
    reach_ = size_.radius + std::sqrt(centered);
  }

  void feature_mean(std::span<double> out) {
    std::ranges::fill(out, 0.0);
    std::vector<double> values(out.size());
    for (std::size_t j = 0; j < kept_.size(); ++j) {
      request_.features->fill(candidates_[kept_[j]], 1, values.data());
      for (std::size_t q = 0; q < out.size(); ++q) {
        out[q] += weights_[j] * values[q];
        feature_size_ = std::max(feature_size_, std::abs(values[q]));
      }
    }
  }

  /// Σ p δ². Roundings of Σ_k (x_k − a x_ik)²/2s², of a x_ik in it (e = u a max|x| √d: D² is off by 2 D e + 3 e²), of the logit,
  /// its distance to the best and the exponential.
  WeightError weight_error(std::size_t m) const {
    const double spread = request_.a * size_.largest_value * std::sqrt(2.0 * static_cast<double>(d_) / request_.s2);
    WeightError error;
    double squares = 0.0;
    for (std::size_t j = 0; j < kept_.size(); ++j) {
      const auto half = static_cast<double>(half_distance_[kept_[j]]);
      const double size = half + std::abs(request_.log_weights[m][candidates_[kept_[j]]]);
      const double product = unit_ * spread * (std::sqrt(half) + unit_ * spread);
      const double delta = product + unit_ * ((roundings_ + 1.0) * half + size) + kUnit * (3.0 - arguments_[j]);
      squares += weights_[j] * delta * delta;
      error.largest = std::max(error.largest, delta);
    }
    const double sum = kUnit * static_cast<double>(kept_.size() + 2);
    error.root_mean_square = std::sqrt(squares) * (1.0 + 1e-6) + sum;
    error.largest += sum;
    error.lost = lost_;
    return error;
  }

  MomentSize moment_size(double log_normaliser) const {
    const auto terms = static_cast<double>(kept_.size()) + 6.0;
    MomentSize size;
    size.variance = variance_;
    size.variance_rounding = kUnit * (terms + static_cast<double>(d_) + 8.0) * 2.0 * second_;
    size.reach = reach_;
    size.mean_rounding = kUnit * (terms * std::sqrt(second_) + 2.0 * size_.largest_value * std::sqrt(static_cast<double>(d_)));
    size.normaliser_rounding = kUnit * (4.0 * (std::abs(log_normaliser) + std::abs(best_)) + terms);
    size.feature_size = feature_size_;
    size.feature_rounding = kUnit * terms * feature_size_;
    return size;
  }

  void write_product(SoftAssignmentResult& result) {
    const auto& [error, kept, weights, first_mean] = first_;
    const SoftAssignmentMoments& moments = result.measures[0];
    if (!request_.direction.empty()) {
      std::ranges::copy(request_.direction.row(particle_), direction_.row(0).begin());
      std::ranges::copy(request_.direction_mean.row(particle_), center_.row(0).begin());
    } else {
      std::ranges::copy(first_mean, center_.row(0).begin());
      const ConstBatchView features =
          moments.feature_mean.empty() ? ConstBatchView() : moments.feature_mean.view().rows_from(particle_, 1);
      request_.direction_of({&particle_, 1}, center_, features, direction_);
    }
    const auto center = center_.row(0);
    const auto out = result.covariance_product.row(particle_);
    std::ranges::fill(out, 0.0);
    double norm = 0.0;
    for (const double v : direction_.row(0)) norm += v * v;
    norm = std::sqrt(norm) * (1.0 + kUnit * static_cast<double>(d_ + 4));
    for (std::size_t j = 0; j < kept.size(); ++j) {
      const std::span<const double> values = atom(kept[j]);
      add_deviation(values, center, weights[j] * deviation_along(values, center, direction_.row(0)), out);
    }
    const auto terms = static_cast<double>(kept.size() + 2 * d_) + 16.0;
    const double offset = 2.0 * size_.largest_value * std::sqrt(static_cast<double>(d_));  // of subtracting the mean
    const double deviation = std::sqrt(error.true_variance) + kUnit * offset;
    result.covariance_product_error[particle_] = stated(norm * (error.product + kUnit * terms * deviation * (deviation + kUnit * offset) +
                                                                2.0 * kUnit * offset * deviation));
  }

  const SoftAssignmentRequest& request_;
  const RequestSize& size_;
  std::size_t d_;
  double cut_;
  std::size_t particle_ = 0;
  std::span<const std::uint32_t> candidates_;
  AlignedArray<double> held_;              // the candidates' values [candidates][d]
  bool holds_ = false;                     // where they are few
  std::vector<Extended> half_distance_;
  double unit_ = kUnit, roundings_ = 0.0;  // of half_distance_
  std::vector<double> atom_, anchor_, mean_, sum_;
  Matrix direction_, center_;              // v, and what it is about
  std::vector<std::size_t> kept_;    // positions in candidates_
  std::vector<double> arguments_, weights_;
  struct First {
    MomentError error;
    std::vector<std::size_t> kept;
    std::vector<double> weights, mean;
  };
  First first_;                      // under measure 0, for C v
  double best_ = 0.0, lost_ = 0.0, second_ = 0.0, variance_ = 0.0, reach_ = 0.0, feature_size_ = 0.0;
};

}  // namespace

void direct_pass(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Screened& screened, double cut,
                 SoftAssignmentResult& result) {
  const RequestSize size = request_size(request);
  constexpr std::size_t kParticles = 16;
  parallel_for_ranges(particles.size(), kParticles, [&](std::size_t first, std::size_t last) {
    CandidateMoments moments(request, size, cut);
    for (std::size_t p = first; p < last; ++p) {
      if (screened.candidates[p].empty()) continue;
      moments.take(particles[p], screened.candidates[p]);
      moments.write(result);
    }
  });
}

void nearest_pass(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, const Screened& screened,
                  std::vector<std::size_t>& nearest) {
  constexpr std::size_t kParticles = 16;
  parallel_for_ranges(particles.size(), kParticles, [&](std::size_t first, std::size_t last) {
    std::vector<double> atom(request.atoms->dim());
    for (std::size_t p = first; p < last; ++p) {
      double smallest = std::numeric_limits<double>::infinity();
      for (const std::uint32_t candidate : screened.candidates[p]) {
        request.atoms->copy_atom(candidate, atom);
        const double distance = squared_distance(atom, request.a, request.x.row(particles[p]));
        if (distance < smallest) smallest = distance, nearest[particles[p]] = candidate;
      }
    }
  });
}

}  // namespace fslens::kernels
