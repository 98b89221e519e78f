#include "fslens/samplers/integrator.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

constexpr std::size_t kParticlesPerTask = 64;

const std::array<std::pair<Integrator, std::string>, 5> kIntegrators{{{Integrator::euler_maruyama, "euler-maruyama"},
                                                                      {Integrator::ancestral, "ancestral"},
                                                                      {Integrator::ddim, "ddim"},
                                                                      {Integrator::heun, "heun"},
                                                                      {Integrator::exponential, "exponential"}}};

/// Calls body(b) for every row, in parallel.
template <class Body>
void for_rows(std::size_t rows, const Body& body) {
  parallel_for_ranges(rows, kParticlesPerTask, [&](std::size_t first, std::size_t last) {
    for (std::size_t b = first; b < last; ++b) body(b);
  });
}

void euler_maruyama_step(const NoiseSchedule& schedule, const GuidedMean& guided_mean, BatchView x, double t, double u,
                         std::uint64_t step, const RandomStream& stream) {
  const double a = schedule.a(t), shift = schedule.shift(t), s2 = schedule.s2(t);
  const double f = schedule.f(t), g2 = schedule.g2(t), centre = schedule.mean();
  const double delta = t - u;
  const double noise_scale = std::sqrt(g2 * delta);
  Matrix guided(x.rows(), x.cols());
  guided_mean(x, t, guided);
  Matrix noise(x.rows(), x.cols());
  stream.fill_normal(step, noise);
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < x.cols(); ++j) {
      const double score = (a * guided(b, j) + shift - x(b, j)) / s2;
      x(b, j) += (g2 * score - f * (x(b, j) - centre)) * delta + noise_scale * noise(b, j);
    }
  });
}

/// velocity ← dx/dt = f (x − x̄) − ½ g² score at (x, t).
void probability_flow(const NoiseSchedule& schedule, const GuidedMean& guided_mean, ConstBatchView x, double t,
                      Matrix& velocity) {
  const double a = schedule.a(t), shift = schedule.shift(t), s2 = schedule.s2(t);
  const double f = schedule.f(t), half_g2 = 0.5 * schedule.g2(t), centre = schedule.mean();
  guided_mean(x, t, velocity);
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < x.cols(); ++j) {
      const double score = (a * velocity(b, j) + shift - x(b, j)) / s2;
      velocity(b, j) = f * (x(b, j) - centre) - half_g2 * score;
    }
  });
}

void heun_step(const NoiseSchedule& schedule, const GuidedMean& guided_mean, BatchView x, double t, double u) {
  const double delta = t - u;
  Matrix here(x.rows(), x.cols());
  Matrix there(x.rows(), x.cols());
  Matrix predicted(x.rows(), x.cols());
  probability_flow(schedule, guided_mean, x, t, here);
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < x.cols(); ++j) predicted(b, j) = x(b, j) - delta * here(b, j);
  });
  probability_flow(schedule, guided_mean, predicted, u, there);
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < x.cols(); ++j) x(b, j) -= 0.5 * delta * (here(b, j) + there(b, j));
  });
}

void exponential_step(const NoiseSchedule& schedule, const GuidedMean& guided_mean, BatchView x, double t, double u,
                      std::uint64_t step, const RandomStream& stream) {
  const std::size_t d = x.cols();
  const double middle_log_snr = 0.5 * (schedule.log_snr(t) + schedule.log_snr(u));
  const double m = schedule.time_of_log_snr(middle_log_snr, u, t);
  const double h = 0.5 * (schedule.log_snr(u) - schedule.log_snr(t));
  const double s = schedule.s(t), s_m = schedule.s(m), s_u = schedule.s(u);
  const double gain_half = -std::expm1(-h);         // 1 − e^{−h}
  const double gain_whole = -std::expm1(-2.0 * h);  // 1 − e^{−2h}
  const double decay_half = std::exp(-0.5 * h);
  const double noise_scale = std::sqrt(gain_half);
  const double shift = schedule.shift(t), shift_m = schedule.shift(m), shift_u = schedule.shift(u);
  const double a_m = schedule.a(m), a_u = schedule.a(u);

  Matrix noise(x.rows(), 2 * d);
  stream.fill_normal(step, noise);
  Matrix guided(x.rows(), d);
  Matrix midpoint(x.rows(), d);
  guided_mean(x, t, guided);
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < d; ++j)
      midpoint(b, j) = s_m / s * decay_half * (x(b, j) - shift) + a_m * gain_half * guided(b, j) +
                       s_m * noise_scale * noise(b, j) + shift_m;
  });
  guided_mean(midpoint, m, guided);
  // The first half's noise, carried on to u, is what makes the step weakly second order: m̂ at the midpoint has seen it.
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < d; ++j)
      x(b, j) = s_u / s * std::exp(-h) * (x(b, j) - shift) + a_u * gain_whole * guided(b, j) +
                s_u * noise_scale * (decay_half * noise(b, j) + noise(b, d + j)) + shift_u;
  });
}

}  // namespace

Integrator parse_integrator(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [integrator, text] : kIntegrators) {
    if (name == text) return integrator;
    known.push_back(text);
  }
  throw UsageError(unknown_name_message("integrator", name, known));
}

std::string to_string(Integrator integrator) {
  for (const auto& [known, text] : kIntegrators)
    if (known == integrator) return text;
  throw InvalidArgument(fmt::format("integrator = {}: is not an Integrator", static_cast<int>(integrator)));
}

double evaluations_per_step(Integrator integrator) {
  return integrator == Integrator::heun || integrator == Integrator::exponential ? 2.0 : 1.0;
}

void ddim_step(const NoiseSchedule& schedule, ConstBatchView guided, double eta, BatchView x, double t, double u,
               std::uint64_t step, const RandomStream& stream) {
  const double a = schedule.a(t), shift = schedule.shift(t), s = schedule.s(t);
  const double a_u = schedule.a(u), shift_u = schedule.shift(u), s_u = schedule.s(u);
  // 1 − (a s_u)²/(a_u s)², of two log-SNRs because the difference cancels on a fine grid.
  const double fresh = -std::expm1(schedule.log_snr(t) - schedule.log_snr(u));
  const double c1 = s_u * eta * std::sqrt(fresh);
  const double c2 = s_u * std::sqrt(1.0 - eta * eta * fresh);
  Matrix noise;
  if (eta > 0.0) {
    noise = Matrix(x.rows(), x.cols());
    stream.fill_normal(step, noise);
  }
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < x.cols(); ++j) {
      const double predicted_noise = (x(b, j) - shift - a * guided(b, j)) / s;
      x(b, j) = a_u * guided(b, j) + shift_u + c2 * predicted_noise + (eta > 0.0 ? c1 * noise(b, j) : 0.0);
    }
  });
}

void integrate_step(Integrator integrator, double eta, const NoiseSchedule& schedule, const GuidedMean& guided_mean,
                    BatchView x, double t, double u, std::uint64_t step, const RandomStream& stream) {
  schedule.require_time("t", t);
  require(u > 0.0 && u < t, "u", fmt::format("{}", u), fmt::format("must be > 0 and < t = {}", t));
  switch (integrator) {
    case Integrator::euler_maruyama:
      return euler_maruyama_step(schedule, guided_mean, x, t, u, step, stream);
    case Integrator::ancestral:
    case Integrator::ddim: {
      Matrix guided(x.rows(), x.cols());
      guided_mean(x, t, guided);
      return ddim_step(schedule, guided, integrator == Integrator::ancestral ? 1.0 : eta, x, t, u, step, stream);
    }
    case Integrator::heun:
      return heun_step(schedule, guided_mean, x, t, u);
    case Integrator::exponential:
      return exponential_step(schedule, guided_mean, x, t, u, step, stream);
  }
  throw InvalidArgument(fmt::format("integrator = {}: is not an Integrator", static_cast<int>(integrator)));
}

}  // namespace fslens
