// From the parts of a problem file to the objects that they describe.
#pragma once

#include <memory>
#include <vector>

#include "fslens/io/problem_file.hpp"
#include "fslens/measurement/noise.hpp"
#include "fslens/operators/forward_operator.hpp"
#include "fslens/operators/image_shape.hpp"
#include "fslens/prior/empirical_prior.hpp"
#include "fslens/prior/gaussian_mixture.hpp"

namespace fslens {

/// Atoms as they were loaded, before one may be left out.
struct LoadedAtoms {
  AtomTable::Values values;
  std::size_t count = 0;
  std::size_t dim = 0;
  ImageShape shape;  ///< height 0 if the atoms are vectors
  std::vector<double> weights;
  std::vector<int> labels;

  std::vector<double> row(std::size_t i) const;
  void erase(std::size_t i);
};

NoiseSchedule build_schedule(const ScheduleSpec& spec);
LoadedAtoms load_atoms(const PriorSpec& prior, const ModesSpec& modes);
std::shared_ptr<const GaussianMixture> build_mixture(const PriorSpec& prior);
/// `shape`: that of the atoms, for image operators that are not given one.
ForwardOperatorPtr build_operator(const OperatorSpec& spec, std::size_t dim, const ImageShape& shape);
GaussianNoise build_noise(const NoiseSpec& spec, std::size_t m);

}  // namespace fslens
