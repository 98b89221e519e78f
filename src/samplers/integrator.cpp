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
constexpr std::size_t kMostStepNodes = 4096;  // of one step's law: two axes

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

double euler_maruyama_mean(const NoiseSchedule& schedule, const GuidedMean& guided_mean, ConstBatchView x, double t, double u,
                           BatchView mean) {
  const double a = schedule.a(t), shift = schedule.shift(t), s2 = schedule.s2(t);
  const double f = schedule.f(t), g2 = schedule.g2(t), centre = schedule.mean();
  const double delta = t - u;
  guided_mean(x, t, mean);
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < x.cols(); ++j) {
      const double score = (a * mean(b, j) + shift - x(b, j)) / s2;
      mean(b, j) = x(b, j) + (g2 * score - f * (x(b, j) - centre)) * delta;
    }
  });
  return g2 * delta;
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

void heun_mean(const NoiseSchedule& schedule, const GuidedMean& guided_mean, ConstBatchView x, double t, double u, BatchView mean) {
  const double delta = t - u;
  Matrix here(x.rows(), x.cols());
  Matrix there(x.rows(), x.cols());
  probability_flow(schedule, guided_mean, x, t, here);
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < x.cols(); ++j) mean(b, j) = x(b, j) - delta * here(b, j);
  });
  probability_flow(schedule, guided_mean, mean, u, there);
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < x.cols(); ++j) mean(b, j) = x(b, j) - 0.5 * delta * (here(b, j) + there(b, j));
  });
}

double exponential_mean(const NoiseSchedule& schedule, const GuidedMean& guided_mean, ConstBatchView x, ConstBatchView first_noise,
                        double t, double u, BatchView mean) {
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

  Matrix midpoint(x.rows(), d);
  guided_mean(x, t, mean);
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < d; ++j)
      midpoint(b, j) = s_m / s * decay_half * (x(b, j) - shift) + a_m * gain_half * mean(b, j) +
                       s_m * noise_scale * first_noise(b, j) + shift_m;
  });
  guided_mean(midpoint, m, mean);
  // The first half's noise, carried on to u, is what makes the step weakly second order: m̂ at the midpoint has seen it.
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < d; ++j)
      mean(b, j) = s_u / s * std::exp(-h) * (x(b, j) - shift) + a_u * gain_whole * mean(b, j) +
                   s_u * noise_scale * decay_half * first_noise(b, j) + shift_u;
  });
  return s_u * s_u * gain_half;
}

bool has_first_noise(Integrator integrator) { return integrator == Integrator::exponential; }

/// Given x_t = x and the noise ε₁ of its first half, where it has one, a step is N(mean, v I): what drawing and the law share. Returns v.
double step_mean(const IntegratorStep& step, const NoiseSchedule& schedule, const GuidedMean& guided_mean, ConstBatchView x,
                 ConstBatchView first_noise, BatchView mean) {
  const auto [integrator, eta, t, u] = step;
  schedule.require_time("t", t);
  require(u > 0.0 && u < t, "u", fmt::format("{}", u), fmt::format("must be > 0 and < t = {}", t));
  switch (integrator) {
    case Integrator::euler_maruyama:
      return euler_maruyama_mean(schedule, guided_mean, x, t, u, mean);
    case Integrator::ancestral:
    case Integrator::ddim:
      guided_mean(x, t, mean);
      return ddim_mean(schedule, mean, integrator == Integrator::ancestral ? 1.0 : eta, x, t, u, mean);
    case Integrator::heun:
      heun_mean(schedule, guided_mean, x, t, u, mean);
      return 0.0;
    case Integrator::exponential:
      return exponential_mean(schedule, guided_mean, x, first_noise, t, u, mean);
  }
  throw InvalidArgument(fmt::format("integrator = {}: is not an Integrator", static_cast<int>(integrator)));
}

/// Equally spaced nodes on the d axes of ε₁ with weights ∝ φ. The trapezoid rule: for a smooth integrand its error falls faster than
/// any power of the spacing.
struct NormalNodes {
  std::vector<double> node, weight;
};
NormalNodes normal_nodes(double spacing) {
  constexpr double kReach = 6.4;  // standard deviations: 2e-10 of the mass is beyond
  const int most = static_cast<int>(std::floor(kReach / spacing));
  NormalNodes nodes;
  double sum = 0.0;
  for (int k = -most; k <= most; ++k) {
    nodes.node.push_back(spacing * k);
    nodes.weight.push_back(std::exp(-0.5 * nodes.node.back() * nodes.node.back()));
    sum += nodes.weight.back();
  }
  for (double& weight : nodes.weight) weight /= sum;
  return nodes;
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

double ddim_mean(const NoiseSchedule& schedule, ConstBatchView guided, double eta, ConstBatchView x, double t, double u, BatchView mean) {
  const double a = schedule.a(t), shift = schedule.shift(t), s = schedule.s(t);
  const double a_u = schedule.a(u), shift_u = schedule.shift(u), s_u = schedule.s(u);
  // 1 − (a s_u)²/(a_u s)², of two log-SNRs because the difference cancels on a fine grid.
  const double fresh = -std::expm1(schedule.log_snr(t) - schedule.log_snr(u));
  const double c2 = s_u * std::sqrt(1.0 - eta * eta * fresh);
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < x.cols(); ++j) {
      const double predicted_noise = (x(b, j) - shift - a * guided(b, j)) / s;
      mean(b, j) = a_u * guided(b, j) + shift_u + c2 * predicted_noise;
    }
  });
  return s_u * s_u * eta * eta * fresh;
}

void draw_step(ConstBatchView mean, double variance, std::uint64_t step, const RandomStream& stream, std::size_t first_coordinate,
               BatchView x) {
  const std::size_t d = x.cols();
  Matrix noise;
  if (variance > 0.0) {
    noise = Matrix(x.rows(), first_coordinate + d);
    stream.fill_normal(step, noise);
  }
  const double scale = std::sqrt(variance);
  for_rows(x.rows(), [&](std::size_t b) {
    for (std::size_t j = 0; j < d; ++j) x(b, j) = mean(b, j) + (variance > 0.0 ? scale * noise(b, first_coordinate + j) : 0.0);
  });
}

void integrate_step(const IntegratorStep& step, const NoiseSchedule& schedule, const GuidedMean& guided_mean, BatchView x,
                    std::uint64_t index, const RandomStream& stream) {
  const std::size_t d = x.cols();
  Matrix first_noise;
  if (has_first_noise(step.integrator)) {
    first_noise = Matrix(x.rows(), d);
    stream.fill_normal(index, first_noise);
  }
  Matrix mean(x.rows(), d);
  const double variance = step_mean(step, schedule, guided_mean, x, first_noise, mean);
  draw_step(mean, variance, index, stream, first_noise.cols(), x);
}

StepLaw integrate_step_law(const IntegratorStep& step, const NoiseSchedule& schedule, const GuidedMean& guided_mean, ConstBatchView x,
                           double node_spacing) {
  const std::size_t d = x.cols();
  StepLaw law;
  if (!has_first_noise(step.integrator)) {
    law.weight = {1.0};
    law.mean.emplace_back(x.rows(), d);
    law.variance = step_mean(step, schedule, guided_mean, x, {}, law.mean.back());
    return law;
  }
  require_positive("node_spacing", node_spacing);
  const NormalNodes nodes = normal_nodes(node_spacing);
  std::size_t count = 1;
  for (std::size_t j = 0; j < d; ++j) {
    count *= nodes.node.size();
    require(count <= kMostStepNodes, "dimension", fmt::format("{}", d),
            fmt::format("{} needs {} quadrature nodes on each axis: the law of its step has too many", to_string(step.integrator),
                        nodes.node.size()));
  }
  for (std::size_t q = 0; q < count; ++q) {
    Matrix first_noise(x.rows(), d);
    double weight = 1.0;
    for (std::size_t j = 0, rest = q; j < d; ++j, rest /= nodes.node.size()) {
      weight *= nodes.weight[rest % nodes.node.size()];
      for (std::size_t b = 0; b < x.rows(); ++b) first_noise(b, j) = nodes.node[rest % nodes.node.size()];
    }
    law.weight.push_back(weight);
    law.mean.emplace_back(x.rows(), d);
    law.variance = step_mean(step, schedule, guided_mean, x, first_noise, law.mean.back());
  }
  return law;
}

}  // namespace fslens
