// A second look at long lists of candidates: a screen of one digit lets several times as many atoms through as can count.
#include <algorithm>
#include <cmath>
#include <limits>

#include "error_bound.hpp"
#include "fixed_point.hpp"
#include "fslens/core/parallel.hpp"
#include "row_product.hpp"
#include "screen.hpp"
#include "squared_distance.hpp"

namespace fslens::kernels {
namespace {

constexpr std::size_t kFewCandidates = 24;
constexpr std::size_t kAhead = 4;

/// The logits of one particle, from its query in some thirteen bits.
class CandidateLogits {
 public:
  CandidateLogits(const SoftAssignmentRequest& request, const RequestSize& size, const FixedPointFormat& format)
      : request_(request), size_(size), format_(format), query_(request.atoms->dim()) {}

  /// δ ≥ the error of the logits that `at` gives, less a constant of the particle, where the best of them is `best`.
  double error(double best, double cut) const { return error_at_zero_ + offset_rounding(request_, size_, norm_, best, cut); }

  void take(std::size_t particle) {
    const AtomTable& atoms = *request_.atoms;
    const auto x = request_.x.row(particle);
    const std::size_t d = x.size();
    double largest = 0.0, lost = 0.0;
    for (std::size_t k = 0; k < d; ++k) largest = std::max(largest, std::abs(x[k] - request_.a * atoms.center()[k]));
    const double most = largest_query(d), unit = largest / most, inverse = largest > 1e-280 ? most / largest : 0.0;
    for (std::size_t k = 0; k < d; ++k) {
      const double q = x[k] - request_.a * atoms.center()[k], whole = std::nearbyint(q * inverse);
      query_[k] = static_cast<std::int16_t>(std::clamp(whole, -most, most));
      const double gap = q - unit * query_[k];
      lost += gap * gap;
    }
    const double slope = request_.a / request_.s2;
    norm_ = std::sqrt(squared_distance(atoms.center(), request_.a, x));
    scale_ = slope * unit * format_.unit;
    // What the digits of q cannot hold, the atoms' own residual, and some roundings in float64 of a product below 2³¹.
    error_at_zero_ = slope * (std::sqrt(lost) * (1.0 + 1e-10) * atoms.radius() + (norm_ + std::sqrt(lost)) * format_.residual) +
                     8.0 * kUnit * std::abs(scale_) * 0x1p31;
  }

  /// scale ⟨q̂, u_i⟩ − a²‖x_i − x̄‖²/2s²: without the log-weight.
  double at(std::uint32_t atom) const {
    const auto* row = reinterpret_cast<const std::uint8_t*>(request_.atoms->stored_atom(atom));
    const double half = 0.5 * request_.a * request_.a / request_.s2 * request_.atoms->centered_squared_norms()[atom];
    return scale_ * row_product(query_.data(), row, query_.size()) - half;
  }

 private:
  const SoftAssignmentRequest& request_;
  const RequestSize& size_;
  const FixedPointFormat& format_;
  std::vector<std::int16_t> query_;
  double scale_ = 0.0, norm_ = 0.0, error_at_zero_ = 0.0;
};

/// needed[j] ← may count under this measure: all that are not together lighter than `budget` times the best.
void mark_needed(std::span<const double> logits, double error, double budget, std::vector<bool>& needed) {
  const double best = *std::ranges::max_element(logits);
  // e^{logit − best + 2δ} ≥ the weight relative to the best's.
  const double lowest = best - 2.0 * error + std::log(budget / static_cast<double>(logits.size()));
  for (std::size_t j = 0; j < logits.size(); ++j) needed[j] = needed[j] || logits[j] >= lowest;
}

}  // namespace

void prune_candidates(const SoftAssignmentRequest& request, std::span<const std::size_t> particles, double cut, Screened& screened) {
  if (request.atoms->type() != AtomType::uint8) return;
  const FixedPointFormat format = fixed_point_format(*request.atoms, 1);
  const RequestSize size = request_size(request);
  const double budget = static_cast<double>(request.atoms->count()) * std::exp(-cut);
  constexpr std::size_t kParticles = 16;
  parallel_for_ranges(particles.size(), kParticles, [&](std::size_t first, std::size_t last) {
    CandidateLogits products(request, size, format);
    std::vector<double> bare, logits;
    std::vector<bool> needed;
    for (std::size_t p = first; p < last; ++p) {
      std::vector<std::uint32_t>& list = screened.candidates[p];
      if (list.size() <= kFewCandidates) continue;
      products.take(particles[p]);
      bare.resize(list.size()), logits.resize(list.size());
      for (std::size_t j = 0; j < list.size(); ++j) {
        if (j + kAhead < list.size()) prefetch_atom(*request.atoms, list[j + kAhead]);
        bare[j] = products.at(list[j]);
      }
      needed.assign(list.size(), false);
      for (const auto& weights : request.log_weights) {
        for (std::size_t j = 0; j < list.size(); ++j) logits[j] = bare[j] + weights[list[j]];
        const double best = *std::ranges::max_element(logits);
        mark_needed(logits, products.error(best, cut), budget, needed);
      }
      std::size_t left = 0;
      for (std::size_t j = 0; j < list.size(); ++j)
        if (needed[j]) list[left++] = list[j];
      list.resize(left);
    }
  });
}

}  // namespace fslens::kernels
