#include "modewise_kernel.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <numeric>

#include "fslens/core/parallel.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {
namespace {

using Group = std::vector<std::size_t>;

constexpr std::size_t kFrequencies = 64;
constexpr double kFrequencyVariance = 4.0;  // ‖ω‖² on average: structure of half a standard deviation
constexpr double kNormalQuantile = 2.326;  // 99 %
constexpr int kBandwidthHalvings = 10;
// Bias of all that noise could hide would double the error of a mode that is known not to be Gaussian: 1.5 to 2 times that of the atoms was measured.
constexpr double kPartOfNoise = 0.05;

/// Weight, mean and covariance of a group.
struct GroupMoments {
  double weight = 0.0;
  Eigen::VectorXd mean;
  Eigen::MatrixXd covariance;
};

class Atoms {
 public:
  explicit Atoms(const EmpiricalPrior& prior) : d_(static_cast<Eigen::Index>(prior.dim())), x_(d_, static_cast<Eigen::Index>(prior.num_atoms())) {
    std::vector<double> atom(prior.dim());
    double squares = 0.0;
    for (std::size_t i = 0; i < prior.num_atoms(); ++i) {
      prior.atoms().copy_atom(i, atom);
      x_.col(static_cast<Eigen::Index>(i)) = Eigen::Map<const Eigen::VectorXd>(atom.data(), d_);
      weights_.push_back(std::exp(prior.log_weights()[i]));
      squares += weights_.back() * weights_.back();
    }
    effective_ = 1.0 / squares;
  }

  auto operator[](std::size_t i) const { return x_.col(static_cast<Eigen::Index>(i)); }
  double weight(std::size_t i) const { return weights_[i]; }
  Eigen::Index dim() const { return d_; }
  double effective_count() const { return effective_; }

  GroupMoments moments(const Group& group) const {
    GroupMoments out{0.0, Eigen::VectorXd::Zero(d_), Eigen::MatrixXd::Zero(d_, d_)};
    for (const std::size_t i : group) out.weight += weights_[i], out.mean += weights_[i] * (*this)[i];
    out.mean /= out.weight;
    for (const std::size_t i : group) {
      const Eigen::VectorXd away = (*this)[i] - out.mean;
      out.covariance.noalias() += weights_[i] / out.weight * away * away.transpose();
    }
    return out;
  }

 private:
  Eigen::Index d_;
  Eigen::MatrixXd x_;  // [d, N]
  std::vector<double> weights_;
  double effective_ = 0.0;
};

/// Σ over the group's atoms of log(weight · N(x; m, Σ)), but for a constant an atom: −∞ where the covariance is singular.
double classification_likelihood(const GroupMoments& moments, double atoms) {
  const Eigen::LLT<Eigen::MatrixXd> factor(moments.covariance);
  const double trace = moments.covariance.trace();
  const double smallest = factor.info() == Eigen::Success ? Eigen::MatrixXd(factor.matrixL()).diagonal().minCoeff() : 0.0;
  if (!(smallest * smallest > 1e-12 * trace)) return -std::numeric_limits<double>::infinity();
  const double log_root = Eigen::MatrixXd(factor.matrixL()).diagonal().array().log().sum();
  return atoms * moments.weight * (std::log(moments.weight) - log_root);
}

/// ½ log n for every parameter of one more Gaussian.
double penalty(Eigen::Index d, double atoms) { return 0.5 * static_cast<double>(1 + d + d * (d + 1) / 2) * std::log(atoms); }

/// 2-means from both sides of the mean along the principal axis.
std::pair<Group, Group> two_means(const Atoms& atoms, const Group& group, const GroupMoments& moments) {
  constexpr int kIterations = 50;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(moments.covariance);
  const Eigen::VectorXd axis = solver.eigenvectors().col(atoms.dim() - 1) * std::sqrt(solver.eigenvalues()[atoms.dim() - 1]);
  Eigen::VectorXd low = moments.mean - axis, high = moments.mean + axis;
  std::pair<Group, Group> parts;
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    std::pair<Group, Group> next;
    for (const std::size_t i : group)
      ((atoms[i] - low).squaredNorm() <= (atoms[i] - high).squaredNorm() ? next.first : next.second).push_back(i);
    if (next == parts || next.first.empty() || next.second.empty()) return next;
    parts = std::move(next);
    low = atoms.moments(parts.first).mean;
    high = atoms.moments(parts.second).mean;
  }
  return parts;
}

/// Divides as long as two Gaussians describe a group better than one.
void divide(const Atoms& atoms, Group group, std::vector<Group>& out) {
  const std::size_t fewest = 2 * (static_cast<std::size_t>(atoms.dim()) + 1);
  const double n = atoms.effective_count();
  if (group.size() >= 2 * fewest) {
    const GroupMoments whole = atoms.moments(group);
    auto [first, second] = two_means(atoms, group, whole);
    if (first.size() >= fewest && second.size() >= fewest) {
      const double parts = classification_likelihood(atoms.moments(first), n) + classification_likelihood(atoms.moments(second), n);
      if (parts - classification_likelihood(whole, n) > penalty(atoms.dim(), n)) {
        divide(atoms, std::move(first), out);
        divide(atoms, std::move(second), out);
        return;
      }
    }
  }
  out.push_back(std::move(group));
}

GroupMoments united(const GroupMoments& a, const GroupMoments& b) {
  const double weight = a.weight + b.weight, part = a.weight / weight;
  const Eigen::VectorXd apart = a.mean - b.mean;
  return {weight, part * a.mean + (1.0 - part) * b.mean,
          part * a.covariance + (1.0 - part) * b.covariance + part * (1.0 - part) * apart * apart.transpose()};
}

/// Unites the best pair as long as one Gaussian describes it better than two: a division may have cut through a mode.
void merge(const Atoms& atoms, std::vector<Group>& groups) {
  const double n = atoms.effective_count();
  std::vector<GroupMoments> moments;
  for (const Group& group : groups) moments.push_back(atoms.moments(group));
  for (;;) {
    double best = -penalty(atoms.dim(), n);
    std::size_t first = 0, second = 0;
    for (std::size_t j = 0; j < groups.size(); ++j)
      for (std::size_t k = j + 1; k < groups.size(); ++k) {
        const double change = classification_likelihood(united(moments[j], moments[k]), n) - classification_likelihood(moments[j], n) -
                              classification_likelihood(moments[k], n);
        if (change > best) best = change, first = j, second = k;
      }
    if (second == 0) return;
    moments[first] = united(moments[first], moments[second]);
    groups[first].insert(groups[first].end(), groups[second].begin(), groups[second].end());
    std::ranges::sort(groups[first]);
    moments.erase(moments.begin() + static_cast<std::ptrdiff_t>(second));
    groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(second));
  }
}

/// The characteristic function of a whitened group against its smoothed one's.
class SmoothingTest {
 public:
  SmoothingTest(const Atoms& atoms, const Group& group, const Eigen::VectorXd& mean, const Eigen::MatrixXd& covariance)
      : frequencies_(kFrequencies, static_cast<std::size_t>(atoms.dim())), white_(atoms.dim(), static_cast<Eigen::Index>(group.size())) {
    RandomStream(0).child("modewise frequencies").fill_normal(0, frequencies_);
    const double scale = std::sqrt(kFrequencyVariance / static_cast<double>(atoms.dim()));
    for (double& value : frequencies_.values()) value *= scale;
    const Eigen::LLT<Eigen::MatrixXd> factor(covariance);
    double total = 0.0, squares = 0.0;
    for (std::size_t j = 0; j < group.size(); ++j) {
      white_.col(static_cast<Eigen::Index>(j)) = factor.matrixL().solve(Eigen::VectorXd(atoms[group[j]] - mean));
      weights_.push_back(atoms.weight(group[j]));
      total += weights_.back();
      squares += weights_.back() * weights_.back();
    }
    for (double& weight : weights_) weight /= total;
    effective_ = total * total / squares;
    own_ = characteristic(1.0);
    quantile_ = null_quantile();
  }

  /// True if what the bandwidth changes is within this part of the noise of the atoms, in mean square.
  bool passes(double bandwidth, double part) const {
    const std::vector<std::complex<double>> shrunk = characteristic(std::sqrt(std::max(0.0, 1.0 - bandwidth * bandwidth)));
    double sum = 0.0;
    for (std::size_t j = 0; j < kFrequencies; ++j)
      sum += std::norm(std::exp(-0.5 * bandwidth * bandwidth * inner(j, j)) * shrunk[j] - own_[j]);
    return effective_ * sum / static_cast<double>(kFrequencies) <= part * quantile_;
  }

 private:
  double inner(std::size_t j, std::size_t k) const {
    return std::inner_product(frequencies_.row(j).begin(), frequencies_.row(j).end(), frequencies_.row(k).begin(), 0.0);
  }

  /// Σ w_i exp(i scale ⟨ω_j, z_i⟩)
  std::vector<std::complex<double>> characteristic(double scale) const {
    std::vector<std::complex<double>> out(kFrequencies);
    parallel_for(kFrequencies, [&](std::size_t j) {
      const Eigen::Map<const Eigen::VectorXd> frequency(frequencies_.row(j).data(), white_.rows());
      double real = 0.0, imaginary = 0.0;
      for (Eigen::Index i = 0; i < white_.cols(); ++i) {
        double angle = 0.0;
        for (Eigen::Index k = 0; k < white_.rows(); ++k) angle += frequency[k] * white_(k, i);
        real += weights_[static_cast<std::size_t>(i)] * std::cos(scale * angle);
        imaginary += weights_[static_cast<std::size_t>(i)] * std::sin(scale * angle);
      }
      out[j] = {real, imaginary};
    });
    return out;
  }

  /// Under a Gaussian √n (φ(ω) − e^{−‖ω‖²/2}) has the covariance e^{−‖ω−ν‖²/2} − (1 + ⟨ω, ν⟩ + ⟨ω, ν⟩²/2) e^{−(‖ω‖²+‖ν‖²)/2} once mean and
  /// covariance are estimated: mean and variance of the statistic follow, over the frequencies and their negatives.
  double null_quantile() const {
    const auto kernel = [&](std::size_t j, std::size_t k, double sign) {
      const double squares = inner(j, j) + inner(k, k), product = sign * inner(j, k);
      return std::exp(product - 0.5 * squares) - (1.0 + product + 0.5 * product * product) * std::exp(-0.5 * squares);
    };
    double mean = 0.0, variance = 0.0;
    for (std::size_t j = 0; j < kFrequencies; ++j) {
      mean += kernel(j, j, 1.0);
      for (std::size_t k = 0; k < kFrequencies; ++k) variance += std::pow(kernel(j, k, 1.0), 2) + std::pow(kernel(j, k, -1.0), 2);
    }
    const double count = static_cast<double>(kFrequencies);
    // The lognormal of this mean and variance, as Henze and Zirkler (1990).
    const double log_variance = std::log1p(variance / (mean * mean));
    return mean / count * std::exp(kNormalQuantile * std::sqrt(log_variance) - 0.5 * log_variance);
  }

  Matrix frequencies_;
  Eigen::MatrixXd white_;  // [d, n]
  std::vector<double> weights_;
  double effective_ = 0.0, quantile_ = 0.0;
  std::vector<std::complex<double>> own_;
};

/// 1 or the largest h that passes, to one part in 2^10.
double largest_bandwidth(const SmoothingTest& test) {
  if (test.passes(1.0, 1.0)) return 1.0;
  double low = 0.0, high = 1.0;
  for (int k = 0; k < kBandwidthHalvings; ++k) {
    const double middle = 0.5 * (low + high);
    (test.passes(middle, kPartOfNoise) ? low : high) = middle;
  }
  return std::max(low, std::ldexp(1.0, -kBandwidthHalvings));
}

Matrix covariance_of(const EmpiricalPrior& prior, const Group& group) {
  std::vector<double> values(group.size() * prior.dim()), weights;
  for (std::size_t j = 0; j < group.size(); ++j) {
    prior.atoms().copy_atom(group[j], std::span(values).subspan(j * prior.dim(), prior.dim()));
    weights.push_back(std::exp(prior.log_weights()[group[j]]));
  }
  return shrunk_covariance(EmpiricalPrior(AtomTable(std::move(values), group.size(), prior.dim()), weights));
}

}  // namespace

SmoothedPrior smoothed_prior(const EmpiricalPrior& atoms, const SmoothingKernel& kernel) {
  const std::size_t n = atoms.num_atoms(), d = atoms.dim();
  SmoothedPrior out{{{std::vector<double>(n), Matrix(n, d), kernel.covariance}}, {Group(n)}, {kernel.bandwidth}};
  GaussianComponents& group = out.groups[0];
  if (kernel.shape == KernelShape::isotropic) {
    group.covariance = Matrix(d, d);
    for (std::size_t k = 0; k < d; ++k) group.covariance(k, k) = 1.0;
  }
  for (double& value : group.covariance.values()) value *= kernel.bandwidth * kernel.bandwidth;
  for (std::size_t i = 0; i < n; ++i) {
    group.weights[i] = std::exp(atoms.log_weights()[i]);
    atoms.atoms().copy_atom(i, group.centres.row(i));
    out.atoms[0][i] = i;
  }
  return out;
}

std::vector<std::vector<std::size_t>> gaussian_groups(const EmpiricalPrior& prior) {
  const Atoms atoms(prior);
  Group all;
  for (std::size_t i = 0; i < prior.num_atoms(); ++i)
    if (atoms.weight(i) > 0.0) all.push_back(i);
  std::vector<Group> groups;
  divide(atoms, std::move(all), groups);
  merge(atoms, groups);
  return groups;
}

SmoothedPrior modewise_prior(const EmpiricalPrior& prior) {
  const Atoms atoms(prior);
  SmoothedPrior out;
  out.atoms = gaussian_groups(prior);
  for (const Group& group : out.atoms) {
    const Eigen::VectorXd mean = atoms.moments(group).mean;
    GaussianComponents components{{}, Matrix(group.size(), prior.dim()), covariance_of(prior, group)};
    const Eigen::Map<const Eigen::MatrixXd> covariance(components.covariance.data(), atoms.dim(), atoms.dim());
    const double h = largest_bandwidth(SmoothingTest(atoms, group, mean, covariance));
    const double shrink = std::sqrt(1.0 - h * h);
    for (std::size_t j = 0; j < group.size(); ++j) {
      components.weights.push_back(atoms.weight(group[j]));
      for (Eigen::Index k = 0; k < atoms.dim(); ++k)
        components.centres(j, static_cast<std::size_t>(k)) = mean[k] + shrink * (atoms[group[j]][k] - mean[k]);
    }
    for (double& value : components.covariance.values()) value *= h * h;
    out.groups.push_back(std::move(components));
    out.bandwidths.push_back(h);
  }
  return out;
}

}  // namespace fslens
