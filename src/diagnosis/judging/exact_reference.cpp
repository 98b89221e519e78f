#include "fslens/diagnosis/exact_reference.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/core/sort.hpp"
#include "fslens/diagnosis/recording.hpp"
#include "fslens/metrics/mode_weights.hpp"
#include "fslens/metrics/spread.hpp"
#include "fslens/metrics/total_variation.hpp"

namespace fslens {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const RowMajor>;

// Exact draws that stand for the posterior where a pass over the atoms is needed for each: times the particles.
constexpr std::size_t kPoolFactor = 4;
constexpr std::size_t kPrincipalDirections = 3;
constexpr double kNullLow = 0.025;
constexpr double kNullHigh = 0.975;

ConstMap as_eigen(const Matrix& matrix) {
  return {matrix.data(), static_cast<Eigen::Index>(matrix.rows()), static_cast<Eigen::Index>(matrix.cols())};
}

std::size_t projection_count(std::size_t dim) { return std::clamp<std::size_t>(8 * dim, 1, 32); }

}  // namespace

Matrix rescaled_to_clean(const NoiseSchedule& schedule, ConstBatchView x, double t) {
  Matrix out(x);
  if (t == 0.0) return out;
  const double a = schedule.a(t), shift = schedule.shift(t);
  for (double& value : out.values()) value = (value - shift) / a;
  return out;
}

Matrix first_rows(ConstBatchView x, std::size_t count) { return Matrix(x.rows_from(0, std::min(count, x.rows()))); }

StopErrors stop_errors(const EnergySample& exact, ConstBatchView clean) {
  constexpr std::size_t kSmallestGroup = 10;
  const std::size_t groups = std::clamp<std::size_t>(clean.rows() / kSmallestGroup, 1, kStopGroups);
  if (clean.rows() / groups < 2) return {};
  return energy_distances_of_groups(clean, groups, exact);
}

ExactReference::ExactReference(std::shared_ptr<const Lens> lens, const ModePartition& modes, std::vector<double> times,
                               std::size_t num_particles, const RandomStream& stream, Observer& observer)
    : lens_(std::move(lens)),
      modes_(modes),
      times_(std::move(times)),
      num_particles_(num_particles),
      stream_(stream.child("exact reference")),
      projections_(lens_->dim(), lens_->dim() == 1 ? 1 : projection_count(lens_->dim()), stream_.child("projections")),
      mode_weights_(modes_.weights(lens_->log_weights(Measure::posterior))) {
  require(num_particles >= kFewestParticles, "run.particles", std::to_string(num_particles),
          "must be at least 10 for a diagnosis (statistics need a sample)");
  require(!times_.empty(), "times", "none", "must name at least one time");
  find_principal_directions();
  draw_references(observer);
  draw_nulls(observer);
  make_final();
}

void ExactReference::find_principal_directions() {
  const Moments moments = lens_->moments(Measure::posterior, 0.0);
  const std::size_t d = lens_->dim();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(as_eigen(moments.covariance));
  clean_variance_ = std::max(0.0, solver.eigenvalues().sum());
  directions_ = Matrix(std::min(kPrincipalDirections, d), d);
  for (std::size_t j = 0; j < directions_.rows(); ++j) {
    const auto column = static_cast<Eigen::Index>(d - 1 - j);  // eigenvalues ascend
    clean_direction_variances_.push_back(std::max(0.0, solver.eigenvalues()[column]));
    for (std::size_t k = 0; k < d; ++k) directions_(j, k) = solver.eigenvectors()(static_cast<Eigen::Index>(k), column);
  }
  deviations_.emplace(*lens_, moments, directions_);
}

void ExactReference::draw_references(Observer& observer) {
  const RandomStream pool_stream = stream_.child("pool");
  const NoiseSchedule& schedule = lens_->schedule();
  clean_draws_.emplace(
      lens_->sample(Measure::posterior, std::min(num_particles_, kPairwiseCap), 0.0, stream_.child("clean")).x);
  const auto denoiser = lens_->denoiser(Measure::prior);
  for (const double t : times_) {
    report_progress(observer, "exact reference", references_.size(), times_.size());
    TimeReference& reference = references_.emplace_back();
    reference.t = t;
    const double a = t == 0.0 ? 1.0 : schedule.a(t);
    const double s2 = t == 0.0 ? 0.0 : schedule.s2(t);
    reference.total_variance = a * a * clean_variance_ + static_cast<double>(lens_->dim()) * s2;
    for (const double variance : clean_direction_variances_)
      reference.direction_variances.push_back(a * a * variance + s2);

    const Draws pool = lens_->sample(Measure::posterior, kPoolFactor * num_particles_, t, pool_stream);
    const double shrink = std::sqrt(static_cast<double>(kPoolFactor));  // from the pool's size to B
    // What the components show that the draws may not, and, where they are neither points nor one sphere, what the draws show of their shapes.
    const bool has_shapes = lens_->component_variance() > 0.0 && lens_->dim() * lens_->num_components() > 1;
    const auto wider = [&](VarianceLaw law, const Variance& seen, double exact) {
      if (exact > 0.0 && has_shapes) law.standard_error = std::max(law.standard_error, shrink * seen.standard_error / exact);
      return law;
    };
    reference.total_variance_law = wider(deviations_->total(a, s2, num_particles_), total_variance(pool.x), reference.total_variance);
    const std::vector<Variance> along = variance_along(pool.x, directions_);
    for (std::size_t j = 0; j < along.size(); ++j)
      reference.direction_variance_laws.push_back(wider(deviations_->along(j, a, s2, num_particles_), along[j], reference.direction_variances[j]));
    const ConstBatchView one = pool.x.view().rows_from(0, num_particles_);
    reference.sample.emplace(project(one, projections_));
    if (t > 0.0) make_mode_null(reference, pool.x);
    if (t > 0.0 && lens_->dim() <= 2) bin_law(reference, pool.x);

    const ConstBatchView stopped = pool.x.view().rows_from(num_particles_, num_particles_);
    reference.stop_rescaled = stop_errors(*clean_draws_, rescaled_to_clean(schedule, stopped, t));
    if (t > 0.0) {
      Matrix denoised(stopped.rows(), stopped.cols());
      denoiser->denoise(stopped, t, denoised);
      reference.stop_denoised = stop_errors(*clean_draws_, denoised);
    }
  }
  report_progress(observer, "exact reference", times_.size(), times_.size());
}

void ExactReference::make_mode_null(TimeReference& reference, const Matrix& pool) const {
  // Resampling B of 4 B exact draws stands for new ones: it spares a pass over the atoms for each repetition.
  const Matrix responsibilities = lens_->mode_responsibilities(pool, reference.t, modes_, Measure::posterior);
  const RandomStream stream = stream_.child("mode null", references_.size());
  std::vector<double> repetitions(kNullRepetitions);
  Matrix weights(kNullRepetitions, modes_.num_modes());
  parallel_for(kNullRepetitions, [&](std::size_t r) {
    const std::span<double> mean = weights.row(r);
    for (std::size_t b = 0; b < num_particles_; ++b) {
      const auto row = responsibilities.row(
          static_cast<std::size_t>(stream.uniform(r, b) * static_cast<double>(responsibilities.rows())));
      for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += row[k] / static_cast<double>(num_particles_);
    }
    double distance = 0.0;
    for (std::size_t k = 0; k < mean.size(); ++k) distance += 0.5 * std::abs(mean[k] - mode_weights_[k]);
    repetitions[r] = distance;
  });
  reference.mode_tv = null_band(repetitions, kNullLow, kNullHigh);
  for (std::size_t k = 0; k < weights.cols(); ++k) {
    for (std::size_t r = 0; r < kNullRepetitions; ++r) repetitions[r] = weights(r, k);
    reference.mode_weight_sd.push_back(null_band(repetitions).sd);
  }
}

void ExactReference::draw_nulls(Observer& observer) {
  // values[i](r, 0) = SW2², values[i](r, 1) = histogram TV of repetition r at time i.
  std::vector<Matrix> values(times_.size(), Matrix(kNullRepetitions, 2));
  constexpr std::size_t kBatch = 10;
  for (std::size_t first = 0; first < kNullRepetitions; first += kBatch) {
    report_progress(observer, "null distribution", first, kNullRepetitions);
    parallel_for(kBatch, [&](std::size_t r) { null_repetition(first + r, values); });
  }
  report_progress(observer, "null distribution", kNullRepetitions, kNullRepetitions);
  for (std::size_t i = 0; i < times_.size(); ++i) {
    std::vector<double> column(kNullRepetitions);
    for (std::size_t r = 0; r < kNullRepetitions; ++r) column[r] = values[i](r, 0);
    references_[i].sliced_w2 = null_band(column, kNullLow, kNullHigh);
    if (!references_[i].law) continue;
    for (std::size_t r = 0; r < kNullRepetitions; ++r) column[r] = values[i](r, 1);
    references_[i].law_tv = null_band(column, kNullLow, kNullHigh);
  }
}

void ExactReference::null_repetition(std::size_t repetition, std::vector<Matrix>& values) const {
  // One draw of (x_0, ε) serves all times: x_t = a x_0 + b + s ε, and projections are linear.
  const RandomStream stream = stream_.child("null", repetition);
  const Matrix clean = lens_->sample(Measure::posterior, num_particles_, 0.0, stream).x;
  Matrix noise(num_particles_, lens_->dim());
  stream.child("noise").fill_normal(0, noise);
  const Matrix& directions = projections_.directions();
  const RowMajor clean_along = as_eigen(directions) * as_eigen(clean).transpose();
  const RowMajor noise_along = as_eigen(directions) * as_eigen(noise).transpose();
  std::vector<double> along(num_particles_);
  for (std::size_t i = 0; i < times_.size(); ++i) {
    const double t = times_[i];
    const double a = t == 0.0 ? 1.0 : lens_->schedule().a(t);
    const double s = t == 0.0 ? 0.0 : lens_->schedule().s(t);
    const double shift = t == 0.0 ? 0.0 : lens_->schedule().shift(t);
    double sum = 0.0;
    for (std::size_t j = 0; j < directions.rows(); ++j) {
      double shift_along = 0.0;
      for (std::size_t k = 0; k < directions.cols(); ++k) shift_along += shift * directions(j, k);
      for (std::size_t b = 0; b < num_particles_; ++b)
        along[b] = a * clean_along(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(b)) + shift_along +
                   s * noise_along(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(b));
      sort_ascending(along);
      sum += wasserstein2_squared_sorted(along, references_[i].sample->sorted(j));
    }
    values[i](repetition, 0) = sum / static_cast<double>(directions.rows());
    if (!references_[i].law) continue;
    const BinnedLaw& law = *references_[i].law;
    if (lens_->dim() == 1) {
      values[i](repetition, 1) = sorted_histogram_total_variation(along, law.probabilities, law.edges[0]).value;
      continue;
    }
    Matrix x(clean);
    for (std::size_t k = 0; k < x.size(); ++k) x.values()[k] = a * x.values()[k] + shift + s * noise.values()[k];
    values[i](repetition, 1) = histogram_total_variation(x, law.probabilities, law.edges[0], law.edges[1]).value;
  }
}

void ExactReference::bin_law(TimeReference& reference, ConstBatchView pool) const {
  const std::size_t d = lens_->dim();
  const std::size_t bins = d == 1 ? 100 : 24;
  const double s = lens_->schedule().s(reference.t);
  BinnedLaw law;
  std::vector<double> points[2] = {{0.0}, {0.0}};  // quadrature points (midpoints of sub-intervals) of each axis
  std::vector<double> widths(2, 1.0);
  std::size_t per_bin[2] = {1, 1};
  for (std::size_t axis = 0; axis < d; ++axis) {
    double low = pool(0, axis), high = pool(0, axis);
    for (std::size_t b = 0; b < pool.rows(); ++b) low = std::min(low, pool(b, axis)), high = std::max(high, pool(b, axis));
    const double width = (high - low) / static_cast<double>(bins);
    per_bin[axis] = std::clamp<std::size_t>(static_cast<std::size_t>(std::ceil(4.0 * width / s)), 4, d == 1 ? 256 : 10);
    widths[axis] = width / static_cast<double>(per_bin[axis]);
    for (std::size_t j = 0; j <= bins; ++j) law.edges[axis].push_back(low + width * static_cast<double>(j));
    points[axis].clear();
    for (std::size_t j = 0; j < bins * per_bin[axis]; ++j)
      points[axis].push_back(low + widths[axis] * (static_cast<double>(j) + 0.5));
  }
  law.probabilities.assign(d == 1 ? bins : bins * bins, 0.0);
  Matrix line(points[d - 1].size(), d);
  for (std::size_t i = 0; i < (d == 1 ? 1 : points[0].size()); ++i) {
    for (std::size_t j = 0; j < line.rows(); ++j) {
      if (d == 2) line(j, 0) = points[0][i];
      line(j, d - 1) = points[d - 1][j];
    }
    const std::vector<double> log_density = lens_->fields(line, reference.t).log_posterior_density;
    for (std::size_t j = 0; j < line.rows(); ++j)
      law.probabilities[(d == 1 ? 0 : i / per_bin[0] * bins) + j / per_bin[d - 1]] +=
          std::exp(log_density[j]) * (d == 1 ? widths[0] : widths[0] * widths[1]);
  }
  double sum = 0.0;
  for (const double p : law.probabilities) sum += p;
  if (sum > 1.0)  // quadrature error: the bins can hold no more than everything
    for (double& p : law.probabilities) p /= sum;
  reference.law = std::move(law);
}

}  // namespace fslens
