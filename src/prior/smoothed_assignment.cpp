#include "smoothed_assignment.hpp"

#include <cmath>
#include <numeric>

#include "fslens/core/error.hpp"
#include "atom_blocks.hpp"
#include "projected_moments.hpp"
#include "timed_weights.hpp"

namespace fslens {
std::vector<std::size_t> all_rows(std::size_t count) {
  std::vector<std::size_t> rows(count);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

bool SmoothedMixture::weights_depend_on_time() const { return covariance_->num_vectors() > 0; }

/// σ². Where Λ has a rest it is the rest's own variance a² λ + s², which leaves the log-weights to the K other directions. Else the one that
/// makes the mean of what is added to them zero.
double SmoothedMixture::query_variance(double a, double s2) const {
  if (!covariance_->is_complete()) return a * a * covariance_->rest() + s2;
  double precision = 0.0, size = 0.0, norm = 0.0;
  for (std::size_t k = 0; k < covariance_->num_vectors(); ++k) {
    const double g = a * a * covariance_->values()[k] + s2, square = shrink_[k] * shrink_[k] * mean_squares_[k];
    precision += square / g;
    size += 1.0 / g;
  }
  for (const double square : atoms_->atoms().centered_squared_norms()) norm += square / static_cast<double>(num_components());
  if (precision > 0.0 && norm > 0.0) return norm / precision;
  return static_cast<double>(dim()) / size;
}

std::shared_ptr<const std::vector<double>> SmoothedMixture::weights_at(double a, double s2) const {
  if (!weights_depend_on_time()) return log_weights_;
  const std::lock_guard lock(timed_->mutex);
  for (const TimedWeights::Entry& entry : timed_->entries)
    if (entry.log_weights && entry.a == a && entry.s2 == s2) return entry.log_weights;
  const std::size_t count = covariance_->num_vectors();
  const double inverse = 1.0 / query_variance(a, s2);
  std::vector<double> coefficient(count);
  for (std::size_t k = 0; k < count; ++k)
    coefficient[k] = shrink_[k] * shrink_[k] / (a * a * covariance_->values()[k] + s2) - (covariance_->is_complete() ? 0.0 : inverse);
  const auto norms = atoms_->atoms().centered_squared_norms();
  auto weights = std::make_shared<std::vector<double>>(*log_weights_);
  for (std::size_t i = 0; i < weights->size(); ++i) {
    double sum = covariance_->is_complete() ? -inverse * norms[i] : 0.0;
    const double* square = &squares_[i * count];
    for (std::size_t k = 0; k < count; ++k) sum += coefficient[k] * square[k];
    (*weights)[i] -= 0.5 * a * a * sum;
  }
  timed_->entries[timed_->next] = {a, s2, weights};
  timed_->next = (timed_->next + 1) % timed_->entries.size();
  return weights;
}

SmoothedMixture::Assignment SmoothedMixture::assignment(const NoiseSchedule& schedule, ConstBatchView x, double t,
                                                        const AssignmentOptions& options) const {
  schedule.require_time("t", t);
  const double a = schedule.a(t), s2 = schedule.s2(t), shift = schedule.shift(t);
  Assignment out{*this, a, s2, Matrix(x), {}, weights_at(a, s2), covariance_->factors([&](double value) { return 1.0 / (a * a * value + s2); }), {}};
  for (double& value : out.centred.values()) value -= shift;
  out.query = out.centred;
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t k = 0; k < dim(); ++k) out.query(b, k) -= a * center_[k];
  covariance_->scale(out.precision, out.query);
  map_transposed(out.query);
  const double variance = query_variance(a, s2);
  const auto center = atoms_->atoms().center();
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t k = 0; k < dim(); ++k) out.query(b, k) = variance * out.query(b, k) + a * center[k];
  out.request.atoms = &atoms_->atoms();
  out.request.a = a;
  out.request.s2 = variance;
  out.request.log_weights = {*out.weights};
  out.request.tolerance = options.tolerance;
  out.request.exact_scan = options.exact_scan;
  out.request.x = out.query;
  return out;
}

std::vector<double> SmoothedMixture::Assignment::log_offset() const {
  const std::size_t d = mixture.dim();
  const auto center = mixture.atoms_->atoms().center();
  Matrix scaled(centred);
  for (std::size_t b = 0; b < scaled.rows(); ++b)
    for (std::size_t k = 0; k < d; ++k) scaled(b, k) -= a * mixture.center_[k];
  const Matrix offset = scaled;
  mixture.covariance_->scale(precision, scaled);
  std::vector<double> log_precision(precision);
  for (double& value : log_precision) value = std::log(value);
  const double constant = 0.5 * mixture.covariance_->sum(log_precision) - 0.5 * static_cast<double>(d) * kLog2Pi;
  std::vector<double> out(scaled.rows());
  for (std::size_t b = 0; b < out.size(); ++b) {
    double sum = 0.0;
    for (std::size_t k = 0; k < d; ++k) {
      const double from_center = query(b, k) - a * center[k];
      sum += from_center * from_center / request.s2 - offset(b, k) * scaled(b, k);
    }
    out[b] = constant + 0.5 * sum;
  }
  return out;
}

Matrix SmoothedMixture::Assignment::means(std::span<const std::size_t> rows, ConstBatchView atom_means) const {
  const auto center = mixture.atoms_->atoms().center();
  Matrix mean(atom_means);
  for (std::size_t b = 0; b < rows.size(); ++b)
    for (std::size_t k = 0; k < mixture.dim(); ++k) mean(b, k) -= center[k];
  mixture.map(mean);
  Matrix towards(rows.size(), mixture.dim());
  for (std::size_t b = 0; b < rows.size(); ++b)
    for (std::size_t k = 0; k < mixture.dim(); ++k) {
      mean(b, k) += mixture.center_[k];
      towards(b, k) = centred(rows[b], k) - a * mean(b, k);
    }
  std::vector<double> gain = mixture.covariance_->factors([&](double value) { return a * value / (a * a * value + s2); });
  mixture.covariance_->scale(gain, towards);
  for (std::size_t j = 0; j < mean.size(); ++j) mean.values()[j] += towards.values()[j];
  return mean;
}

void SmoothedMixture::Assignment::apply_map(Matrix& rows) const {
  mixture.map(rows);
  mixture.covariance_->scale(precision, rows);
  for (double& value : rows.values()) value *= s2;
}

void SmoothedMixture::Assignment::apply_map_transposed(Matrix& rows) const {
  mixture.covariance_->scale(precision, rows);
  mixture.map_transposed(rows);
  for (double& value : rows.values()) value *= s2;
}

void SmoothedMixture::Assignment::apply_within(Matrix& rows) const {
  mixture.covariance_->scale(mixture.covariance_->factors([&](double value) { return s2 * value / (a * a * value + s2); }), rows);
}

double SmoothedMixture::Assignment::within_trace() const {
  return mixture.covariance_->sum(mixture.covariance_->factors([&](double value) { return s2 * value / (a * a * value + s2); }));
}

AtomFeatures SmoothedMixture::Assignment::spread_feature() const {
  AtomFeatures features;
  features.size = 1;
  const SharedCovariance& covariance = *mixture.covariance_;
  const std::size_t count = covariance.num_vectors();
  const double rest = covariance.is_complete() ? 0.0 : s2 * s2 * precision.back() * precision.back();
  std::vector<double> coefficient(count);
  for (std::size_t k = 0; k < count; ++k) {
    const double gain = s2 * mixture.shrink_[k] * precision[k];
    coefficient[k] = gain * gain - rest;
  }
  features.fill = [this, rest, coefficient](std::size_t first, std::size_t some, double* values) {
    const auto norms = mixture.atoms_->atoms().centered_squared_norms();
    for (std::size_t i = 0; i < some; ++i) {
      values[i] = rest * norms[first + i];
      for (std::size_t k = 0; k < coefficient.size(); ++k)
        values[i] += coefficient[k] * mixture.squares_[(first + i) * coefficient.size() + k];
    }
  };
  return features;
}

SmoothedMixture::Fields SmoothedMixture::fields(const NoiseSchedule& schedule, ConstBatchView x, double t,
                                                const AssignmentOptions& options) const {
  Assignment assignment = this->assignment(schedule, x, t, options);
  const AtomFeatures spread = assignment.spread_feature();
  assignment.request.features = &spread;
  const SoftAssignmentResult result = soft_assignment(assignment.request);
  const SoftAssignmentMoments& moments = result.measures[0];
  Fields out;
  out.log_density = assignment.log_offset();
  for (std::size_t b = 0; b < x.rows(); ++b) out.log_density[b] += moments.log_normaliser[b];
  out.mean = assignment.means(all_rows(x.rows()), moments.mean);
  // Tr T C_w Tᵀ = Σ w ‖T z‖² − ‖T Σ w z‖².
  Matrix mapped(moments.mean);
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t k = 0; k < dim(); ++k) mapped(b, k) -= atoms_->atoms().center()[k];
  assignment.apply_map(mapped);
  const double within = assignment.within_trace();
  for (std::size_t b = 0; b < x.rows(); ++b) {
    double square = 0.0;
    for (const double value : mapped.row(b)) square += value * value;
    const double between = moments.feature_mean(b, 0) - square;
    out.variance.push_back(within + (between < 0.0 ? 0.0 : between));  // rounding; NaN stays
  }
  return out;
}

std::vector<double> SmoothedMixture::log_density(const NoiseSchedule& schedule, ConstBatchView x, double t,
                                                 const AssignmentOptions& options) const {
  Assignment assignment = this->assignment(schedule, x, t, options);
  assignment.request.want_mean = false;
  std::vector<double> density = std::move(soft_assignment(assignment.request).measures[0].log_normaliser);
  const std::vector<double> offset = assignment.log_offset();
  for (std::size_t b = 0; b < density.size(); ++b) density[b] += offset[b];
  return density;
}

Matrix SmoothedMixture::feature_means(const NoiseSchedule& schedule, ConstBatchView x, double t, const AtomFeatures& features,
                                      const AssignmentOptions& options) const {
  Assignment assignment = this->assignment(schedule, x, t, options);
  assignment.request.want_mean = false;
  assignment.request.features = &features;
  return std::move(soft_assignment(assignment.request).measures[0].feature_mean);
}

}  // namespace fslens
