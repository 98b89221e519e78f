#include <cmath>

#include "fslens/core/error.hpp"
#include "projected_moments.hpp"
#include "smoothed_assignment.hpp"

namespace fslens {
namespace {

void copy_rows(const Matrix& from, BatchView to) {
  for (std::size_t b = 0; b < to.rows(); ++b) std::ranges::copy(from.row(b), to.row(b).begin());
}

/// P (T C_w Tᵀ + within) Pᵀ of particles, from the covariances of (P T) z.
void add_within(const Matrix& projection, const Matrix& projected_within, Matrix& covariances) {
  const std::size_t m = projection.rows();
  for (std::size_t b = 0; b < covariances.rows(); ++b)
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < m; ++j)
        for (std::size_t k = 0; k < projection.cols(); ++k) covariances(b, i * m + j) += projection(i, k) * projected_within(j, k);
}

}  // namespace

SmoothedDenoiser::SmoothedDenoiser(std::shared_ptr<const SmoothedMixture> mixture, NoiseSchedule schedule, AssignmentOptions options)
    : mixture_(std::move(mixture)), schedule_(std::move(schedule)), options_(options) {}

std::shared_ptr<const Denoiser> SmoothedDenoiser::for_other_particles() const {
  auto other = std::make_shared<SmoothedDenoiser>(*this);
  other->memory_ = std::make_shared<TrajectoryMemory>(TrajectoryMemory::Calls::one_run);
  return other;
}

SmoothedMixture::Assignment SmoothedDenoiser::assignment(ConstBatchView x, double t) const {
  SmoothedMixture::Assignment assignment = mixture_->assignment(schedule_, x, t, options_);
  // What is remembered of earlier steps holds while the log-weights stay the same.
  if (!mixture_->weights_depend_on_time()) assignment.request.memory = memory_.get();
  return assignment;
}

void SmoothedDenoiser::denoise(ConstBatchView x, double t, BatchView mean) const {
  const SmoothedMixture::Assignment assignment = this->assignment(x, t);
  const SoftAssignmentResult result = soft_assignment(assignment.request);
  copy_rows(assignment.means(all_rows(x.rows()), result.measures[0].mean), mean);
}

void SmoothedDenoiser::covariance_product(ConstBatchView x, double t, ConstBatchView, ConstBatchView v, BatchView product) const {
  Matrix mean(x.rows(), x.cols());
  denoise_and_multiply(x, t, {}, [&](std::span<const std::size_t> rows, ConstBatchView, ConstBatchView, BatchView directions) {
    for (std::size_t j = 0; j < rows.size(); ++j) std::ranges::copy(v.row(rows[j]), directions.row(j).begin());
  }, mean, product);
}

void SmoothedDenoiser::projected_covariance(ConstBatchView x, double t, ConstBatchView, MatrixView<const double> projection,
                                            BatchView out) const {
  // (P T) C_w (P T)ᵀ + P within Pᵀ: neither needs a second sweep.
  Matrix product(x.rows(), x.cols()), mean(x.rows(), x.cols());
  denoise_and_multiply(x, t, projection, [&](std::span<const std::size_t> rows, ConstBatchView, ConstBatchView projected, BatchView directions) {
    for (std::size_t j = 0; j < rows.size(); ++j) {
      std::ranges::copy(projected.row(j), out.row(rows[j]).begin());
      std::ranges::fill(directions.row(j), 0.0);
    }
  }, mean, product);
}

void SmoothedDenoiser::denoise_and_multiply(ConstBatchView x, double t, MatrixView<const double> projection, const Direction& direction,
                                            BatchView mean, BatchView product) const {
  SmoothedMixture::Assignment assignment = this->assignment(x, t);
  const std::size_t m = projection.rows();
  std::unique_ptr<ProjectedMoments> moments;
  Matrix own(projection), within(projection);
  if (m > 0) {
    assignment.apply_map_transposed(own);  // rows of P T
    assignment.apply_within(within);
    moments = std::make_unique<ProjectedMoments>(mixture_->atoms().atoms(), own, ProjectedMoments::Order::second, false);
    assignment.request.features = &moments->features();
  }
  Matrix directions(x.rows(), x.cols());  // v of each particle; where one is computed again its last is what its product is of
  assignment.request.direction_of = [&](std::span<const std::size_t> rows, ConstBatchView atom_means, ConstBatchView feature_means,
                                        BatchView atom_directions) {
    const Matrix means = assignment.means(rows, atom_means);
    Matrix covariances(rows.size(), m * m), some(rows.size(), x.cols());
    if (m > 0) {
      fill_projected_covariance(feature_means, m, covariances);
      add_within(Matrix(projection), within, covariances);
    }
    direction(rows, means, covariances, some);
    for (std::size_t j = 0; j < rows.size(); ++j) std::ranges::copy(some.row(j), directions.row(rows[j]).begin());
    assignment.apply_map_transposed(some);
    copy_rows(some, atom_directions);
  };
  SoftAssignmentResult result = soft_assignment(assignment.request);
  copy_rows(assignment.means(all_rows(x.rows()), result.measures[0].mean), mean);
  assignment.apply_map(result.covariance_product);
  assignment.apply_within(directions);
  for (std::size_t b = 0; b < x.rows(); ++b)
    for (std::size_t k = 0; k < x.cols(); ++k) product(b, k) = result.covariance_product(b, k) + directions(b, k);
}

}  // namespace fslens
