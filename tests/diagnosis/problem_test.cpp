// From a problem file to a lens, its modes and its grid; and which times are judged.
#include "fslens/diagnosis/problem.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "diagnosis/problems.hpp"
#include "fslens/core/error.hpp"
#include "fslens/diagnosis/diagnose.hpp"
#include "fslens/lens/finite_sample_lens.hpp"

namespace fslens::test {
namespace {

std::vector<double> atoms_of(const Problem& problem) {
  const AtomTable& atoms = static_cast<const FiniteSampleLens&>(*problem.lens).prior().atoms();
  Matrix values(atoms.count(), atoms.dim());
  for (std::size_t i = 0; i < atoms.count(); ++i) atoms.copy_atom(i, values.row(i));
  return {values.values().begin(), values.values().end()};
}

const std::vector<std::string> kFromTheSecond = {"measurement.from_atom=1", "measurement.noise_seed=3",
                                                 "noise.sigma=0.01"};

std::vector<std::string> and_also(std::vector<std::string> overrides, const std::string& more) {
  overrides.push_back(more);
  return overrides;
}

TEST(BuildProblem, LeavesTheMeasuredAtomOut) {
  const Problem problem = problem_from(kThreeAtoms, and_also(kFromTheSecond, "prior.complete=false"));
  EXPECT_EQ(problem.lens->num_components(), 2u);
  EXPECT_EQ(atoms_of(problem), (std::vector<double>{-1.8, 2.2}));
  EXPECT_NEAR(problem.likelihood->y()[0], 0.2, 0.05) << "y was made from the atom that is left out, with sigma 0.01";
  EXPECT_FALSE(problem.is_population);
}

TEST(BuildProblem, KeepsTheMeasuredAtomOfACompletePrior) {
  const Problem problem = problem_from(kThreeAtoms, kFromTheSecond);
  EXPECT_EQ(problem.lens->num_components(), 3u);
  EXPECT_NEAR(problem.likelihood->y()[0], 0.2, 0.05);
  EXPECT_TRUE(problem.is_population);
}

TEST(BuildProblem, LeavesOutWeightAndLabelWithTheAtom) {
  ProblemSpec spec = spec_from(kLabelledPlane, {"prior.complete=false", "measurement.from_atom=8"});
  std::vector<double> weights(12);
  std::iota(weights.begin(), weights.end(), 1.0);
  ArrayRef ref;
  ref.inline_values = {{12}, weights, ""};
  spec.prior.weights = ref;
  const Problem problem = build(spec);
  ASSERT_EQ(problem.lens->num_components(), 11u);
  const double sum = 78.0 - 9.0;
  EXPECT_NEAR(std::exp(problem.lens->log_weights(Measure::prior)[7]), 8.0 / sum, 1e-12);
  EXPECT_NEAR(std::exp(problem.lens->log_weights(Measure::prior)[8]), 10.0 / sum, 1e-12);
  EXPECT_EQ(problem.modes.mode_of_component[8], 2u);
  EXPECT_EQ(problem.modes.num_modes(), 3u);
}

TEST(BuildProblem, MeasuresAnAtomOfThePriorByItsWeights) {
  // Only the last atom has weight: from_prior can choose no other, and leaves it out.
  ProblemSpec spec =
      spec_from(kThreeAtoms, {"prior.weights=[0.0, 0.0, 1.0]", "measurement.from_prior=true", "noise.sigma=0.01"});
  EXPECT_NEAR(build(spec).likelihood->y()[0], 2.2, 0.05);
  std::vector<double> seen;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    ProblemSpec equal = spec_from(kThreeAtoms, {"measurement.from_prior=true", "noise.sigma=0.01"});
    equal.measurement.noise_seed = seed;
    seen.push_back(std::round(10.0 * build(equal).likelihood->y()[0]) / 10.0);
  }
  for (const double atom : {-1.8, 0.2, 2.2}) EXPECT_NE(std::ranges::find(seen, atom), seen.end()) << atom;
}

TEST(BuildProblem, ChoosesModesFromWhatThereIs) {
  EXPECT_EQ(problem_from(kThreeAtoms).modes.labels, (std::vector<std::string>{"-1.8", "0.2", "2.2"}));
  EXPECT_EQ(problem_from(kLabelledPlane).modes.num_modes(), 3u) << "labels";
  EXPECT_EQ(problem_from(kLabelledPlane, {"modes.kind=atoms"}).modes.num_modes(), 12u);
  EXPECT_EQ(problem_from(kLabelledPlane, {"modes.kind=mean-shift", "modes.t=0.1"}).modes.num_modes(), 3u)
      << "three clumps that are 2 apart, with s/a = 0.33 at t = 0.1";
  EXPECT_EQ(problem_from(kGaussian).modes.num_modes(), 1u);
  EXPECT_TRUE(problem_from(kGaussian).is_population);
}

TEST(BuildProblem, TakesOverWhatTheFileSaysOfTheRun) {
  const Problem problem =
      problem_from(kThreeAtoms, {"grid.steps=7", "grid.t_min=0.05", "grid.integrator=ddim", "grid.eta=0.5",
                                 "run.seed=9", "run.tolerance=1e-4", "run.exact_scan=true", "margins.spread=0.4"});
  EXPECT_EQ(problem.grid.size(), 8u);
  EXPECT_EQ(problem.grid.back(), 0.05);
  EXPECT_EQ(problem.integrator, Integrator::ddim);
  EXPECT_EQ(problem.eta, 0.5);
  EXPECT_EQ(problem.seed, 9u);
  EXPECT_EQ(problem.assignment.tolerance, 1e-4);
  EXPECT_TRUE(problem.assignment.exact_scan);
  EXPECT_EQ(problem_from(kThreeAtoms).assignment.tolerance, kDoubleTolerance);
  EXPECT_EQ(problem_from(kThreeAtoms, {"run.precision=f32"}).assignment.tolerance, kSingleTolerance);
  EXPECT_EQ(problem.num_particles, 2000u);
  EXPECT_EQ(problem.margins.at("spread"), 0.4);
}

TEST(RecordedIndices, HoldTheEndsAnEvenSpreadAndTheLastSteps) {
  const std::vector<std::size_t> indices = recorded_indices(501, 20);
  EXPECT_EQ(indices.front(), 0u);
  EXPECT_EQ(indices.back(), 500u);
  EXPECT_TRUE(std::ranges::is_sorted(indices));
  EXPECT_EQ(std::ranges::adjacent_find(indices), indices.end()) << "no index twice";
  EXPECT_LE(indices.size(), 26u);
  for (const std::size_t distance : {1, 2, 4, 8, 16, 32})
    EXPECT_NE(std::ranges::find(indices, 500 - distance), indices.end()) << distance;
  for (std::size_t i = 1; i < indices.size(); ++i) EXPECT_LE(indices[i] - indices[i - 1], 27u);
}

TEST(RecordedIndices, StayOnShortGrids) {
  EXPECT_EQ(recorded_indices(2, 20), (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(recorded_indices(4, 20), (std::vector<std::size_t>{0, 1, 2, 3}));
  for (const std::size_t count : {1, 2, 3})
    for (std::size_t size = 2; size < 200; size += 13) {
      const auto indices = recorded_indices(size, count);
      EXPECT_EQ(indices.front(), 0u);
      EXPECT_EQ(indices.back(), size - 1);
      EXPECT_LE(indices.size(), std::max<std::size_t>(count, 2) + 6);
    }
}

TEST(SamplerLabel, HoldsWhatWasGivenAndNothingElse) {
  EXPECT_EQ(sampler_label({"pigdm", {}}), "pigdm");
  EXPECT_EQ(sampler_label({"pigdm", {{"r2", "flat"}}}), "pigdm r2=flat");
  EXPECT_EQ(sampler_label({"dps-zeta", {{"zeta", "0.3"}, {"weight", "none"}}}), "dps-zeta weight=none zeta=0.3");
  EXPECT_EQ(sampler_label({"lens", {}}), "lens-sde") << "aliases are resolved";
  EXPECT_THROW(sampler_label({"pigmd", {}}), UsageError);
}

TEST(SamplerStream, IsAFunctionOfSeedAndLabelAlone) {
  const auto first = [](std::uint64_t seed, const SamplerSpec& spec) {
    return sampler_stream(seed, spec).uniform(0, 0);
  };
  EXPECT_EQ(first(1, {"lens", {}}), first(1, {"lens-sde", {}}));
  EXPECT_NE(first(1, {"pigdm", {}}), first(2, {"pigdm", {}}));
  EXPECT_NE(first(1, {"pigdm", {}}), first(1, {"pigdm", {{"r2", "flat"}}}));
}

}  // namespace
}  // namespace fslens::test
