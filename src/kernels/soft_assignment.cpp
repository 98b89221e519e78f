#include "fslens/kernels/soft_assignment.hpp"

#include <fmt/format.h>

#include <functional>
#include <limits>
#include <memory>
#include <mutex>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "particle_block.hpp"
#include "row_memory.hpp"
#include "screen.hpp"
#include "squared_distance.hpp"

namespace fslens {
namespace {

void validate(const SoftAssignmentRequest& request) {
  const AtomTable& atoms = *request.atoms;
  require_size("x", request.x.cols(), atoms.dim(), "columns, the dimension of the atoms");
  require_positive("s2", request.s2);
  require_nonnegative("a", request.a);
  require_positive("tolerance", request.tolerance);
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
  if (request.guided != nullptr) {
    require(request.log_weights.size() == 1 && !request.direction_of && request.direction.empty(), "guided", "given",
            "needs one measure, and no direction beside it");
    require(request.features != nullptr && request.features->size > request.guided->projection.rows(), "guided", "given",
            "needs features that begin with 1 and the projected atoms");
    require_size("guided.projection", request.guided->projection.cols(), atoms.dim(), "columns, the dimension of the atoms");
  }
}

/// The same question without guided means, by what they are made of: m, and C v with v = Pᵀ u.
SoftAssignmentRequest in_two_parts(const SoftAssignmentRequest& request) {
  SoftAssignmentRequest parts = request;
  if (request.guided == nullptr) return parts;
  parts.guided = nullptr;
  parts.want_mean = true;
  parts.direction_of = [guided = request.guided](std::span<const std::size_t> particles, ConstBatchView, ConstBatchView features,
                                                 BatchView directions) {
    const auto& projection = guided->projection;
    Matrix tilts(particles.size(), projection.rows());
    guided->tilt_of(particles, features, tilts);
    for (std::size_t p = 0; p < particles.size(); ++p) {
      const auto v = directions.row(p);
      std::ranges::fill(v, 0.0);
      for (std::size_t j = 0; j < projection.rows(); ++j)
        for (std::size_t k = 0; k < v.size(); ++k) v[k] += tilts(p, j) * projection(j, k);
    }
  };
  return parts;
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
    moments.log_normaliser_error.assign(rows, kNan);
    moments.mean_error.assign(request.want_mean ? rows : 0, kNan);
    moments.variance_error.assign(request.want_variance ? rows : 0, kNan);
    moments.feature_error.assign(request.features != nullptr ? rows : 0, kNan);
  }
  if (!request.direction.empty() || request.direction_of) {
    result.covariance_product = Matrix(rows, request.x.cols(), kNan);
    result.covariance_product_error.assign(rows, kNan);
  }
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

/// Particles a block: a function of how many there are, never of the threads. Large blocks share the packing of a tile,
/// eight blocks keep eight threads busy.
std::size_t block_size(std::size_t particles) {
  using kernels::kGroup;
  const std::size_t eighth = (particles + 7) / 8;
  return std::clamp<std::size_t>((eighth + kGroup - 1) / kGroup * kGroup, 4 * kGroup, 384);
}

/// The probes of a request's particles, each looked at once.
class Probes {
 public:
  /// Probes those of the particles that were not yet, and of which `looks`, if there are any, do not tell.
  void look(const SoftAssignmentRequest& request, const std::vector<std::size_t>& particles, kernels::IntegerKernel kernel,
            kernels::RowLooks* looks) {
    place_.resize(request.x.rows(), kNone);
    std::vector<std::size_t> some;
    for (const std::size_t p : particles) {
      if (place_[p] != kNone) continue;
      const std::size_t place = all_.live_share.size();
      if (looks != nullptr && looks->recall(request, p, all_)) place_[p] = place;
      else some.push_back(p);
    }
    if (some.empty()) return;
    const kernels::Probe probe = kernels::probe_atoms(request, some, kernel);
    for (std::size_t i = 0; i < some.size(); ++i) {
      place_[some[i]] = all_.live_share.size() + i;
      if (looks != nullptr) looks->keep(request, some[i], probe, i);
    }
    all_.append(probe);
  }
  double live_share(std::size_t p) const { return all_.live_share[place_[p]]; }
  double reference(std::size_t m, std::size_t p) const { return all_.reference[m][place_[p]]; }
  /// A look at all atoms found one that reaches `best` at least.
  void raise_reference(std::size_t m, std::size_t p, double best) {
    if (place_[p] != kNone) all_.reference[m][place_[p]] = std::max(all_.reference[m][place_[p]], best);
  }
  kernels::Probe of(const std::vector<std::size_t>& particles) const {
    std::vector<std::size_t> positions;
    for (const std::size_t p : particles) positions.push_back(place_[p]);
    return kernels::part_of(all_, positions);
  }

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  std::vector<std::size_t> place_;  // in all_, by particle
  kernels::Probe all_;
};

/// The request's memory while this call uses it, if there is one and nobody else does.
class MemoryLock {
 public:
  MemoryLock(const SoftAssignmentRequest& request, bool wanted) : noise_(kernels::noise_of(request)) {
    if (request.memory == nullptr || !wanted) return;
    kernels::RowMemory& rows = request.memory->rows();
    if (!rows.take()) return;
    memory_.reset(&rows);
    by_clusters_ = rows.prepare(request, request.x.rows());
  }
  /// Bounds on clusters, if they are worth it.
  kernels::RowMemory* clusters() const { return by_clusters_ ? memory_.get() : nullptr; }
  /// What the last probes said, if that is kept.
  kernels::RowLooks* looks() const { return memory_ != nullptr && memory_->keeps_probes() ? &memory_->looks() : nullptr; }
  bool knows(std::size_t row) const { return by_clusters_ && memory_->knows(row, noise_); }
  bool was_crowded(std::size_t row) const { return keeps_crowded() && memory_->looks().was_crowded(row, noise_); }
  void set_crowded(std::size_t row, bool crowded) const {
    if (keeps_crowded()) memory_->looks().set_crowded(row, crowded, noise_);
  }

 private:
  bool keeps_crowded() const { return by_clusters_ || looks() != nullptr; }

  double noise_;
  struct GiveBack {
    void operator()(kernels::RowMemory* memory) const { memory->give_back(); }
  };
  std::unique_ptr<kernels::RowMemory, GiveBack> memory_;
  bool by_clusters_ = false;
};

/// One soft assignment: which particle is computed how.
class Assignment {
 public:
  /// @param guided the request that `request` is in two parts, or nullptr
  Assignment(const SoftAssignmentRequest& request, const SoftAssignmentRequest* guided, SoftAssignmentResult& result)
      : request_(request), guided_(guided), result_(result), kernel_(is_worth_preparing(*request.atoms) ? kernels::integer_target().kernel : nullptr),
        cut_(kernels::screening_cut(request)), memory_(request, kernel_ != nullptr && !request.exact_scan) {
    // float32 between the products cannot do better.
    fixed_point_ = kernel_ != nullptr && request.tolerance >= kFixedPointTolerance;
  }

  void run() {
    std::vector<std::size_t> finite;
    for (std::size_t b = 0; b < request_.x.rows(); ++b)
      if (is_finite_row(request_, b)) finite.push_back(b);
    if (finite.empty()) return;
    std::vector<std::size_t> dense = finite;
    if (kernel_ != nullptr) {
      if (!request_.exact_scan) dense = run_sparse(finite);
      if (fixed_point_) dense = run_fixed_point(dense);
    }
    std::vector<std::size_t> left = run_dense(dense);
    run_direct(left);
    if (guided_ != nullptr) join_parts(finite);
  }

 private:
  static constexpr std::size_t kFewAtoms = 128;
  static bool is_worth_preparing(const AtomTable& atoms) { return atoms.count() >= kFewAtoms && atoms.dim() <= kernels::kMaxTerms / 8; }
  static constexpr double kFixedPointTolerance = 1e-8;
  static constexpr double kMostExpected = 0.75;
  /// Where more of the probe's atoms count, a screen would find too many. The probe misses the best atom where few count, and then
  /// says too much: it must be certain.
  static constexpr double kCrowdedShare = 1.0 / 8.0;

  /// Candidates whose direct differences cost as much as products of all atoms: a d/12-th of the atoms as measured for 784
  /// dimensions, an eighth for few.
  std::size_t most_candidates() const {
    return std::max<std::size_t>(64, request_.atoms->count() / std::clamp<std::size_t>(request_.atoms->dim() / 12, 8, 64));
  }

  /// Screens the particles that may have few atoms, and computes them directly. @return the others
  std::vector<std::size_t> run_sparse(const std::vector<std::size_t>& particles) {
    std::vector<std::size_t> sparse, dense, unknown;
    for (const std::size_t p : particles)
      if (!memory_.knows(p)) unknown.push_back(p);
    probes_.look(request_, unknown, kernel_, memory_.looks());
    for (const std::size_t p : particles) {
      const bool few = memory_.knows(p) || (probes_.live_share(p) <= kCrowdedShare && !memory_.was_crowded(p));
      (few ? sparse : dense).push_back(p);
    }
    if (sparse.empty()) return dense;
    make_parts();
    kernels::ScreenRequest screen{.request = request_, .particles = sparse, .cut = cut_, .most = most_candidates()};
    std::vector<double> hints[2];
    for (std::size_t m = 0; m < request_.log_weights.size(); ++m) {
      hints[m].resize(sparse.size());
      parallel_for(sparse.size(), [&](std::size_t i) {
        const std::size_t p = sparse[i];
        hints[m][i] = memory_.knows(p) ? memory_.clusters()->hint(request_, p, m) : probes_.reference(m, p);
      });
      screen.hint[m] = hints[m];
    }
    kernels::Screened screened =
        memory_.clusters() != nullptr ? kernels::screen_clusters(screen, kernel_, *memory_.clusters()) : kernels::screen_bytes(screen, kernel_);
    kernels::prune_candidates(request_, sparse, cut_, screened);
    count_direct(sparse, screened);
    kernels::direct_pass(request_, sparse, screened, cut_, result_);
    for (const std::size_t p : sparse) memory_.set_crowded(p, false);
    for (const std::size_t p : screened.crowded) {
      dense.push_back(sparse[p]);
      memory_.set_crowded(sparse[p], true);
      for (std::size_t m = 0; m < request_.log_weights.size(); ++m) probes_.raise_reference(m, sparse[p], screened.reached[m][p]);
    }
    std::ranges::sort(dense);
    return dense;
  }

  /// @return the particles whose error exceeds the tolerance
  std::vector<std::size_t> run_fixed_point(const std::vector<std::size_t>& particles) {
    if (particles.empty()) return {};
    probes_.look(request_, particles, kernel_, memory_.looks());
    if (guided_ == nullptr) return run_fixed_point(request_, particles);
    std::vector<std::size_t> left = run_fixed_point(*guided_, particles);
    in_one_sum_.assign(request_.x.rows(), 0);
    for (const std::size_t p : particles) in_one_sum_[p] = 1;
    for (const std::size_t p : left) in_one_sum_[p] = 0;
    if (left.empty()) return left;
    make_parts();
    return run_fixed_point(request_, left);
  }
  std::vector<std::size_t> run_fixed_point(const SoftAssignmentRequest& request, const std::vector<std::size_t>& particles) {
    const kernels::Probe probe = probes_.of(particles);
    const kernels::FixedPointPlan plan = kernels::plan_fixed_point(request, particles, probe);
    // The bounds of guided means are wider: a sweep that may well fail is not worth it.
    if (request.guided != nullptr && plan.expected > kMostExpected) return particles;
    const std::vector<std::size_t> left = kernels::fixed_point_pass(request, particles, probe, plan, kernel_, result_);
    result_.work.fixed_point += particles.size() - left.size();
    result_.work.atoms_seen += static_cast<double>(particles.size() * request_.atoms->count());
    return left;
  }

  /// Float64 tiles, unless their rounding is bound to be too much. @return the particles that direct differences can do better
  std::vector<std::size_t> run_dense(const std::vector<std::size_t>& particles) {
    if (particles.empty()) return {};
    make_parts();
    std::vector<std::size_t> worth, left;
    const kernels::RequestSize size = kernels::request_size(request_);
    for (const std::size_t b : particles) (dense_error(b, size) <= request_.tolerance ? worth : left).push_back(b);
    if (worth.empty()) return left;
    const std::size_t block = block_size(worth.size());
    const kernels::AtomTiles tiles(request_, (worth.size() + block - 1) / block);
    const std::vector<std::size_t> imprecise = for_blocks(worth, block, [&](std::span<const std::size_t> some) {
      return kernels::dense_pass(request_, tiles, some, result_);
    });
    result_.work.dense += worth.size() - imprecise.size();
    result_.work.atoms_seen += static_cast<double>(worth.size() * request_.atoms->count());
    left.insert(left.end(), imprecise.begin(), imprecise.end());
    std::ranges::sort(left);
    return left;
  }

  /// Room for the parts of guided means, where some are made of them.
  void make_parts() {
    if (result_.measures.empty()) result_ = with_guided(empty_result(request_), std::move(result_));
  }
  static SoftAssignmentResult with_guided(SoftAssignmentResult parts, SoftAssignmentResult guided) {
    parts.guided_mean = std::move(guided.guided_mean);
    parts.guided_mean_error = std::move(guided.guided_mean_error);
    parts.work = guided.work;
    return parts;
  }
  /// m + C v, of the particles that were not done in one sum.
  void join_parts(const std::vector<std::size_t>& particles) {
    for (const std::size_t b : particles) {
      if (!in_one_sum_.empty() && in_one_sum_[b] != 0) continue;
      const SoftAssignmentMoments& moments = result_.measures[0];
      const std::span<const double> mean = moments.mean.row(b), product = result_.covariance_product.row(b);
      std::ranges::transform(mean, product, result_.guided_mean.row(b).begin(), std::plus<>());
      result_.guided_mean_error[b] = moments.mean_error[b] + result_.covariance_product_error[b];
    }
    result_.measures.clear();
    result_.covariance_product = Matrix();
    result_.covariance_product_error.clear();
  }

  /// The error of the mean that float64 tiles may make where many atoms count.
  double dense_error(std::size_t b, const kernels::RequestSize& size) const {
    const double square = kernels::squared_distance(request_.atoms->center(), request_.a, request_.x.row(b));
    const double reach = std::min(kernels::kUsualDeviation, kernels::relative_score_error(request_, request_.atoms->radius()));
    return reach * kernels::dense_logit_error(request_, size, std::sqrt(square), 0.0);
  }

  void run_direct(const std::vector<std::size_t>& particles) {
    if (particles.empty()) return;
    make_parts();
    kernels::ScreenRequest screen{.request = request_, .particles = particles, .cut = cut_, .most = request_.atoms->count()};
    // Lists may be as long as the atoms are many: a few particles at a time.
    const std::size_t some = std::clamp<std::size_t>((std::size_t{1} << 22) / request_.atoms->count(), 16, 1024);
    for (std::size_t first = 0; first < particles.size(); first += some) {
      screen.particles = std::span(particles).subspan(first, std::min(some, particles.size() - first));
      const kernels::Screened screened = kernels::screen_float64(screen);
      count_direct(screen.particles, screened);
      kernels::direct_pass(request_, screen.particles, screened, cut_, result_);
    }
  }

  void count_direct(std::span<const std::size_t> particles, const kernels::Screened& screened) {
    result_.work.direct += particles.size() - screened.crowded.size();
    result_.work.atoms_seen += screened.pairs;
    for (const auto& list : screened.candidates) result_.work.candidates += static_cast<double>(list.size());
  }

  const SoftAssignmentRequest& request_;
  const SoftAssignmentRequest* guided_;
  SoftAssignmentResult& result_;
  std::vector<std::uint8_t> in_one_sum_;  // guided, by particle
  kernels::IntegerKernel kernel_;
  double cut_;
  bool fixed_point_ = false;
  MemoryLock memory_;
  Probes probes_;
};

}  // namespace

SoftAssignmentResult soft_assignment(const SoftAssignmentRequest& request) {
  validate(request);
  if (request.guided == nullptr) {
    SoftAssignmentResult result = empty_result(request);
    Assignment(request, nullptr, result).run();
    return result;
  }
  SoftAssignmentResult result;
  result.guided_mean = Matrix(request.x.rows(), request.x.cols(), std::numeric_limits<double>::quiet_NaN());
  result.guided_mean_error.assign(request.x.rows(), std::numeric_limits<double>::quiet_NaN());
  const SoftAssignmentRequest parts = in_two_parts(request);
  Assignment(parts, &request, result).run();
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
  if (particles.empty()) return nearest;
  const kernels::ScreenRequest screen{.request = request, .particles = particles, .cut = 0.0, .most = atoms.count()};
  const kernels::IntegerKernel kernel = kernels::integer_target().kernel;
  const bool bytes = kernel != nullptr && atoms.count() >= 128 && atoms.dim() <= kernels::kMaxTerms;
  kernels::nearest_pass(request, particles, bytes ? kernels::screen_bytes(screen, kernel) : kernels::screen_float64(screen), nearest);
  return nearest;
}

std::string kernel_target_name() {
  const kernels::IntegerTarget target = kernels::integer_target();
  return target.kernel != nullptr ? fmt::format("{} + {}", kernels::target_name(), target.name) : kernels::target_name();
}

}  // namespace fslens
