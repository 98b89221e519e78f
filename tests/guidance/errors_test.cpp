#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>

#include "fslens/core/error.hpp"
#include "fslens/guidance/dmps.hpp"
#include "fslens/guidance/dps_sigma.hpp"
#include "fslens/guidance/dps_zeta.hpp"
#include "fslens/guidance/lens_guidance.hpp"
#include "fslens/guidance/pigdm.hpp"
#include "fslens/guidance/tmpd.hpp"
#include "fslens/operators/elementwise.hpp"
#include "guidance/gaussian_problem.hpp"
#include "guidance/probing.hpp"

namespace fslens::test {
namespace {

TEST(GuidanceErrors, AffineMethodsRefuseOtherOperators) {
  const Likelihood likelihood(std::make_shared<SquareOperator>(2), GaussianNoise::scalar(2, 0.5), {1.0, 2.0});
  const auto denoiser = random_problem(2, 1, NoiseShape::scalar, 6).denoiser();
  const Matrix x = states(denoiser->schedule(), 0.3, 2, 2);
  const PigdmGuidance pigdm;
  const TmpdGuidance tmpd;
  const TmpdGuidance iterative({.max_dense = 0});
  const DmpsGuidance dmps;
  for (const Guidance* method : std::initializer_list<const Guidance*>{&pigdm, &tmpd, &iterative, &dmps}) {
    EXPECT_TRUE(method->needs_affine());
    const std::string expected =
        method->name() + " needs an affine operator; 'square' is not (use dps-sigma, dps-zeta, dps or lens-sde)";
    try {
      score_of(*method, *denoiser, likelihood, x, 0.3);
      FAIL() << method->name();
    } catch (const UsageError& error) {
      EXPECT_EQ(std::string(error.what()), expected);
    }
    EXPECT_THROW(density_of(*method, *denoiser, likelihood, x, 0.3), UsageError);
  }
  EXPECT_FALSE(DpsSigmaGuidance().needs_affine());
}

TEST(GuidanceErrors, DpsZetaIsZeroWhereTheResidualIs) {
  GaussianProblem problem = scalar_oracle();
  const auto denoiser = problem.denoiser();
  const Matrix x(2, 1, {0.3, 0.8});
  Matrix mean(2, 1);
  denoiser->denoise(x, 0.3, mean);
  Matrix centre(2, 1);
  problem.likelihood()->forward().apply(mean, centre);
  problem.y(0) = centre(0, 0);
  const Matrix score = score_of(DpsZetaGuidance(), *denoiser, *problem.likelihood(), x, 0.3);
  EXPECT_EQ(score(0, 0), 0.0);
  EXPECT_NE(score(1, 0), 0.0);
  // Rounding of y − A(m) counts as 0, a residual that the denoiser resolves does not, however small.
  const double full = std::abs(score_of(DpsZetaGuidance(), *denoiser, *scalar_oracle().likelihood(), x, 0.3)(0, 0));
  problem.y(0) = centre(0, 0) * (1.0 + 1e-12);
  EXPECT_EQ(score_of(DpsZetaGuidance(), *denoiser, *problem.likelihood(), x, 0.3)(0, 0), 0.0);
  problem.y(0) = centre(0, 0) * (1.0 + 1e-8);
  EXPECT_NEAR(std::abs(score_of(DpsZetaGuidance(), *denoiser, *problem.likelihood(), x, 0.3)(0, 0)), full, 1e-6 * full);
  Matrix sick = x;
  sick(1, 0) = NAN;
  EXPECT_TRUE(std::isnan(score_of(DpsZetaGuidance(), *denoiser, *problem.likelihood(), sick, 0.3)(1, 0)));
}

TEST(GuidanceErrors, OptionsAndShapesAreChecked) {
  EXPECT_THROW(DpsZetaGuidance({.zeta = 0.0}), InvalidArgument);
  EXPECT_THROW(DpsZetaGuidance({.zeta = NAN}), InvalidArgument);
  EXPECT_THROW(TmpdGuidance({.cg_tolerance = 0.0}), InvalidArgument);
  EXPECT_THROW(TmpdGuidance({.cg_iterations = 0}), InvalidArgument);
  EXPECT_THROW(ConditionalDenoiserGuidance(nullptr), InvalidArgument);
  const GaussianProblem problem = random_problem(3, 2, NoiseShape::scalar, 1);
  const GaussianProblem other = random_problem(4, 2, NoiseShape::scalar, 1);
  const Matrix x = states(problem.schedule, 0.3, 2, 3);
  EXPECT_THROW(score_of(DpsSigmaGuidance(), *problem.denoiser(), *other.likelihood(), x, 0.3), InvalidArgument);
  EXPECT_THROW(score_of(PigdmGuidance(), *problem.denoiser(), *problem.likelihood(), x, 1.5), InvalidArgument);
}

}  // namespace
}  // namespace fslens::test
