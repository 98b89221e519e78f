#include "fslens/diagnosis/simulated_problem.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "fslens/lens/finite_sample_lens.hpp"
#include "problems.hpp"

namespace fslens::test {
namespace {

TEST(SimulatedProblem, IsAFunctionOfStreamAndReplicate) {
  const Problem problem = problem_from(kLabelledPlane);
  const RandomStream stream(7);
  const SimulatedProblem first = simulate_problem(problem, stream, 3), again = simulate_problem(problem, stream, 3);
  const SimulatedProblem other = simulate_problem(problem, stream, 4);
  EXPECT_EQ(first.truth, again.truth);
  EXPECT_EQ(first.problem.likelihood->y(), again.problem.likelihood->y());
  EXPECT_NE(first.problem.likelihood->y(), other.problem.likelihood->y());
}

TEST(SimulatedProblem, ATruthAmongAtomsOfALargerPopulationIsLeftOut) {
  Problem problem = problem_from(kLabelledPlane);
  problem.is_population = false;
  const SimulatedProblem simulated = simulate_problem(problem, RandomStream(11), 0);
  ASSERT_TRUE(simulated.left_out);
  const auto& prior = static_cast<const FiniteSampleLens&>(*simulated.problem.lens).prior();
  std::vector<double> atom(2);
  prior.atoms().copy_atom(simulated.component, atom);
  EXPECT_EQ(atom, simulated.truth);
  for (const Measure measure : {Measure::prior, Measure::posterior}) {
    double sum = 0.0;
    for (const double weight : simulated.problem.lens->log_weights(measure)) sum += std::exp(weight);
    EXPECT_NEAR(sum, 1.0, 1e-14);
    EXPECT_EQ(std::exp(simulated.problem.lens->log_weights(measure)[simulated.component]), 0.0);
  }
}

/// Leaving an atom out by its weight gives the lens of the atoms without it.
TEST(SimulatedProblem, LeftOutMeansAsIfItWereNotThere) {
  Problem problem = problem_from(kThreeAtoms);
  const auto& whole = static_cast<const FiniteSampleLens&>(*problem.lens);
  const auto without = whole.remeasured(problem.likelihood, 1);
  const auto two = std::make_shared<EmpiricalPrior>(AtomTable(std::vector<double>{-1.8, 2.2}, 2, 1));
  const FiniteSampleLens expected(two, whole.schedule(), problem.likelihood);
  EXPECT_NEAR(without->log_evidence(), expected.log_evidence(), 1e-14);
  Matrix x(4, 1, {-2.0, -0.3, 0.2, 1.4});
  for (const double t : {0.02, 0.3, 1.0}) {
    const LensFields a = without->fields(x, t), b = expected.fields(x, t);
    for (std::size_t i = 0; i < x.rows(); ++i) {
      EXPECT_NEAR(a.denoiser_mean(i, 0), b.denoiser_mean(i, 0), 1e-12);
      EXPECT_NEAR(a.posterior_score(i, 0), b.posterior_score(i, 0), 1e-9);
      EXPECT_NEAR(a.log_prior_density[i], b.log_prior_density[i], 1e-10);
    }
  }
}

TEST(SimulatedProblem, AMixtureKeepsItsComponents) {
  const Problem problem = problem_from(kGaussian);
  const SimulatedProblem simulated = simulate_problem(problem, RandomStream(2), 0);
  EXPECT_FALSE(simulated.left_out);
  EXPECT_EQ(simulated.problem.lens->num_components(), 1u);
}

/// y − A(x_0) over replicates has the noise's variance, and x_0 the prior's moments. False alarms: 1e-6 each (4.9 sd).
TEST(SimulatedProblem, ComesFromThePriorAndTheNoise) {
  const Problem problem = problem_from(kGaussian);
  const RandomStream stream(5);
  constexpr std::size_t kReplicates = 4000;
  double residual2 = 0.0, truth = 0.0;
  for (std::size_t r = 0; r < kReplicates; ++r) {
    const SimulatedProblem simulated = simulate_problem(problem, stream, r);
    Matrix clean(1, 1, simulated.truth), error(1, 1);
    simulated.problem.likelihood->residual(clean, error);
    residual2 += error(0, 0) * error(0, 0) / kReplicates;
    truth += simulated.truth[0] / kReplicates;
  }
  const double variance = problem.likelihood->noise().covariance()(0, 0);
  EXPECT_NEAR(residual2 / variance, 1.0, 4.9 * std::sqrt(2.0 / kReplicates));
  const Moments prior = problem.lens->moments(Measure::prior, 0.0);
  EXPECT_NEAR(truth, prior.mean[0], 4.9 * std::sqrt(prior.covariance(0, 0) / kReplicates));
}

}  // namespace
}  // namespace fslens::test
