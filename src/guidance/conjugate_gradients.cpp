#include "conjugate_gradients.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "particles_per_task.hpp"

namespace fslens {
namespace {

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// All particles iterate together, because denoisers are batched; one that has converged keeps still.
class BatchedSolve {
 public:
  BatchedSolve(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
               std::span<const double> bias, double tolerance, const Matrix& rhs)
      : denoiser_(denoiser),
        likelihood_(likelihood),
        x_(x),
        t_(t),
        mean_(mean),
        bias_(bias),
        solution_(rhs.rows(), rhs.cols()),
        residual_(rhs),
        preconditioned_(rhs.rows(), rhs.cols()),
        direction_(rhs.rows(), rhs.cols()),
        image_(rhs.rows(), rhs.cols()),
        target_(rhs.rows()),
        rho_(rhs.rows()),
        active_(rhs.rows(), 1) {
    for_particles([&](std::size_t b) {
      target_[b] = tolerance * std::sqrt(dot(residual_.row(b), residual_.row(b)));
      likelihood_.noise().apply_precision(residual_.row(b), preconditioned_.row(b));
      std::ranges::copy(preconditioned_.row(b), direction_.row(b).begin());
      rho_[b] = dot(residual_.row(b), preconditioned_.row(b));
      settle(b);
    });
  }

  std::size_t num_active() const { return static_cast<std::size_t>(std::ranges::count(active_, 1)); }

  void iterate() {
    apply_covariance();
    for_particles([&](std::size_t b) {
      if (active_[b] == 0) return;
      const double alpha = rho_[b] / dot(direction_.row(b), image_.row(b));
      for (std::size_t i = 0; i < residual_.cols(); ++i) {
        solution_(b, i) += alpha * direction_(b, i);
        residual_(b, i) -= alpha * image_(b, i);
      }
      settle(b);
      if (active_[b] == 0) return;
      likelihood_.noise().apply_precision(residual_.row(b), preconditioned_.row(b));
      const double rho = dot(residual_.row(b), preconditioned_.row(b));
      const double beta = rho / std::exchange(rho_[b], rho);
      for (std::size_t i = 0; i < residual_.cols(); ++i)
        direction_(b, i) = preconditioned_(b, i) + beta * direction_(b, i);
    });
  }

  Matrix& solution() { return solution_; }

 private:
  template <class Body>
  void for_particles(const Body& body) {
    parallel_for_ranges(residual_.rows(), kParticlesPerTask, [&](std::size_t first, std::size_t last) {
      for (std::size_t b = first; b < last; ++b) body(b);
    });
  }

  void settle(std::size_t b) {
    const double length = std::sqrt(dot(residual_.row(b), residual_.row(b)));
    if (length > target_[b]) return;
    active_[b] = 0;
    std::ranges::fill(direction_.row(b), 0.0);
    // A comparison with NaN is false, so a diverged particle settles here too: its answer must say so.
    if (!std::isfinite(length)) std::ranges::fill(solution_.row(b), std::numeric_limits<double>::quiet_NaN());
  }

  /// image ← (A C Aᵀ + Σ_n) direction
  void apply_covariance() {
    const ForwardOperator& forward = likelihood_.forward();
    Matrix back(x_.rows(), x_.cols());
    Matrix product(x_.rows(), x_.cols());
    forward.vjp(mean_, direction_, back);
    denoiser_.covariance_product(x_, t_, mean_, back, product);
    forward.apply(product, image_);
    const Matrix& noise = likelihood_.noise().covariance();
    const double sigma = likelihood_.noise().scalar_sigma();
    for_particles([&](std::size_t b) {
      if (active_[b] == 0) return;
      for (std::size_t i = 0; i < image_.cols(); ++i)
        image_(b, i) +=
            (sigma > 0.0 ? sigma * sigma * direction_(b, i) : dot(noise.row(i), direction_.row(b))) - bias_[i];
    });
  }

  const Denoiser& denoiser_;
  const Likelihood& likelihood_;
  ConstBatchView x_;
  double t_;
  ConstBatchView mean_;
  std::span<const double> bias_;
  Matrix solution_;
  Matrix residual_;
  Matrix preconditioned_;
  Matrix direction_;
  Matrix image_;
  std::vector<double> target_;
  std::vector<double> rho_;
  std::vector<unsigned char> active_;  // not bool: particles are written from several threads
};

}  // namespace

void solve_by_conjugate_gradients(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                                  ConstBatchView mean, std::span<const double> bias,
                                  const ConjugateGradientOptions& options, Matrix& residual) {
  BatchedSolve solve(denoiser, likelihood, x, t, mean, bias, options.tolerance, residual);
  std::size_t iteration = 0;
  while (solve.num_active() > 0) {
    if (iteration++ == options.max_iterations)
      throw Error(
          fmt::format("tmpd: conjugate gradients did not reach the relative residual {} in {} iterations for {} "
                      "of {} particles at t = {}: raise cg_iterations, cg_tolerance or max_dense",
                      options.tolerance, options.max_iterations, solve.num_active(), x.rows(), t));
    solve.iterate();
  }
  residual = std::move(solve.solution());
}

}  // namespace fslens
