// Faults of one kind each, planted in a run of the exact score: the budget must name the right row, and the sweeps the right time.
#include <gtest/gtest.h>

#include <cmath>

#include "fslens/diagnosis/diagnose.hpp"
#include "fslens/diagnosis/finite_sample_error.hpp"
#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "power/faulty_samplers.hpp"
#include "problems.hpp"

namespace fslens::test {
namespace {

Contestant exact_score(const Problem& problem) {
  Contestant out = make_contestant(problem, {"lens-sde", {}});
  out.name = "contestant";
  return out;
}

SamplerDiagnosis judge(const Problem& problem, const Contestant& contestant, Sweeps sweeps = Sweeps::none) {
  DiagnoseOptions options;
  options.contestants = {contestant};
  options.sweeps = sweeps;
  SilentObserver observer;
  return diagnose(problem, options, observer).samplers.front();
}

const std::vector<std::string> kFine = {"grid.steps=200", "grid.spacing=log-snr", "grid.integrator=exponential", "grid.t_min=0.02",
                                        "run.particles=4000"};

std::vector<std::string> with(std::vector<std::string> overrides, std::initializer_list<std::string> more) {
  overrides.insert(overrides.end(), more);
  return overrides;
}

TEST(Contestant, IsComparedWithTheExactScoreUnderItsOwnIntegrator) {
  const Problem problem = problem_from(kGaussian, {"grid.integrator=ddim", "grid.eta=0.25"});
  EXPECT_EQ(make_contestant(problem, parse_sampler_spec("pigdm:r2=flat")).integrator, Integrator::ddim);
  EXPECT_EQ(make_contestant(problem, parse_sampler_spec("pigdm:r2=flat")).eta, 0.25);
  EXPECT_EQ(make_contestant(problem, parse_sampler_spec("tmpd:integrator=heun")).integrator, Integrator::heun);
  EXPECT_EQ(make_contestant(problem, parse_sampler_spec("dps")).integrator, Integrator::ancestral);
  EXPECT_EQ(make_contestant(problem, parse_sampler_spec("exact")).sampler, nullptr);
}

TEST(ErrorBudget, AnExactRunHasNoRowToBlame) {
  const Problem problem = problem_from(kGaussian, kFine);
  const SamplerDiagnosis diagnosis = judge(problem, exact_score(problem), Sweeps::all);
  EXPECT_EQ(diagnosis.verdict, Verdict::pass);
  EXPECT_EQ(diagnosis.budget.largest, "");
  EXPECT_LT(diagnosis.budget.total->value, 0.1);
  EXPECT_LT(diagnosis.budget.likelihood->value, 0.1);
  EXPECT_FALSE(diagnosis.budget.prior.has_value());
  EXPECT_EQ(diagnosis.budget.absent.at("finite_n"), "the prior is known completely");
  EXPECT_FALSE(diagnosis.location->half.has_value()) << "no error, no place of it";
}

TEST(ErrorBudget, TooFewStepsAreDiscretisation) {
  const Problem problem = problem_from(kGaussian, {"grid.steps=8", "run.particles=4000"});
  const SamplerDiagnosis diagnosis = judge(problem, exact_score(problem), Sweeps::all);
  EXPECT_EQ(diagnosis.verdict, Verdict::fail);
  EXPECT_EQ(diagnosis.budget.largest, "discretisation");
  EXPECT_FALSE(diagnosis.location->half.has_value()) << diagnosis.location->finding;
  EXPECT_NE(diagnosis.location->finding.find("discretisation"), std::string::npos) << diagnosis.location->finding;
  EXPECT_GT(diagnosis.budget.discretisation->low, 0.2);
  EXPECT_LT(diagnosis.budget.likelihood->value, 0.1);
}

TEST(ErrorBudget, AWrongStartIsInitialisation) {
  const Problem problem = problem_from(kGaussian, with(kFine, {"grid.t_max=0.15"}));
  Contestant contestant = exact_score(problem);
  contestant.start = [](std::size_t count, const RandomStream& stream) {
    Matrix x(count, 1);
    stream.child("standard normal").fill_normal(0, x);
    return x;
  };
  const SamplerDiagnosis diagnosis = judge(problem, contestant, Sweeps::all);
  EXPECT_EQ(diagnosis.budget.largest, "initialisation");
  EXPECT_LT(diagnosis.budget.discretisation->value, 0.1);
  ASSERT_TRUE(diagnosis.location->half.has_value());
  EXPECT_NEAR(*diagnosis.location->half, 0.15, 0.005) << "it is there from the start";
}

TEST(ErrorBudget, AWrongLikelihoodIsLikelihood) {
  const Problem problem = problem_from(kGaussian, kFine);
  Contestant contestant = make_contestant(problem, {"dps-zeta", {{"zeta", "0.1"}}});
  contestant.name = "contestant";
  const SamplerDiagnosis diagnosis = judge(problem, contestant);
  EXPECT_EQ(diagnosis.verdict, Verdict::fail);
  EXPECT_EQ(diagnosis.budget.largest, "likelihood");
  EXPECT_EQ(diagnosis.budget.dynamics->high, 0.0) << "the same steps and random numbers give the same states";
  EXPECT_LT(diagnosis.budget.discretisation->value, 0.1);
  EXPECT_LT(diagnosis.budget.initialisation->value, 0.1);
}

/// Every step leaves the state a little too wide: with and without a measurement.
TEST(ErrorBudget, AWrongStepIsDynamics) {
  const Problem problem = problem_from(kGaussian, kFine);
  const auto widen = [](BatchView x, double, double) {
    for (std::size_t b = 0; b < x.rows(); ++b) x(b, 0) *= 1.003;
  };
  Contestant contestant = exact_score(problem);
  const auto right = contestant.sampler, without = contestant.unguided;
  contestant.sampler = std::make_shared<Tampered>(right, widen);
  contestant.unguided = std::make_shared<Tampered>(without, widen);
  const SamplerDiagnosis diagnosis = judge(problem, contestant);
  EXPECT_EQ(diagnosis.verdict, Verdict::fail);
  EXPECT_EQ(diagnosis.budget.largest, "dynamics");
  EXPECT_GT(diagnosis.budget.dynamics->low, 0.1);
  // The same with a measurement alone cannot be told from a wrong likelihood.
  contestant.unguided = without;
  const SamplerDiagnosis guided = judge(problem, contestant);
  EXPECT_EQ(guided.budget.largest, "likelihood");
  EXPECT_EQ(guided.budget.dynamics->high, 0.0);
  contestant.unguided = nullptr;
  const SamplerDiagnosis unknown = judge(problem, contestant);
  EXPECT_EQ(unknown.budget.largest, "likelihood");
  EXPECT_TRUE(unknown.budget.absent.contains("dynamics"));
}

/// Methods that divide by residuals and by norms of A too run on y = 1 of A = 0, and sample the prior.
TEST(ErrorBudget, EverySamplerHasTheDynamicsOfItsIntegrator) {
  const Problem problem = problem_from(kGaussian, kFine);
  for (const char* name : {"dps-sigma", "dps-zeta", "pigdm", "tmpd", "dmps", "dps"}) {
    const Contestant contestant = make_contestant(problem, parse_sampler_spec(name));
    ASSERT_NE(contestant.unguided, nullptr) << name;
    SilentObserver observer;
    const Matrix x = run_sampler(*contestant.unguided, problem.grid, initial_states(problem.lens->schedule(), 1.0, 4000, 1, RandomStream(1)),
                                 RandomStream(2), observer).x;
    const Moments prior = problem.lens->moments(Measure::prior, problem.grid.back());
    double mean = 0.0, square = 0.0;
    for (const double value : x.values()) mean += value / 4000.0, square += value * value / 4000.0;
    const double variance = prior.covariance(0, 0);
    EXPECT_NEAR(mean, prior.mean[0], 5.0 * std::sqrt(variance / 4000.0)) << name;
    EXPECT_NEAR(square - mean * mean, variance, 0.03 * variance + 5.0 * variance * std::sqrt(2.0 / 4000.0)) << name << ": 3 % for the steps";
  }
}

/// A user's denoiser that has learnt another prior: the sampler is right, what it runs on is not.
TEST(ErrorBudget, AWrongDenoiserIsPrior) {
  const Problem problem = problem_from(kGaussian, kFine);
  const auto wrong = std::make_shared<GaussianMixture>(Matrix(1, 1, {-1.0}), std::vector<Matrix>{Matrix(1, 1, {0.3})});
  DiagnoseOptions options;
  options.samplers = {{"tmpd", {}}};
  options.denoiser = std::make_shared<GaussianMixtureDenoiser>(wrong, problem.lens->schedule());
  SilentObserver observer;
  const SamplerDiagnosis diagnosis = diagnose(problem, options, observer).samplers.front();
  EXPECT_EQ(diagnosis.budget.largest, "prior");
  EXPECT_LT(diagnosis.budget.likelihood->value, 0.1) << "tmpd is exact for a Gaussian";
  EXPECT_GT(diagnosis.budget.prior->low, 0.3);
}

TEST(ErrorBudget, AWrongNoiseLevelIsMeasurement) {
  const Problem right = problem_from(kRepeated, kFine);
  Problem wrong = problem_from(kRepeated, with(kFine, {"noise.sigma=0.25"}));  // y has 0.5
  wrong.likelihood = std::make_shared<Likelihood>(wrong.likelihood->forward_ptr(), wrong.likelihood->noise(), right.likelihood->y());
  wrong.lens = wrong.lens->remeasured(wrong.likelihood);
  const SamplerDiagnosis accused = judge(wrong, exact_score(wrong)), cleared = judge(right, exact_score(right));
  const auto fit = [](const SamplerDiagnosis& d) { return std::ranges::find(d.checks, "measurement-fit", &Check::id)->verdict; };
  EXPECT_EQ(fit(accused), Verdict::fail);
  EXPECT_EQ(accused.budget.largest, "measurement");
  EXPECT_EQ(fit(cleared), Verdict::pass);
  EXPECT_EQ(cleared.budget.largest, "");
}

/// A third of the particles are pushed by some posterior standard deviations at a known time.
TEST(ErrorLocation, FindsAPlantedErrorWithinATenthOfTheLogSnrRange) {
  const Problem problem = problem_from(kGaussian, kFine);
  const NoiseSchedule& schedule = problem.lens->schedule();
  const double range = schedule.log_snr(problem.grid.back()) - schedule.log_snr(problem.grid.front());
  // Pushed the harder, the more of it heals.
  const std::pair<double, double> cases[] = {{0.1, 8.0}, {0.06, 4.0}, {0.03, 3.0}};
  for (const auto& [planted_at, push] : cases) {
    const double planted = planted_at, deviations = push;
    Contestant contestant = exact_score(problem);
    contestant.sampler = std::make_shared<Tampered>(contestant.sampler, [&](BatchView x, double t, double u) {
      if (!(t > planted && u <= planted)) return;
      const double sd = std::sqrt(problem.lens->moments(Measure::posterior, u).covariance(0, 0));
      for (std::size_t b = 0; b < x.rows(); b += 3) x(b, 0) += deviations * sd;
    });
    const SamplerDiagnosis diagnosis = judge(problem, contestant, Sweeps::all);
    ASSERT_TRUE(diagnosis.location.has_value());
    ASSERT_TRUE(diagnosis.location->half.has_value()) << planted << ": " << diagnosis.location->finding;
    EXPECT_NEAR(schedule.log_snr(*diagnosis.location->half), schedule.log_snr(planted), 0.1 * range)
        << "planted at " << planted << ", found at " << *diagnosis.location->half;
  }
}

/// 400 data from N(0, 1), not measured at all: what half splits say of the lens is its true distance from the population.
TEST(FiniteSampleError, HalfSplitsTellTheDistanceFromThePopulation) {
  constexpr std::size_t kData = 400, kRepeats = 20;
  double told = 0.0, truth = 0.0;
  for (std::size_t r = 0; r < kRepeats; ++r) {
    Matrix atoms(kData, 1), fresh(200000, 1);
    RandomStream(50 + r).fill_normal(0, atoms);
    RandomStream(1000).fill_normal(0, fresh);
    Problem problem = problem_from(kThreeAtoms, {"run.particles=400", "noise.sigma=1000"});
    const auto prior = std::make_shared<EmpiricalPrior>(AtomTable(std::vector<double>(atoms.values().begin(), atoms.values().end()), kData, 1));
    problem.lens = std::make_shared<FiniteSampleLens>(prior, problem.lens->schedule(), problem.likelihood);
    problem.is_population = false;
    problem.modes = {std::vector<std::size_t>(kData, 0), {"all"}};
    SilentObserver observer;
    const ExactReference reference(problem.lens, problem.modes, {0.0}, 400, RandomStream(1), observer);
    const auto error = finite_sample_error(problem, reference, RandomStream(r));
    told += std::pow(error->sliced_w2.value * reference.final().scale, 2.0) / kRepeats;
    truth += sliced_wasserstein2_squared(project(atoms, reference.projections()), project(fresh, reference.projections())).value / kRepeats;
    EXPECT_LT(error->sliced_w2.low, error->sliced_w2.value);
    EXPECT_GT(error->sliced_w2.high, error->sliced_w2.value);
    EXPECT_NEAR(error->ess.value, 400.0, 1.0);
    EXPECT_LT(*error->pareto_k, 0.5) << "all likelihoods are alike";
  }
  // Both are means of 20 with a relative sd of about 0.7/√20: a factor 2 is 4 sd off.
  EXPECT_LT(told / truth, 2.0);
  EXPECT_GT(told / truth, 0.5);
}

/// Two groups of data, 30 and 70 of 100: the bootstrap of the first one's weight is Beta(30, 70).
TEST(FiniteSampleError, BootstrapOfAModeWeightIsDirichlet) {
  std::vector<double> atoms(100);
  for (std::size_t i = 0; i < 100; ++i) atoms[i] = i < 30 ? -1.0 : 1.0;
  Problem problem = problem_from(kThreeAtoms, {"run.particles=200", "noise.sigma=1000"});
  problem.lens = std::make_shared<FiniteSampleLens>(std::make_shared<EmpiricalPrior>(AtomTable(atoms, 100, 1)), problem.lens->schedule(), problem.likelihood);
  problem.is_population = false;
  problem.modes.labels = {"left", "right"};
  problem.modes.mode_of_component.assign(100, 1);
  std::fill_n(problem.modes.mode_of_component.begin(), 30, 0);
  SilentObserver observer;
  const ExactReference reference(problem.lens, problem.modes, {0.0}, 200, RandomStream(1), observer);
  const auto error = finite_sample_error(problem, reference, RandomStream(3));
  EXPECT_NEAR(error->mode_weights[0].value, 0.3, 1e-3);
  // The 2.5 and 97.5 % points of Beta(30, 70), each within 4 sd of an order statistic of 200.
  EXPECT_NEAR(error->mode_weights[0].low, 0.2146, 0.03);
  EXPECT_NEAR(error->mode_weights[0].high, 0.3929, 0.03);
  EXPECT_LE(error->ess.low, error->ess.value);
  EXPECT_GE(error->ess.high, error->ess.value);
  EXPECT_GT(error->ess.high, 100.0) << "weights that are all alike have no ESS of 50 because they are drawn again";
}

}  // namespace
}  // namespace fslens::test
