#include "fslens/prior/smoothing_kernel.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/rng/stream.hpp"
#include "atom_blocks.hpp"
#include "gaussian_algebra.hpp"

namespace fslens {
namespace {

constexpr std::size_t kMostPairs = std::size_t{1} << 22;
constexpr std::size_t kFewestQueries = 16;

/// The atoms that leave-one-out asks: all, or as many as kMostPairs allows, drawn without replacement.
std::vector<std::size_t> queried_atoms(const EmpiricalPrior& prior) {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < prior.num_atoms(); ++i)
    if (std::isfinite(prior.log_weights()[i])) all.push_back(i);
  const std::size_t most = std::max(kFewestQueries, kMostPairs / prior.num_atoms());
  if (all.size() <= most) return all;
  const RandomStream stream = RandomStream(0).child("leave-one-out atoms");
  for (std::size_t j = 0; j < most; ++j)
    std::swap(all[j], all[j + static_cast<std::size_t>(stream.uniform(0, j) * static_cast<double>(all.size() - j))]);
  all.resize(most);
  std::ranges::sort(all);
  return all;
}

/// Squared distances of some atoms to all, in the metric where H = h² I, and what the likelihood needs of them.
class LeaveOneOut {
 public:
  /// `whitening` W with Wᵀ W = Σ̂⁻¹, or empty.
  LeaveOneOut(const EmpiricalPrior& prior, const Eigen::MatrixXd& whitening)
      : prior_(prior), queries_(queried_atoms(prior)), squared_(queries_.size() * prior.num_atoms()) {
    const AtomTable& atoms = prior.atoms();
    const auto d = static_cast<Eigen::Index>(atoms.dim());
    RowMajor some(static_cast<Eigen::Index>(queries_.size()), d);
    std::vector<double> atom(atoms.dim());
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      atoms.copy_atom(queries_[q], atom);
      for (Eigen::Index k = 0; k < d; ++k) some(static_cast<Eigen::Index>(q), k) = atom[static_cast<std::size_t>(k)] - atoms.center()[static_cast<std::size_t>(k)];
    }
    if (whitening.size() > 0) some = some * whitening.transpose();
    const Eigen::VectorXd norms = some.rowwise().squaredNorm();
    parallel_for_atom_blocks(atoms, [&](std::size_t first, const Matrix& centred) {
      RowMajor block = as_eigen(centred);
      if (whitening.size() > 0) block = block * whitening.transpose();
      const Eigen::VectorXd own = block.rowwise().squaredNorm();
      const RowMajor products = some * block.transpose();
      for (std::size_t q = 0; q < queries_.size(); ++q)
        for (std::size_t i = 0; i < centred.rows(); ++i) {
          const auto row = static_cast<Eigen::Index>(q), column = static_cast<Eigen::Index>(i);
          const double size = norms[row] + own[column];
          const double distance = size - 2.0 * products(row, column);
          // Rounding of a sum of squares: an atom's own copies, and itself.
          squared_[q * prior_.num_atoms() + first + i] = static_cast<float>(distance <= 1e-12 * size ? 0.0 : distance);
        }
    });
    nearest_ = std::numeric_limits<double>::infinity();
    for (const float value : squared_) {
      if (value > 0.0F) nearest_ = std::min(nearest_, std::sqrt(static_cast<double>(value)));
      farthest_ = std::max(farthest_, std::sqrt(static_cast<double>(value)));
    }
    require(std::isfinite(nearest_), "prior.bandwidth", "loo", "needs at least two different atoms");
    std::vector<double> weights;
    for (const double log_weight : prior.log_weights()) weights.push_back(std::exp(log_weight));
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      double others = 0.0;
      for (std::size_t i = 0; i < weights.size(); ++i)
        if (squared_[q * weights.size() + i] != 0.0F) others += weights[i];
      log_others_.push_back(std::log(others));
    }
  }

  double nearest() const { return nearest_; }
  double farthest() const { return farthest_; }

  /// Σ π_i log p_{−i}(x_i) / Σ π_i over the atoms asked, but for a constant that no h changes.
  double log_likelihood(double bandwidth) const {
    const std::size_t count = prior_.num_atoms();
    constexpr double kNoBitOfTheSum = -60.0;
    const double half = 0.5 / (bandwidth * bandwidth);
    std::vector<double> each(queries_.size());
    parallel_for(queries_.size(), [&](std::size_t q) {
      const float* squared = &squared_[q * count];
      double best = -std::numeric_limits<double>::infinity();
      for (std::size_t i = 0; i < count; ++i)
        if (squared[i] != 0.0F) best = std::max(best, prior_.log_weights()[i] - half * static_cast<double>(squared[i]));
      double sum = 0.0;
      for (std::size_t i = 0; i < count; ++i) {
        const double below = prior_.log_weights()[i] - half * static_cast<double>(squared[i]) - best;
        if (squared[i] != 0.0F && below > kNoBitOfTheSum) sum += std::exp(below);
      }
      each[q] = best + std::log(sum) - log_others_[q];
    });
    double sum = 0.0, weight = 0.0;
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      if (!std::isfinite(each[q])) continue;  // all the others are its copies
      const double w = std::exp(prior_.log_weights()[queries_[q]]);
      sum += w * each[q];
      weight += w;
    }
    return sum / weight - static_cast<double>(prior_.dim()) * std::log(bandwidth);
  }

 private:
  const EmpiricalPrior& prior_;
  std::vector<std::size_t> queries_;
  std::vector<float> squared_;  // [queries, N]; 0: the atom itself or a copy of it
  std::vector<double> log_others_;  // log Σ π_j over the others of each query
  double nearest_ = 0.0;
  double farthest_ = 0.0;
};

double best_bandwidth(const LeaveOneOut& leave_one_out, std::size_t dim) {
  // Per coordinate a bandwidth lies between a part of the closest distance and the largest distance.
  const double root = std::sqrt(static_cast<double>(dim));
  const double low = std::log(0.1 * leave_one_out.nearest() / root), high = std::log(2.0 * leave_one_out.farthest() / root);
  constexpr int kScan = 32;
  const double step = (high - low) / kScan;
  int best = 0;
  double value = -std::numeric_limits<double>::infinity();
  for (int j = 0; j <= kScan; ++j) {
    const double here = leave_one_out.log_likelihood(std::exp(low + step * j));
    if (here > value) value = here, best = j;
  }
  double left = low + step * (best - 1), right = low + step * (best + 1);
  constexpr double kGolden = 0.6180339887498949, kAccuracy = 1e-4;
  double a = right - kGolden * (right - left), b = left + kGolden * (right - left);
  double at_a = leave_one_out.log_likelihood(std::exp(a)), at_b = leave_one_out.log_likelihood(std::exp(b));
  while (right - left > kAccuracy) {
    if (at_a > at_b) {
      right = b, b = a, at_b = at_a;
      a = right - kGolden * (right - left);
      at_a = leave_one_out.log_likelihood(std::exp(a));
    } else {
      left = a, a = b, at_a = at_b;
      b = left + kGolden * (right - left);
      at_b = leave_one_out.log_likelihood(std::exp(b));
    }
  }
  return std::exp(0.5 * (left + right));
}

}  // namespace

KernelShape parse_kernel_shape(const std::string& name) {
  if (name == "isotropic") return KernelShape::isotropic;
  if (name == "covariance") return KernelShape::covariance;
  const std::vector<std::string> known = {"isotropic", "covariance"};
  throw UsageError(unknown_name_message("kernel", name, known));
}

std::string to_string(KernelShape shape) { return shape == KernelShape::isotropic ? "isotropic" : "covariance"; }

Matrix shrunk_covariance(const EmpiricalPrior& prior) {
  const AtomMoments moments = atom_moments(prior, prior.log_weights());
  RowMajor s = as_eigen(moments.covariance);
  const double d = static_cast<double>(prior.dim());
  double weight_squares = 0.0;
  for (const double log_weight : prior.log_weights()) weight_squares += std::exp(2.0 * log_weight);
  const double n = 1.0 / weight_squares;
  const double trace = s.trace(), trace_of_square = s.squaredNorm();
  require(trace > 0.0, "prior.kernel", "covariance", "needs at least two different atoms");
  const double above = (1.0 - 2.0 / d) * trace_of_square + trace * trace;
  const double below = (n + 1.0 - 2.0 / d) * (trace_of_square - trace * trace / d);
  const double shrinkage = below > 0.0 ? std::clamp(above / below, 0.0, 1.0) : 1.0;
  s *= 1.0 - shrinkage;
  s.diagonal().array() += shrinkage * trace / d;
  return from_eigen(s);
}

SmoothingKernel smoothing_kernel(const EmpiricalPrior& prior, KernelShape shape, std::optional<double> bandwidth) {
  SmoothingKernel kernel;
  kernel.shape = shape;
  if (shape == KernelShape::covariance) kernel.covariance = shrunk_covariance(prior);
  if (bandwidth) {
    require_positive("prior.bandwidth", *bandwidth);
    kernel.bandwidth = *bandwidth;
    return kernel;
  }
  Eigen::MatrixXd whitening;
  if (shape == KernelShape::covariance) {
    const Eigen::LLT<Eigen::MatrixXd> factor(as_eigen(kernel.covariance));
    whitening = factor.matrixL().solve(Eigen::MatrixXd::Identity(factor.rows(), factor.cols()));
  }
  kernel.bandwidth = best_bandwidth(LeaveOneOut(prior, whitening), prior.dim());
  kernel.by_leave_one_out = true;
  return kernel;
}

}  // namespace fslens
