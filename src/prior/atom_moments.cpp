#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "fslens/prior/empirical_prior.hpp"
#include "atom_blocks.hpp"

namespace fslens {

AtomMoments atom_moments(const EmpiricalPrior& prior, std::span<const double> log_weights) {
  // Atoms below this weight cannot change a covariance in double precision.
  constexpr double kNegligible = 1e-22;
  const AtomTable& atoms = prior.atoms();
  const std::size_t dim = prior.dim();
  AtomMoments moments{std::vector<double>(dim, 0.0), Matrix(dim, dim)};
  std::vector<double> atom(dim);
  for (std::size_t i = 0; i < atoms.count(); ++i) {
    const double w = std::exp(log_weights[i]);
    if (w < kNegligible) continue;
    atoms.copy_atom(i, atom);
    for (std::size_t k = 0; k < dim; ++k) moments.mean[k] += w * atom[k];
  }
  const auto d = static_cast<Eigen::Index>(dim);
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(d, d);
  Eigen::MatrixXd rows(d, static_cast<Eigen::Index>(kAtomsPerBlock));
  Eigen::Index filled = 0;
  const auto flush = [&] {
    covariance.selfadjointView<Eigen::Lower>().rankUpdate(rows.leftCols(filled));
    filled = 0;
  };
  for (std::size_t i = 0; i < atoms.count(); ++i) {
    const double w = std::exp(log_weights[i]);
    if (w < kNegligible) continue;
    atoms.copy_atom(i, atom);
    for (std::size_t k = 0; k < dim; ++k)
      rows(static_cast<Eigen::Index>(k), filled) = std::sqrt(w) * (atom[k] - moments.mean[k]);
    if (++filled == rows.cols()) flush();
  }
  flush();
  for (std::size_t i = 0; i < dim; ++i)
    for (std::size_t j = 0; j < dim; ++j)
      moments.covariance(i, j) = covariance(static_cast<Eigen::Index>(std::max(i, j)), static_cast<Eigen::Index>(std::min(i, j)));
  return moments;
}

}  // namespace fslens
