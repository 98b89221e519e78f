#include "fslens/guidance/tmpd.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "affine_model.hpp"
#include "conjugate_gradients.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "particles_per_task.hpp"
#include "pull_back.hpp"

namespace fslens {
namespace {

/// A C Aᵀ + Σ_n, factored. @shape noise [m, m], projected [m·m]
CovarianceSolver projected_solver(Matrix noise, std::span<const double> projected) {
  for (std::size_t i = 0; i < projected.size(); ++i) noise.values()[i] += projected[i];
  return CovarianceSolver(std::move(noise));
}

/// Calls visit(b, solver of A C(x_b) Aᵀ + Σ_n) for every particle, in parallel within bounded memory.
void for_each_solver(const AffineModel& model, const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x,
                     double t, ConstBatchView mean,
                     const std::function<void(std::size_t, const CovarianceSolver&)>& visit) {
  constexpr std::size_t kMaxDoubles = std::size_t{1} << 22;  // 32 MiB of projected covariances at a time
  const std::size_t m = likelihood.output_dim();
  const std::size_t chunk = std::max<std::size_t>(1, kMaxDoubles / (m * m));
  const Matrix noise = likelihood.noise().covariance();
  for (std::size_t first = 0; first < x.rows(); first += chunk) {
    const std::size_t count = std::min(chunk, x.rows() - first);
    Matrix projected(count, m * m);
    denoiser.projected_covariance(x.rows_from(first, count), t, mean.rows_from(first, count), model.linear, projected);
    parallel_for_ranges(count, kParticlesPerTask, [&](std::size_t begin, std::size_t end) {
      for (std::size_t b = begin; b < end; ++b) visit(first + b, projected_solver(noise, projected.row(b)));
    });
  }
}

}  // namespace

TmpdGuidance::TmpdGuidance(const TmpdOptions& options)
    : options_(options) {
  require(options.cg_tolerance > 0.0 && options.cg_tolerance < 1.0, "tmpd: cg_tolerance",
          fmt::format("{}", options.cg_tolerance), "must lie in (0, 1)");
  require(options.cg_iterations >= 1, "tmpd: cg_iterations", fmt::format("{}", options.cg_iterations), "must be >= 1");
}

// The mean, the pull-back and what A C Aᵀ takes: m products, or one an iteration.
double TmpdGuidance::evaluations(const Likelihood& likelihood) const {
  const std::size_t m = likelihood.output_dim();
  return 2.0 + static_cast<double>(m <= options_.max_dense ? m : options_.cg_iterations);
}

void TmpdGuidance::score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t,
                         ConstBatchView mean, BatchView score) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  require_suitable(likelihood);
  Matrix weighted(x.rows(), likelihood.output_dim());
  likelihood.residual(mean, weighted);
  if (likelihood.output_dim() <= options_.max_dense) {
    for_each_solver(*models().of(likelihood), denoiser, likelihood, x, t, mean,
                    [&](std::size_t b, const CovarianceSolver& solver) { solver.solve(weighted.row(b)); });
  } else {
    solve_by_conjugate_gradients(denoiser, likelihood, x, t, mean, likelihood.forward().bias(),
                                 {options_.cg_tolerance, options_.cg_iterations}, weighted);
  }
  pull_back(denoiser, likelihood, x, t, mean, weighted, score);
}

// w(r) = (A C Aᵀ + Σ_n)⁻¹ r. Absent where A C Aᵀ of all particles is more than a little memory: score() works in chunks.
std::optional<Guidance::ResidualWeight> TmpdGuidance::residual_weight(const Denoiser&, const Likelihood& likelihood, double) const {
  constexpr std::size_t kMostRows = 16;
  const std::size_t m = likelihood.output_dim();
  if (m > std::min(kMostRows, options_.max_dense)) return std::nullopt;
  require_suitable(likelihood);
  const std::shared_ptr<const AffineModel> model = models().of(likelihood);
  return ResidualWeight{
      model->linear, [model, noise = likelihood.noise().covariance()](ConstBatchView projected, Matrix& residual) {
        for (std::size_t b = 0; b < residual.rows(); ++b) projected_solver(noise, projected.row(b)).solve(residual.row(b));
      }};
}

std::optional<std::vector<double>> TmpdGuidance::log_likelihood(const Denoiser& denoiser, const Likelihood& likelihood,
                                                                ConstBatchView x, double t, ConstBatchView mean) const {
  require_guidance_input(denoiser, likelihood, x, t, mean);
  require_suitable(likelihood);
  if (likelihood.output_dim() > options_.max_dense) return std::nullopt;
  Matrix residual(x.rows(), likelihood.output_dim());
  likelihood.residual(mean, residual);
  std::vector<double> values(x.rows());
  for_each_solver(
      *models().of(likelihood), denoiser, likelihood, x, t, mean,
      [&](std::size_t b, const CovarianceSolver& solver) { values[b] = solver.log_density(residual.row(b)); });
  return values;
}

}  // namespace fslens
