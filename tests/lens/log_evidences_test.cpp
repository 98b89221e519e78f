// Evidence under other noise and without a component, against lenses that are built so.
#include <gtest/gtest.h>

#include <cmath>

#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "fslens/lens/smoothed_lens.hpp"
#include "prior/random_problem.hpp"
#include "support/expect_invalid.hpp"
#include "support/random_batch.hpp"

namespace fslens {
namespace {

using test::random_batch;

const std::vector<double> kScales = {0.3, 1.0, 2.5};

void expect_evidence_of_lenses(const Lens& lens, std::size_t left_out) {
  const Likelihood& given = lens.likelihood();
  Matrix y = random_batch(3, given.output_dim(), 5);
  std::ranges::copy(given.y(), y.row(0).begin());
  const std::vector<std::size_t> without = {Lens::kNoComponent, left_out, Lens::kNoComponent};
  const Matrix got = lens.log_evidences(y, kScales, without);
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t k = 0; k < kScales.size(); ++k) {
      const auto likelihood = std::make_shared<Likelihood>(given.forward_ptr(), given.noise().scaled(kScales[k]),
                                                           std::vector<double>(y.row(r).begin(), y.row(r).end()));
      const auto expected = lens.remeasured(likelihood, r == 1 ? std::optional(left_out) : std::nullopt);
      EXPECT_NEAR(got(r, k), expected->log_evidence(), 1e-9 * (1.0 + std::abs(expected->log_evidence()))) << r << " " << k;
    }
  EXPECT_NEAR(got(0, 1), lens.log_evidence(), 1e-9 * (1.0 + std::abs(lens.log_evidence())));
}

TEST(LogEvidences, OfAtoms) {
  for (const Measured measured : {Measured::projection, Measured::correlated, Measured::squares}) {
    const RandomProblem problem(50, 3, measured, 8);
    expect_evidence_of_lenses(FiniteSampleLens(problem.prior, NoiseSchedule::vp_linear(), problem.likelihood), 5);
  }
}

TEST(LogEvidences, OfSmoothedAtoms) {
  for (const Measured measured : {Measured::projection, Measured::correlated})
    for (const KernelShape shape : {KernelShape::isotropic, KernelShape::covariance}) {
      const RandomProblem problem(50, 3, measured, 8);
      expect_evidence_of_lenses(
          SmoothedLens(problem.prior, smoothing_kernel(*problem.prior, shape, 0.4), NoiseSchedule::vp_linear(), problem.likelihood), 5);
    }
}

TEST(LogEvidences, OfAMixture) {
  const RandomProblem problem(4, 2, Measured::correlated, 8);
  Matrix wide(2, 2), narrow(2, 2);
  wide(0, 0) = wide(1, 1) = 0.8;
  wide(0, 1) = wide(1, 0) = 0.3;
  narrow(0, 0) = narrow(1, 1) = 0.1;
  const auto mixture = std::make_shared<GaussianMixture>(problem.atoms, std::vector<Matrix>{wide, narrow, wide, narrow}, std::vector<double>{1, 2, 3, 4});
  expect_evidence_of_lenses(GaussianMixtureLens(mixture, NoiseSchedule::vp_linear(), problem.likelihood), 2);
}

TEST(LogEvidences, NamesAWrongScale) {
  const RandomProblem problem(5, 2, Measured::projection, 8);
  const FiniteSampleLens lens(problem.prior, NoiseSchedule::vp_linear(), problem.likelihood);
  const Matrix y(1, 2, 0.0);
  test::expect_invalid([&] { lens.log_evidences(y, std::vector<double>{0.0}, std::vector<std::size_t>{Lens::kNoComponent}); }, {"noise_scales[0]", "0"});
}

}  // namespace
}  // namespace fslens
