// What a sampler says its step is, against draws of that step.
//
// 40,000 draws from one state. A mean or a second moment may be 5 standard errors off, 6e-7 two-sided each; about 250 of them are looked
// at, so that a correct program fails with a probability below 2e-4. The seed is fixed.
#include "fslens/samplers/step_law.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "diffusion/analytic_denoisers.hpp"
#include "fslens/core/error.hpp"
#include "fslens/samplers/registry.hpp"
#include "guidance/gaussian_problem.hpp"

namespace fslens::test {
namespace {

constexpr std::size_t kDraws = 40000;
constexpr double kStandardErrors = 5.0;

/// Three atoms in the plane, one of which the likelihood favours: denoisers that bend where the state is. y lies beyond all of them: the
/// score of dps-zeta jumps where a residual changes its sign, and nodes over a jump converge with the first power of their distance alone.
SamplerContext plane_context(Integrator integrator, double eta) {
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  const Matrix atoms(3, 2, {-1.0, 0.4, 0.9, -0.6, 0.3, 1.2});
  GaussianProblem problem = random_problem(2, 1, NoiseShape::scalar, 5);
  problem.y[0] += 5.0;
  const auto likelihood = problem.likelihood();
  return {std::make_shared<AtomDenoiser>(schedule, atoms, std::vector<double>{0.0, 0.0, 0.0}),
          std::make_shared<AtomDenoiser>(schedule, atoms, std::vector<double>{-0.3, 0.8, -2.0}), likelihood, integrator, eta};
}

/// First and second moments of the law's one row.
struct LawMoments {
  double mean[2] = {};
  double second[2][2] = {};
};

LawMoments moments(const StepLaw& law) {
  LawMoments out;
  for (std::size_t q = 0; q < law.weight.size(); ++q)
    for (std::size_t i = 0; i < 2; ++i) {
      out.mean[i] += law.weight[q] * law.mean[q](0, i);
      for (std::size_t j = 0; j < 2; ++j)
        out.second[i][j] += law.weight[q] * (law.mean[q](0, i) * law.mean[q](0, j) + (i == j ? law.variance : 0.0));
    }
  return out;
}

void expect_draws_of(const StepLaw& law, const Matrix& draws, const std::string& which) {
  const LawMoments expected = moments(law);
  const auto compare = [&](double value, const std::string& what, const auto& statistic) {
    double sum = 0.0, square = 0.0;
    for (std::size_t b = 0; b < draws.rows(); ++b) {
      const double sample = statistic(draws.row(b));
      sum += sample, square += (sample - value) * (sample - value);
    }
    const double count = static_cast<double>(draws.rows());
    EXPECT_LE(std::abs(sum / count - value), kStandardErrors * std::sqrt(square) / count + 1e-6) << which << ": " << what;
  };
  for (std::size_t i = 0; i < 2; ++i) {
    compare(expected.mean[i], "mean", [&](std::span<const double> x) { return x[i]; });
    for (std::size_t j = i; j < 2; ++j) compare(expected.second[i][j], "second moment", [&](std::span<const double> x) { return x[i] * x[j]; });
  }
}

TEST(StepLaw, HasTheMomentsOfTheStepsThatAreDrawn) {
  for (const char* name : {"dps-sigma", "dps-zeta", "pigdm", "tmpd", "dmps", "lens-sde", "dps"})
    for (const auto& [integrator, eta] : std::vector<std::pair<Integrator, double>>{{Integrator::euler_maruyama, 0.0},
                                                                                    {Integrator::ancestral, 0.0},
                                                                                    {Integrator::ddim, 0.0},
                                                                                    {Integrator::ddim, 0.5},
                                                                                    {Integrator::heun, 0.0},
                                                                                    {Integrator::exponential, 0.0}}) {
      const auto sampler = make_sampler({name, {}}, plane_context(integrator, eta));
      Matrix x(kDraws, 2);
      for (std::size_t b = 0; b < kDraws; ++b) x(b, 0) = 0.2, x(b, 1) = 0.1;
      const std::optional<StepLaw> law = sampler->step_law(x.view().rows_from(0, 1), 0.4, 0.33);
      ASSERT_TRUE(law.has_value()) << name;
      sampler->step(x, 0.4, 0.33, 3, RandomStream(8));
      const std::string which = std::string(name) + " " + to_string(integrator) + " " + std::to_string(eta);
      expect_draws_of(*law, x, which);
      const bool deterministic = std::string(name) != "dps" && (integrator == Integrator::heun || (integrator == Integrator::ddim && eta == 0.0));
      EXPECT_EQ(law->variance == 0.0, deterministic) << which;
      EXPECT_EQ(law->mean.size() > 1, std::string(name) != "dps" && integrator == Integrator::exponential) << which;
    }
}

TEST(StepLaw, NodesOfTheExponentialMidpointConverge) {
  const auto sampler = make_sampler({"lens-sde", {}}, plane_context(Integrator::exponential, 0.0));
  const Matrix x(1, 2, {0.2, 0.1});
  const LawMoments coarse = moments(*sampler->step_law(x, 0.4, 0.33)), fine = moments(*sampler->step_law(x, 0.4, 0.33, 0.4));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(coarse.mean[i], fine.mean[i], 1e-7);
    EXPECT_NEAR(coarse.second[i][i], fine.second[i][i], 1e-7);
  }
}

TEST(StepLaw, NodesOnThreeAxesAreRefused) {
  const GaussianProblem problem = random_problem(3, 2, NoiseShape::scalar, 3);
  const auto sampler = make_sampler({"tmpd", {}}, {problem.denoiser(), nullptr, problem.likelihood(), Integrator::exponential, 0.0});
  EXPECT_THROW(sampler->step_law(Matrix(1, 3), 0.5, 0.4), InvalidArgument);
}

TEST(StepLaw, IsAbsentForASamplerThatDoesNotSayIt) {
  class Silent final : public PosteriorSampler {
   public:
    std::string name() const override { return "silent"; }
    void step(BatchView, double, double, std::uint64_t, const RandomStream&) const override {}
    double evaluations_per_step() const override { return 0.0; }
  };
  EXPECT_FALSE(Silent().step_law(Matrix(1, 1), 0.5, 0.4).has_value());
}

}  // namespace
}  // namespace fslens::test
