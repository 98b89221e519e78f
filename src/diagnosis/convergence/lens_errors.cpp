#include "lens_errors.hpp"

#include <algorithm>
#include <cmath>

#include "fslens/metrics/total_variation.hpp"
#include "mixture_law.hpp"

namespace fslens {
namespace {

constexpr std::size_t kScoreDraws = 512;
constexpr std::size_t kSliceDirections = 32;
/// A total variation is at most 1; up to here it still grows in proportion to what it measures.
constexpr double kSaturatedTotalVariation = 0.5;
/// Sums of weights are right to this: what is smaller is not an error of a lens.
constexpr double kRounding = 1e-13;

double norm(std::span<const double> u, std::span<const double> v) {
  double sum = 0.0;
  for (std::size_t j = 0; j < u.size(); ++j) sum += (u[j] - v[j]) * (u[j] - v[j]);
  return std::sqrt(sum);
}

double norm(std::span<const double> u) { return norm(u, std::vector<double>(u.size(), 0.0)); }

/// What p_t(x | y) is the convolution of.
std::span<const GaussianComponents> marginal_source(const AtomsLens& measured) { return measured.points.empty() ? measured.law : measured.points; }

double trace(const Matrix& covariance) {
  double sum = 0.0;
  for (std::size_t j = 0; j < covariance.rows(); ++j) sum += covariance(j, j);
  return sum;
}

}  // namespace

LensErrors::LensErrors(const AnalyticProblem& problem, ExactPosterior exact, std::vector<double> times)
    : exact_(std::move(exact)),
      moments_(exact_.lens->moments(Measure::posterior, 0.0)),
      projections_(dim(), dim() == 1 ? 1 : kSliceDirections, RandomStream(problem.seed).child("slice directions")),
      projected_(project(exact_.law, projections_)) {
  const RandomStream stream = RandomStream(problem.seed).child("score draws");
  if (dim() <= 2) {
    for (const double t : times) {
      grids_.emplace_back(*exact_.lens, *problem.prior, t);
      statistics_.push_back({"total-variation", t, exact_.density_error, kSaturatedTotalVariation});
    }
  } else {
    absent_.push_back({"total-variation", "densities are compared on a grid, in one or two dimensions only"});
  }
  for (const double t : times) {
    Matrix draws = exact_.lens->sample(Measure::posterior, kScoreDraws, t, stream).x;
    Matrix score = exact_.lens->fields(draws, t).posterior_score;
    probes_.push_back({t, std::move(draws), std::move(score)});
    statistics_.push_back({"score", t, exact_.density_error, {}});
  }
  statistics_.push_back({"sliced-w2", {}, std::hypot(projected_.bin_error, exact_.law_error), {}});
  statistics_.push_back({"mean", {}, exact_.law_error / std::sqrt(trace(moments_.covariance)), {}});
  statistics_.push_back({"covariance", {}, exact_.law_error / std::sqrt(trace(moments_.covariance)), {}});
  statistics_.push_back({"log-evidence", {}, std::max(kRounding, exact_.log_evidence_error), {}});
  if (exact_.mode_weights.size() > 1) {
    statistics_.push_back({"mode-weights", {}, std::max(kRounding, exact_.density_error), kSaturatedTotalVariation});
  } else {
    absent_.push_back({"mode-weights", "the prior has one component"});
  }
}

double LensErrors::ScoreProbe::error(const AtomsLens& measured, const NoiseSchedule& schedule) const {
  const Matrix found = measured.lens ? measured.lens->fields(draws, t).posterior_score : score_of(noised(marginal_source(measured), schedule, t), draws);
  return schedule.s(t) * norm(found.values(), exact_score.values()) / std::sqrt(static_cast<double>(found.size()));
}

double LensErrors::mode_weights_error(const std::vector<double>& weights, const std::vector<std::size_t>& mode_of_atom) const {
  std::vector<double> of_mode(exact_.mode_weights.size(), 0.0);
  for (std::size_t i = 0; i < mode_of_atom.size(); ++i) of_mode[mode_of_atom[i]] += weights[i];
  return total_variation(of_mode, exact_.mode_weights);
}

std::vector<double> LensErrors::of(const AtomsLens& measured, const std::vector<std::size_t>& mode_of_atom) const {
  std::vector<double> errors;
  for (const DensityGrid& grid : grids_) errors.push_back(grid.total_variation(marginal_source(measured)));
  for (const ScoreProbe& probe : probes_) errors.push_back(probe.error(measured, exact_.lens->schedule()));
  errors.push_back(std::sqrt(sliced_wasserstein2_squared(project(measured.law, projections_).lines, projected_.lines).value));
  const Moments found = measured.lens ? measured.lens->moments(Measure::posterior, 0.0) : moments_of(marginal_source(measured));
  errors.push_back(norm(found.mean, moments_.mean) / std::sqrt(trace(moments_.covariance)));
  errors.push_back(norm(found.covariance.values(), moments_.covariance.values()) / norm(moments_.covariance.values()));
  errors.push_back(std::abs(measured.log_evidence - exact_.lens->log_evidence()));
  if (exact_.mode_weights.size() > 1) errors.push_back(mode_weights_error(measured.weights, mode_of_atom));
  return errors;
}

}  // namespace fslens
