// Three atoms −1.8, 0.2, 2.2 seen through N(0, 0.3²) noise at y = −1.8: what a user's first program looks like.
#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/operators/identity.hpp"

namespace {

bool close(const char* what, double value, double expected) {
  const bool ok = std::abs(value - expected) <= 1e-12 * (1.0 + std::abs(expected));
  std::printf("%-22s % .15e, expected % .15e%s\n", what, value, expected, ok ? "" : "   WRONG");
  return ok;
}

}  // namespace

int main() {
  const std::vector<double> atoms = {-1.8, 0.2, 2.2};
  const double y = -1.8, sigma = 0.3, x = -0.4, t = 0.3;

  const auto prior = std::make_shared<fslens::EmpiricalPrior>(fslens::AtomTable(atoms, 3, 1));
  const auto schedule = fslens::NoiseSchedule::vp_linear();
  const auto likelihood = std::make_shared<fslens::Likelihood>(
      std::make_shared<fslens::IdentityOperator>(1), fslens::GaussianNoise::scalar(1, sigma), std::vector<double>{y});
  const fslens::FiniteSampleLens lens(prior, schedule, likelihood);
  const auto fields = lens.fields(fslens::Matrix(1, 1, x), t);

  // ω_i ∝ exp(−(y − x_i)²/2σ²) and w̃_i ∝ ω_i exp(−(x − a x_i)²/2s²), by hand.
  const double a = schedule.a(t), s2 = schedule.s2(t);
  double omega[3], total = 0.0, joint_total = 0.0, mean = 0.0;
  for (int i = 0; i < 3; ++i) total += omega[i] = std::exp(-std::pow(y - atoms[i], 2) / (2 * sigma * sigma));
  for (int i = 0; i < 3; ++i) {
    const double joint = omega[i] * std::exp(-std::pow(x - a * atoms[i], 2) / (2 * s2));
    joint_total += joint;
    mean += joint * atoms[i];
  }
  bool ok = true;
  for (int i = 0; i < 3; ++i)
    ok &= close("log posterior weight", lens.log_weights(fslens::Measure::posterior)[i], std::log(omega[i] / total));
  ok &= close("posterior denoiser", fields.posterior_denoiser_mean(0, 0), mean / joint_total);
  ok &= close("posterior score", fields.posterior_score(0, 0), (a * mean / joint_total - x) / s2);
  return ok ? 0 : 1;
}
