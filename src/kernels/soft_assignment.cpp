#include "fslens/kernels/soft_assignment.hpp"

#include <fmt/format.h>

#include <mutex>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "particle_block.hpp"

namespace fslens {
namespace {

using kernels::kGroup;

constexpr double kSingleTolerance = 2e-4;   // of a logit, see soft_assignment()
constexpr double kDoubleTolerance = 1e-11;

enum class Level { single, dual, direct, none };

void validate(const SoftAssignmentRequest& request) {
  const AtomTable& atoms = *request.atoms;
  require_size("x", request.x.cols(), atoms.dim(), "columns, the dimension of the atoms");
  require_positive("s2", request.s2);
  require_nonnegative("a", request.a);
  require(!request.log_weights.empty() && request.log_weights.size() <= 2, "log_weights",
          fmt::format("{} measures", request.log_weights.size()), "must be one or two");
  for (const auto& weights : request.log_weights) require_size("log_weights", weights.size(), atoms.count(), "atoms");
  if (!request.direction.empty()) {
    require_size("direction", request.direction.size(), request.x.size(), "as many as states");
    require_size("direction_mean", request.direction_mean.size(), request.x.size(), "as many as states");
  }
  if (request.direction_of)
    require(request.want_mean && request.direction.empty(), "direction_of", "given",
            "needs want_mean, and no direction beside it");
}

SoftAssignmentResult empty_result(const SoftAssignmentRequest& request) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const std::size_t rows = request.x.rows();
  SoftAssignmentResult result;
  result.measures.resize(request.log_weights.size());
  for (SoftAssignmentMoments& moments : result.measures) {
    moments.log_normaliser.assign(rows, kNan);
    if (request.want_mean) moments.mean = Matrix(rows, request.x.cols(), kNan);
    if (request.want_variance) moments.variance.assign(rows, kNan);
    if (request.features != nullptr) moments.feature_mean = Matrix(rows, request.features->size, kNan);
  }
  if (!request.direction.empty() || request.direction_of) result.covariance_product = Matrix(rows, request.x.cols(), kNan);
  return result;
}

/// Calls pass(block) for blocks of particles, in parallel, and gathers the particles that it returns.
template <class Pass>
std::vector<std::size_t> for_blocks(const std::vector<std::size_t>& particles, std::size_t size, const Pass& pass) {
  std::vector<std::size_t> gathered;
  std::mutex mutex;
  parallel_for_ranges(particles.size(), size, [&](std::size_t first, std::size_t last) {
    const std::vector<std::size_t> returned = pass(std::span(particles).subspan(first, last - first));
    const std::lock_guard lock(mutex);
    gathered.insert(gathered.end(), returned.begin(), returned.end());
  });
  std::ranges::sort(gathered);  // the order in which blocks end must not matter
  return gathered;
}

bool is_finite_row(const SoftAssignmentRequest& request, std::size_t b) {
  for (const double value : request.x.row(b))
    if (!std::isfinite(value)) return false;
  if (!request.direction.empty())
    for (const double value : request.direction.row(b))
      if (!std::isfinite(value)) return false;
  return true;
}

Level first_level(const SoftAssignmentRequest& request, std::size_t b) {
  if (!is_finite_row(request, b)) return Level::none;
  double norm = 0.0;
  for (std::size_t k = 0; k < request.x.cols(); ++k) {
    const double q = request.x(b, k) - request.a * request.atoms->center()[k];
    norm += q * q;
  }
  norm = std::sqrt(norm);
  if (request.precision == Precision::f32 &&
      kernels::logit_rounding<float>(request, norm, 0.0) <= kSingleTolerance)
    return Level::single;
  return kernels::logit_rounding<double>(request, norm, 0.0) <= kDoubleTolerance ? Level::dual : Level::direct;
}

/// Particles a block: a function of how many there are, never of the threads. Large blocks share the packing of a tile,
/// eight blocks keep eight threads busy; the screen keeps candidates a particle, so its blocks stay small.
std::size_t block_size(std::size_t particles, Level level) {
  const std::size_t eighth = (particles + 7) / 8;
  const std::size_t most = level == Level::direct ? 96 : 384;
  return std::clamp((eighth + kGroup - 1) / kGroup * kGroup, 4 * kGroup, most);
}

template <class T>
std::vector<std::size_t> run_dense(const SoftAssignmentRequest& request, const std::vector<std::size_t>& particles, Level level,
                                   double tolerance, SoftAssignmentResult& result) {
  const std::size_t size = block_size(particles.size(), level);
  const kernels::AtomTiles<T> tiles(request, (particles.size() + size - 1) / size);
  return for_blocks(particles, size, [&](std::span<const std::size_t> block) {
    return kernels::dense_pass<T>(request, tiles, block, tolerance, result);
  });
}

/// Computes `particles` at `level`; returns those that need the next one.
std::vector<std::size_t> run_level(const SoftAssignmentRequest& request, const std::vector<std::size_t>& particles,
                                   Level level, SoftAssignmentResult& result) {
  if (particles.empty()) return {};
  if (level == Level::single) return run_dense<float>(request, particles, level, kSingleTolerance, result);
  if (level == Level::dual) return run_dense<double>(request, particles, level, kDoubleTolerance, result);
  return for_blocks(particles, block_size(particles.size(), level), [&](std::span<const std::size_t> block) {
    kernels::sparse_pass(request, block, result);
    return std::vector<std::size_t>();
  });
}

}  // namespace

SoftAssignmentResult soft_assignment(const SoftAssignmentRequest& request) {
  validate(request);
  SoftAssignmentResult result = empty_result(request);
  std::vector<Level> levels(request.x.rows());
  constexpr std::size_t kRowsPerTask = 128;
  parallel_for_ranges(levels.size(), kRowsPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) levels[b] = first_level(request, b);
  });
  std::vector<std::size_t> imprecise;  // what the level before has left over
  for (const Level level : {Level::single, Level::dual, Level::direct}) {
    std::vector<std::size_t> particles = std::move(imprecise);
    for (std::size_t b = 0; b < levels.size(); ++b)
      if (levels[b] == level) particles.push_back(b);
    std::ranges::sort(particles);
    imprecise = run_level(request, particles, level, result);
  }
  return result;
}

std::vector<std::size_t> nearest_atoms(const AtomTable& atoms, ConstBatchView x, double a,
                                       std::span<const double> log_weights) {
  // With s² = 1 and no weights the logit is −½ ‖x − a x_i‖² up to a constant of the particle.
  std::vector<double> eligible(atoms.count(), 0.0);
  for (std::size_t i = 0; i < log_weights.size(); ++i)
    if (!std::isfinite(log_weights[i])) eligible[i] = log_weights[i];
  SoftAssignmentRequest request;
  request.atoms = &atoms;
  request.x = x;
  request.a = a;
  request.log_weights = {eligible};
  validate(request);
  std::vector<std::size_t> nearest(x.rows(), atoms.count());
  std::vector<std::size_t> particles;
  for (std::size_t b = 0; b < x.rows(); ++b)
    if (is_finite_row(request, b)) particles.push_back(b);
  parallel_for_ranges(particles.size(), block_size(particles.size(), Level::direct),
                      [&](std::size_t first, std::size_t last) {
                        kernels::nearest_pass(request, {particles.data() + first, last - first}, nearest);
                      });
  return nearest;
}

const char* kernel_target_name() { return kernels::target_name(); }

}  // namespace fslens
