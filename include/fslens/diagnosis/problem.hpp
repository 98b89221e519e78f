// A problem, ready to run: the lens, its modes, the grid and how many particles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/diffusion/time_grid.hpp"
#include "fslens/io/problem_file.hpp"
#include "fslens/lens/lens.hpp"
#include "fslens/prior/smoothing_kernel.hpp"
#include "fslens/samplers/registry.hpp"

namespace fslens {

/// How the atoms of a problem were smoothed, and what the raw lens was like.
struct LensSmoothing {
  SmoothingKernel kernel;
  std::size_t copies = 0;   ///< jittered copies of each atom; 0: in closed form
  bool automatic = false;   ///< not asked for: the raw lens had collapsed
  double raw_ess = 0.0;
  double raw_log_evidence = 0.0;
};

struct Problem {
  std::string name;
  std::string title;
  std::string prior_kind;
  std::shared_ptr<const Lens> lens;
  std::shared_ptr<const Likelihood> likelihood;
  std::optional<LensSmoothing> smoothing;  ///< absent: `lens` is the raw one, or the prior is analytic
  ModePartition modes;
  bool is_population = false;  ///< the prior itself is known (analytic, or `complete` atoms): no finite-N error
  TimeGridOptions grid_options;
  std::vector<double> grid;
  Integrator integrator = Integrator::euler_maruyama;
  double eta = 0.0;
  std::size_t num_particles = 4096;
  std::size_t num_recorded = 16;
  std::uint64_t seed = 0;
  AssignmentOptions assignment;  ///< of lens and denoisers
  std::map<std::string, double> margins;
  std::vector<SamplerSpec> samplers;
};

/// What becomes of a raw lens whose posterior fewer effective atoms carry than the margin of `lens-resolution`, where the problem does not
/// say how to smooth it: `smooth` takes a bandwidth by leave-one-out likelihood, if that makes more atoms count and takes at most 100 MiB.
enum class CollapsedLens { keep, smooth };

/// Loads the arrays that the specification names and builds the problem. @throws DataError, InvalidArgument, UsageError
Problem build_problem(const ProblemSpec& spec, const std::string& name, Observer& observer,
                      CollapsedLens collapsed = CollapsedLens::smooth);

/// What a sampler of this problem is made of.
SamplerContext sampler_context(const Problem& problem);

/// Indices into the grid at which states are judged: the first, the last, evenly spaced ones, and, since errors of the
/// last steps are the ones that a user keeps, those at distances 1, 2, 4, 8 … from the end. At most `count` + 6.
std::vector<std::size_t> recorded_indices(std::size_t grid_size, std::size_t count);

}  // namespace fslens
