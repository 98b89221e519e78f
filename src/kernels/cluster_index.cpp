#include "cluster_index.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "error_bound.hpp"
#include "fixed_point.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens::kernels {
namespace {

using Columns = Eigen::MatrixXf;
using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr std::size_t kDirections = 64;
constexpr std::size_t kSplitDirections = 16;   // more would take more memory than they sort better
constexpr std::size_t kSample = 2048;          // atoms that the directions come from
constexpr int kRounds = 4;
constexpr std::size_t kBlock = 256;

/// x_i − x̄ in float32, a row an atom.
void fill_centered(const AtomTable& atoms, std::span<const std::uint32_t> indices, Rows& rows) {
  const std::size_t d = atoms.dim();
  rows.resize(static_cast<Eigen::Index>(indices.size()), static_cast<Eigen::Index>(d));
  std::vector<double> atom(d);
  for (std::size_t r = 0; r < indices.size(); ++r) {
    atoms.copy_atom(indices[r], atom);
    float* row = rows.data() + r * d;
    for (std::size_t k = 0; k < d; ++k) row[k] = static_cast<float>(atom[k] - atoms.center()[k]);
  }
}

/// Leading directions of a sample's covariance, by subspace iteration; any orthonormal basis is valid, this one bounds well. [d, K]
Columns leading_directions(const AtomTable& atoms, std::size_t directions) {
  const std::size_t size = std::min(kSample, atoms.count()), stride = atoms.count() / size;
  std::vector<std::uint32_t> sample(size);
  for (std::size_t i = 0; i < size; ++i) sample[i] = static_cast<std::uint32_t>(i * stride);
  Rows rows;
  fill_centered(atoms, sample, rows);
  const auto k = static_cast<Eigen::Index>(directions);
  // Starts from atoms: they lie in the span already.
  Columns basis = rows.topRows(k).transpose();
  for (int round = 0; round <= kRounds; ++round) {
    if (round > 0) basis = rows.transpose() * (rows * basis).eval();
    // In double: the bounds count on orthogonality to the last bit of float32. A column that is 0 or dependent becomes some other direction.
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr(basis.cast<double>());
    basis = (qr.householderQ() * Eigen::MatrixXd::Identity(basis.rows(), k)).cast<float>();
  }
  // By falling variance, so that the first are the ones to split along.
  const Eigen::VectorXf variance = (rows * basis).colwise().squaredNorm();
  std::vector<Eigen::Index> by_variance(directions);
  std::iota(by_variance.begin(), by_variance.end(), Eigen::Index{0});
  std::ranges::stable_sort(by_variance, [&](Eigen::Index i, Eigen::Index j) { return variance[i] > variance[j]; });
  return basis(Eigen::all, by_variance).eval();
}

/// Splits order[first, last) at the median of its longest direction, until a cluster is left. @shape place [N][kSplitDirections]
void split(std::span<std::uint32_t> order, const std::vector<float>& place, std::size_t directions) {
  if (order.size() <= ClusterIndex::kAtoms) {
    std::ranges::sort(order);  // read in the order in which they are stored
    return;
  }
  const auto at = [&](std::uint32_t atom, std::size_t k) { return place[atom * directions + k]; };
  std::size_t longest = 0;
  double most = -1.0;
  for (std::size_t k = 0; k < directions; ++k) {
    double sum = 0.0, square = 0.0;
    for (const std::uint32_t atom : order) sum += at(atom, k), square += static_cast<double>(at(atom, k)) * at(atom, k);
    const double variance = square - sum * sum / static_cast<double>(order.size());
    if (variance > most) most = variance, longest = k;
  }
  const std::size_t half = rounded_up(order.size() / 2, ClusterIndex::kAtoms);  // whole clusters on the left
  std::ranges::nth_element(order, order.begin() + static_cast<std::ptrdiff_t>(half), [&](std::uint32_t i, std::uint32_t j) {
    return at(i, longest) != at(j, longest) ? at(i, longest) < at(j, longest) : i < j;
  });
  const auto left = order.subspan(0, half), right = order.subspan(half);
  if (order.size() > 64 * ClusterIndex::kAtoms)
    parallel_for(2, [&](std::size_t side) { split(side == 0 ? left : right, place, directions); });
  else
    split(left, place, directions), split(right, place, directions);
}

}  // namespace

void ClusterIndex::project(std::span<const float> u, std::span<float> out) const {
  const auto k = static_cast<Eigen::Index>(directions);
  const Eigen::Map<const Rows> matrix(basis.data(), static_cast<Eigen::Index>(u.size()), k);
  const Eigen::Map<const Eigen::RowVectorXf> row(u.data(), static_cast<Eigen::Index>(u.size()));
  Eigen::Map<Eigen::RowVectorXf>(out.data(), k).noalias() = row * matrix;
}

std::size_t cluster_index_bytes(const AtomTable& atoms) {
  return atoms.count() * (sizeof(std::uint32_t) + (kSplitDirections + 2) * sizeof(float)) + atoms.dim() * (kDirections + kSample) * sizeof(float);
}

std::shared_ptr<const ClusterIndex> make_cluster_index(const AtomTable& atoms) {
  const std::size_t n = atoms.count(), d = atoms.dim();
  auto index = std::make_shared<ClusterIndex>();
  index->directions = std::min({kDirections, d, n});
  const Columns columns = leading_directions(atoms, index->directions);
  const Rows basis = columns;
  index->basis.assign(basis.data(), basis.data() + basis.size());
  // A sum of d products of float32, over all directions; the basis itself is rounded to float32.
  index->slack = kSingleUnit * (static_cast<double>(d) + 16.0) * std::sqrt(static_cast<double>(index->directions)) * 1.01;

  const std::size_t splits = std::min(kSplitDirections, index->directions);
  std::vector<float> place(n * splits), along(n);
  parallel_for_ranges(n, kBlock, [&](std::size_t first, std::size_t last) {
    std::vector<std::uint32_t> indices(last - first);
    std::iota(indices.begin(), indices.end(), static_cast<std::uint32_t>(first));
    Rows rows;
    fill_centered(atoms, indices, rows);
    const Rows projected = rows * basis;
    for (std::size_t i = first; i < last; ++i) {
      const auto row = projected.row(static_cast<Eigen::Index>(i - first));
      for (std::size_t k = 0; k < splits; ++k) place[i * splits + k] = row[static_cast<Eigen::Index>(k)];
      along[i] = row.norm();
    }
  });
  index->order.resize(n);
  std::iota(index->order.begin(), index->order.end(), std::uint32_t{0});
  split(index->order, place, splits);

  const std::size_t clusters = (n + ClusterIndex::kAtoms - 1) / ClusterIndex::kAtoms;
  index->along.assign(clusters, 0.0f);
  index->across.assign(clusters, 0.0f);
  for (std::size_t c = 0; c < clusters; ++c) {
    const auto members = std::span(index->order).subspan(c * ClusterIndex::kAtoms, std::min(ClusterIndex::kAtoms, n - c * ClusterIndex::kAtoms));
    double longest = 0.0, widest = 0.0;
    for (const std::uint32_t i : members) {
      const double square = atoms.centered_squared_norms()[i], slack = index->slack * std::sqrt(square);
      const double part = static_cast<double>(along[i]);
      longest = std::max(longest, part + slack);
      widest = std::max(widest, square - std::pow(std::max(0.0, part - slack), 2));
    }
    index->along[c] = static_cast<float>(longest * (1.0 + 1e-6));
    index->across[c] = static_cast<float>(std::sqrt(widest) * (1.0 + 1e-6));
  }
  return index;
}

}  // namespace fslens::kernels
