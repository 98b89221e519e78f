// TMPD's solves: dense and iterative agree, and what happens at their limits.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <memory>

#include "fslens/core/error.hpp"
#include "fslens/guidance/dmps.hpp"
#include "fslens/guidance/lens_guidance.hpp"
#include "fslens/guidance/pigdm.hpp"
#include "fslens/guidance/tmpd.hpp"
#include "guidance/gaussian_problem.hpp"
#include "guidance/probing.hpp"

namespace fslens::test {
namespace {

RC_GTEST_PROP(TmpdSolver, DenseIterativeAndExactScoresAgree, ()) {
  const auto d = *rc::gen::inRange<std::size_t>(1, 8);
  const auto m = *rc::gen::inRange<std::size_t>(1, 8);
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 1000000);
  const auto shape = *rc::gen::element(NoiseShape::scalar, NoiseShape::diagonal, NoiseShape::full);
  const double t = *rc::gen::inRange(2, 100) / 100.0;
  const GaussianProblem problem = random_problem(d, m, shape, seed);
  const auto denoiser = problem.denoiser();
  const auto likelihood = problem.likelihood();
  const Matrix x = states(problem.schedule, t, 4, d);
  const Matrix dense = score_of(TmpdGuidance(), *denoiser, *likelihood, x, t);
  const Matrix iterative =
      score_of(TmpdGuidance({.max_dense = 0, .cg_tolerance = 1e-12}), *denoiser, *likelihood, x, t);
  const Matrix exact =
      score_of(ConditionalDenoiserGuidance(problem.posterior_denoiser()), *denoiser, *likelihood, x, t);
  RC_ASSERT(largest_difference(dense, iterative) <= 1e-9 * (1.0 + largest(dense)));
  RC_ASSERT(largest_difference(dense, exact) <= 1e-8 * (1.0 + largest(dense)));
}

TEST(TmpdSolver, DenseChunksAndIterationsAgreeInManyDimensions) {
  // m = 128 is the largest dense size; 300 particles of it do not fit in one chunk of projected covariances.
  const GaussianProblem problem = random_problem(60, 128, NoiseShape::diagonal, 12);
  const auto denoiser = problem.denoiser();
  const auto likelihood = problem.likelihood();
  const Matrix x = states(problem.schedule, 0.3, 300, 60);
  const Matrix dense = score_of(TmpdGuidance(), *denoiser, *likelihood, x, 0.3);
  const Matrix iterative = score_of(TmpdGuidance({.max_dense = 127}), *denoiser, *likelihood, x, 0.3);
  EXPECT_LT(largest_difference(dense, iterative), 1e-6 * largest(dense));
  EXPECT_GT(largest(dense), 0.1);
}

TEST(TmpdSolver, IterationsEndAtTheRankOfTheCovariance) {
  // Three atoms: C has rank 2, so that three preconditioned iterations are exact in 20 measured dimensions.
  const GaussianProblem problem = random_problem(10, 20, NoiseShape::full, 5);
  const auto likelihood = problem.likelihood();
  Matrix atoms(3, 10);
  RandomStream(2).fill_normal(0, atoms);
  const AtomDenoiser denoiser(problem.schedule, atoms, {0.0, 0.0, 0.0});
  const Matrix x = states(problem.schedule, 0.7, 8, 10);
  const Matrix dense = score_of(TmpdGuidance(), denoiser, *likelihood, x, 0.7);
  const Matrix iterative = score_of(TmpdGuidance({.max_dense = 0, .cg_iterations = 4}), denoiser, *likelihood, x, 0.7);
  EXPECT_LT(largest_difference(dense, iterative), 1e-6 * (1.0 + largest(dense)));
}

TEST(TmpdSolver, SaysSoWhenIterationsDoNotConverge) {
  const GaussianProblem problem = random_problem(10, 10, NoiseShape::full, 5);
  const Matrix x = states(problem.schedule, 0.5, 3, 10);
  try {
    score_of(TmpdGuidance({.max_dense = 0, .cg_iterations = 1}), *problem.denoiser(), *problem.likelihood(), x, 0.5);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("in 1 iterations for 3 of 3 particles at t = 0.5"), std::string::npos) << message;
    EXPECT_NE(message.find("raise cg_iterations"), std::string::npos) << message;
  }
}

TEST(TmpdSolver, ADivergedParticleIsNanAndHarmsNoOther) {
  const GaussianProblem problem = random_problem(4, 3, NoiseShape::full, 6);
  const auto denoiser = problem.denoiser();
  const auto likelihood = problem.likelihood();
  const Matrix healthy = states(problem.schedule, 0.5, 5, 4);
  Matrix sick = healthy;
  sick(2, 1) = NAN;
  for (const std::size_t max_dense : {std::size_t{128}, std::size_t{0}}) {
    const TmpdGuidance tmpd({.max_dense = max_dense});
    const Matrix expected = score_of(tmpd, *denoiser, *likelihood, healthy, 0.5);
    const Matrix score = score_of(tmpd, *denoiser, *likelihood, sick, 0.5);
    for (std::size_t b = 0; b < 5; ++b)
      for (std::size_t j = 0; j < 4; ++j)
        if (b == 2)
          EXPECT_TRUE(std::isnan(score(b, j)));
        else
          EXPECT_EQ(score(b, j), expected(b, j));
  }
}

TEST(AffineGuidance, FollowsTheOperatorOfEachCall) {
  // The operator's matrix is kept between calls: another operator must not be answered with it.
  const GaussianProblem first = random_problem(3, 2, NoiseShape::scalar, 1);
  GaussianProblem second = first;
  second.a *= -2.0;
  const Matrix x = states(first.schedule, 0.4, 4, 3);
  const auto denoiser = first.denoiser();
  std::vector<std::unique_ptr<Guidance>> kept;
  kept.push_back(std::make_unique<PigdmGuidance>());
  kept.push_back(std::make_unique<TmpdGuidance>());
  kept.push_back(std::make_unique<DmpsGuidance>());
  std::vector<std::unique_ptr<Guidance>> fresh;
  fresh.push_back(std::make_unique<PigdmGuidance>());
  fresh.push_back(std::make_unique<TmpdGuidance>());
  fresh.push_back(std::make_unique<DmpsGuidance>());
  for (std::size_t k = 0; k < kept.size(); ++k) {
    const Matrix before = score_of(*kept[k], *denoiser, *first.likelihood(), x, 0.4);
    const Matrix after = score_of(*kept[k], *denoiser, *second.likelihood(), x, 0.4);
    const Matrix expected = score_of(*fresh[k], *denoiser, *second.likelihood(), x, 0.4);
    EXPECT_EQ(largest_difference(after, expected), 0.0) << kept[k]->name();
    EXPECT_GT(largest_difference(after, before), 1e-3) << kept[k]->name();
  }
}

}  // namespace
}  // namespace fslens::test
