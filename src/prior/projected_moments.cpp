#include "projected_moments.hpp"

#include <algorithm>
#include <cmath>

#include "fslens/core/parallel.hpp"
#include "gaussian_algebra.hpp"

namespace fslens {
namespace {

constexpr std::size_t kMostKeptBytes = std::size_t{16} << 20;
constexpr std::size_t kAtomsPerTask = 256;

bool equal(const Matrix& a, MatrixView<const double> b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (std::size_t i = 0; i < a.rows(); ++i)
    if (!std::ranges::equal(a.row(i), b.row(i))) return false;
  return true;
}

}  // namespace

ProjectedMoments::ProjectedMoments(const AtomTable& atoms, MatrixView<const double> projection, Order order, bool keep)
    : atoms_(atoms), projection_(projection), order_(order) {
  const std::size_t m = projection.rows(), count = atoms.count();
  features_.size = 1 + m + (order == Order::second ? m * (m + 1) / 2 : 0);
  features_.fill = [this](std::size_t first, std::size_t some, double* values) { project(first, some, values); };
  if (!keep || count * features_.size * sizeof(double) > kMostKeptBytes) return;
  values_.resize(count * features_.size);
  parallel_for_ranges(count, kAtomsPerTask,
                      [&](std::size_t first, std::size_t last) { project(first, last - first, values_.data() + first * features_.size); });
  for (const double value : values_) features_.largest = std::max(features_.largest, std::abs(value));
  features_.values = values_.data();
  features_.fill = [this](std::size_t first, std::size_t some, double* values) {
    std::copy_n(values_.data() + first * features_.size, some * features_.size, values);
  };
}

void ProjectedMoments::project(std::size_t first, std::size_t count, double* values) const {
  const std::size_t d = atoms_.dim(), m = projection_.rows();
  Matrix centred(count, d);
  for (std::size_t i = 0; i < count; ++i) {
    const auto atom = centred.row(i);
    atoms_.copy_atom(first + i, atom);
    for (std::size_t k = 0; k < d; ++k) atom[k] -= atoms_.center()[k];
  }
  const RowMajor projected = as_eigen(centred) * as_eigen(projection_).transpose();
  for (std::size_t i = 0; i < count; ++i) {
    const double* p = projected.data() + i * m;
    *values++ = 1.0;
    values = std::copy_n(p, m, values);
    if (order_ == Order::first) continue;
    for (std::size_t j = 0; j < m; ++j)
      for (std::size_t l = j; l < m; ++l) *values++ = p[j] * p[l];
  }
}

void fill_projected_covariance(ConstBatchView moments, std::size_t m, BatchView out) {
  for (std::size_t b = 0; b < moments.rows(); ++b) {
    const auto moment = moments.row(b);
    const double one = moment[0];
    const double* mean = &moment[1];
    const double* second = mean + m;
    for (std::size_t j = 0; j < m; ++j)
      for (std::size_t l = j; l < m; ++l)
        out(b, j * m + l) = out(b, l * m + j) = *second++ / one - mean[j] / one * (mean[l] / one);
  }
}

std::shared_ptr<const ProjectedMoments> KeptMoments::of(const AtomTable& atoms, MatrixView<const double> projection,
                                                        ProjectedMoments::Order order) {
  const std::lock_guard lock(mutex_);
  const bool again = last_ != nullptr && last_->order() == order && equal(last_->projection(), projection);
  if (!again || !kept_) last_ = std::make_shared<const ProjectedMoments>(atoms, projection, order, again);
  kept_ = again;
  return last_;
}

}  // namespace fslens
