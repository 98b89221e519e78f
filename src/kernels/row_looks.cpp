#include "row_looks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "squared_distance.hpp"

namespace fslens::kernels {
namespace {

constexpr std::size_t kMostRows = std::size_t{1} << 16;
/// Noise levels further apart than this are not about the same.
constexpr double kNearNoise = 1.08;
/// A row that was crowded is screened again when its noise has fallen to this share: the number of candidates follows the noise.
constexpr double kLessNoise = 0.94;
/// Along a trajectory the lead of an atom over the centre falls little from step to step.
constexpr double kFallenLead = 4.0, kFallenShare = 0.1;

}  // namespace

double noise_of(const SoftAssignmentRequest& request) { return std::sqrt(request.s2) / request.a; }

double bare_logit(const SoftAssignmentRequest& request, std::size_t row, std::span<const double> y) {
  return -0.5 * squared_distance(y, request.a, request.x.row(row)) / request.s2;
}

void RowLooks::prepare(std::size_t rows) { looks_.resize(std::max(looks_.size(), std::min(rows, kMostRows))); }

void RowLooks::clear() { looks_.clear(); }

bool RowLooks::recall(const SoftAssignmentRequest& request, std::size_t row, Probe& probe) const {
  if (row >= looks_.size()) return false;
  const Look& look = looks_[row];
  const double noise = noise_of(request);
  if (!(noise < kNearNoise * look.noise && look.noise < kNearNoise * noise)) return false;
  const double center = bare_logit(request, row, request.atoms->center());
  std::vector<double> atom(request.atoms->dim());
  double reference[2] = {};
  const std::size_t measures = request.log_weights.size();
  for (std::size_t m = 0; m < measures; ++m) {
    request.atoms->copy_atom(look.atom[m], atom);
    const double bare = bare_logit(request, row, atom), lead = bare - center;
    if (!(lead > look.lead[m] - std::max(kFallenLead, kFallenShare * std::abs(look.lead[m])))) return false;
    reference[m] = bare + request.log_weights[m][look.atom[m]];
  }
  for (std::size_t m = 0; m < 2; ++m) {
    const bool there = m < measures;
    probe.atom[m].push_back(look.atom[m]);
    probe.reference[m].push_back(there ? reference[m] : -std::numeric_limits<double>::infinity());
    probe.log_mean[m].push_back(probe.reference[m].back() - (there ? look.peak[m] : 0.0));
    probe.crowding[m].push_back(look.crowding[m]);
  }
  probe.live_share.push_back(look.live_share);
  probe.variance.push_back(look.variance);
  return true;
}

void RowLooks::keep(const SoftAssignmentRequest& request, std::size_t row, const Probe& probe, std::size_t position) {
  if (row >= looks_.size()) return;
  Look& look = looks_[row];
  look.noise = 0.0;
  const double center = bare_logit(request, row, request.atoms->center());
  std::vector<double> atom(request.atoms->dim());
  for (std::size_t m = 0; m < request.log_weights.size(); ++m) {
    if (!std::isfinite(probe.reference[m][position])) return;
    look.atom[m] = probe.atom[m][position];
    request.atoms->copy_atom(look.atom[m], atom);
    look.lead[m] = bare_logit(request, row, atom) - center;
    look.peak[m] = probe.reference[m][position] - probe.log_mean[m][position];
    look.crowding[m] = probe.crowding[m][position];
  }
  look.live_share = probe.live_share[position], look.variance = probe.variance[position];
  look.noise = noise_of(request);
}

bool RowLooks::was_crowded(std::size_t row, double noise) const {
  return row < looks_.size() && looks_[row].crowded_noise > 0.0 && noise > kLessNoise * looks_[row].crowded_noise;
}

void RowLooks::set_crowded(std::size_t row, bool crowded, double noise) {
  if (row < looks_.size()) looks_[row].crowded_noise = crowded ? noise : 0.0;
}

}  // namespace fslens::kernels
