// One reference for many samplers: the same verdicts as apart, and nothing is judged by the wrong one.
#include "fslens/diagnosis/court.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "diagnosis/recordings.hpp"
#include "fslens/core/error.hpp"

namespace fslens::test {
namespace {

class CourtTest : public ::testing::Test {
 protected:
  Court court(std::vector<double> times, std::size_t particles = 100) {
    return {problem_, times, particles, measurement_fit(problem_, RandomStream(0), observer_),
            Court::rules(0.01, {times.size()}, problem_.modes.num_modes()), RandomStream(0), observer_};
  }
  Recording draws(const std::vector<double>& times, std::size_t particles = 100, std::size_t dim = 1) {
    std::vector<Matrix> states;
    for (const double t : times) states.push_back(dim == 1 ? problem_.lens->sample(Measure::posterior, particles, t, RandomStream(5)).x : Matrix(particles, dim));
    return {"draws", times, std::move(states)};
  }

  SilentObserver observer_;
  Problem problem_ = problem_from(kThreeAtoms, {"run.particles=100"});
};

TEST_F(CourtTest, JudgesStatesAtHandAsThoseOfAFile) {
  const std::vector<double> times = {0.5, 0.1, 0.01};
  Trajectory trajectory{times, {}};
  const Recording at_hand = draws(times);
  for (std::size_t i = 0; i < times.size(); ++i) trajectory.states.push_back(at_hand.states(i));
  const SamplerDiagnosis apart = judge(problem_, trajectory), together = court(times).judge(at_hand);
  ASSERT_EQ(apart.checks.size(), together.checks.size());
  for (std::size_t i = 0; i < apart.checks.size(); ++i) EXPECT_EQ(apart.checks[i].low, together.checks[i].low) << apart.checks[i].id;
  EXPECT_EQ(apart.budget.total->value, together.budget.total->value);
}

TEST_F(CourtTest, RefusesWhatItsReferenceIsNotOf) {
  Court some = court({0.5, 0.1});
  EXPECT_THROW(some.judge(draws({0.5, 0.2})), InvalidArgument);
  EXPECT_THROW(some.judge(draws({0.5, 0.1, 0.01})), InvalidArgument);
  EXPECT_THROW(some.judge(draws({0.5, 0.1}, 101)), InvalidArgument);
  EXPECT_THROW(some.judge(draws({0.5, 0.1}, 100, 2)), InvalidArgument);
  const Contestant contestant = make_contestant(problem_, {"tmpd", {}});
  EXPECT_THROW(some.judge(contestant, RandomStream(1)), InvalidArgument) << "its grid does not end at 0.1";
  EXPECT_THROW(court({problem_.grid.front(), 0.1234567, problem_.grid.back()}).judge(contestant, RandomStream(1)), InvalidArgument);
  EXPECT_NO_THROW(court({problem_.grid.front(), problem_.grid[30], problem_.grid.back()}).judge(contestant, RandomStream(1)));
}

TEST(CourtRules, RefuseARateThatNoIntervalHas) {
  for (const double rate : {0.0, 1e-12, 0.6, std::numeric_limits<double>::quiet_NaN()}) EXPECT_THROW(Court::rules(rate, {5}, 3), InvalidArgument) << rate;
  EXPECT_THROW(Court::rules(0.01, {}, 3), InvalidArgument);
  EXPECT_GT(Court::rules(0.01, {5, 5}, 3).z, Court::rules(0.01, {5}, 3).z);
}

TEST(Recording, RefusesStatesThatCannotBeATrajectory) {
  const Matrix x(20, 1);
  EXPECT_EQ(Recording("ok", {0.5, 0.0}, {x, x}).states(1).rows(), 20u);
  EXPECT_THROW(Recording("times", {}, {}), InvalidArgument);
  EXPECT_THROW(Recording("times", {0.5, 0.5}, {x, x}), InvalidArgument);
  EXPECT_THROW(Recording("times", {0.0, 0.5}, {x, x}), InvalidArgument);
  EXPECT_THROW(Recording("times", {-0.5}, {x}), InvalidArgument);
  EXPECT_THROW(Recording("times", {std::numeric_limits<double>::quiet_NaN()}, {x}), InvalidArgument);
  EXPECT_THROW(Recording("times", {HUGE_VAL, 0.5}, {x, x}), InvalidArgument);
  EXPECT_THROW(Recording("count", {0.5}, {x, x}), InvalidArgument);
  EXPECT_THROW(Recording("shape", {0.5, 0.1}, {x, Matrix(21, 1)}), InvalidArgument);
  EXPECT_THROW(Recording("few", {0.5}, {Matrix(9, 1)}), InvalidArgument);
}

}  // namespace
}  // namespace fslens::test
