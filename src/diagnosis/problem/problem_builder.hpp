// From the parts of a problem file to the objects that they describe.
#pragma once

#include <memory>
#include <vector>

#include "fslens/io/problem_file.hpp"
#include "fslens/measurement/likelihood.hpp"
#include "fslens/measurement/noise.hpp"
#include "fslens/operators/forward_operator.hpp"
#include "fslens/operators/image_shape.hpp"
#include "fslens/prior/empirical_prior.hpp"
#include "fslens/prior/gaussian_mixture.hpp"

namespace fslens {

/// Atoms as they were loaded, before one may be left out.
struct LoadedAtoms {
  AtomData data;  ///< the file's own bytes where it could be mapped
  std::size_t dim = 0;
  ImageShape shape;  ///< height 0 if the atoms are vectors
  std::vector<double> weights;
  std::vector<int> labels;

  std::size_t count() const { return data.rows; }
  std::vector<double> row(std::size_t i) const;
  /// Leaves atom i out, with its weight and label; the others keep their places in memory. Once at most.
  void leave_out(std::size_t i);
};

NoiseSchedule build_schedule(const ScheduleSpec& spec);
LoadedAtoms load_atoms(const PriorSpec& prior, const ModesSpec& modes);
std::shared_ptr<const GaussianMixture> build_mixture(const PriorSpec& prior);
/// `shape`: that of the atoms, for image operators that are not given one.
ForwardOperatorPtr build_operator(const OperatorSpec& spec, std::size_t dim, const ImageShape& shape);
GaussianNoise build_noise(const NoiseSpec& spec, std::size_t m);
/// Of any operator, affine or not; y as given, or simulated from a draw of the mixture.
std::shared_ptr<const Likelihood> build_mixture_likelihood(const ProblemSpec& spec, const GaussianMixture& mixture);

}  // namespace fslens
