// What the lenses refuse, and whether the message says why.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "fslens/operators/elementwise.hpp"
#include "fslens/operators/identity.hpp"
#include "support/expect_invalid.hpp"
#include "support/special_values.hpp"

namespace fslens {
namespace {

using test::expect_invalid;
using test::kInfinity;
using test::kNan;

std::shared_ptr<const EmpiricalPrior> atoms(std::vector<double> values) {
  const std::size_t count = values.size();
  return std::make_shared<EmpiricalPrior>(AtomTable(std::move(values), count, 1));
}

std::shared_ptr<const GaussianMixture> two_gaussians() {
  return std::make_shared<GaussianMixture>(Matrix(2, 1, std::vector<double>{-1.0, 1.0}),
                                           std::vector<Matrix>(2, Matrix(1, 1, 0.5)));
}

std::shared_ptr<const Likelihood> measured(ForwardOperatorPtr forward, double y, double sigma = 0.5) {
  const std::size_t m = forward->output_dim();
  return std::make_shared<Likelihood>(std::move(forward), GaussianNoise::scalar(m, sigma), std::vector<double>(m, y));
}

const NoiseSchedule kSchedule = NoiseSchedule::vp_linear();

TEST(FiniteSampleLensInput, RefusesAnOperatorOfAnotherDimension) {
  expect_invalid(
      [] {
        FiniteSampleLens(atoms({0.0, 1.0}), kSchedule, measured(std::make_shared<IdentityOperator>(3), 0.0));
      },
      {"operator", "3", "1"});
}

TEST(FiniteSampleLensInput, RefusesAMeasurementThatNoAtomCanHaveMade) {
  const auto impossible = measured(std::make_shared<IdentityOperator>(1), 1e6, 1e-155);
  expect_invalid(
      [&] {
        FiniteSampleLens(atoms({0.0, 1.0}), kSchedule, impossible);
      },
      {"y", "-inf", "possible", "sigma"});
}

/// Not a number for atoms below 0, as an operator outside its domain gives.
class RootOperator final : public ForwardOperator {
 public:
  std::string name() const override { return "root"; }
  std::size_t input_dim() const override { return 1; }
  std::size_t output_dim() const override { return 1; }
  bool is_affine() const override { return false; }
  void apply(ConstBatchView x, BatchView y) const override {
    for (std::size_t b = 0; b < x.rows(); ++b) y(b, 0) = std::sqrt(x(b, 0));
  }
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override {
    for (std::size_t b = 0; b < x.rows(); ++b) out(b, 0) = 0.5 / std::sqrt(x(b, 0)) * v(b, 0);
  }
};

TEST(FiniteSampleLensInput, RefusesALikelihoodThatIsNotANumberAtAnyAtom) {
  const auto root = measured(std::make_shared<RootOperator>(), 1.0);
  expect_invalid([&] { FiniteSampleLens(atoms({-1.0, 1.0, 2.0}), kSchedule, root); }, {"nan"});
  expect_invalid([&] { FiniteSampleLens(atoms({1.0, -1.0, 2.0}), kSchedule, root); }, {"nan"});
  expect_invalid([&] { FiniteSampleLens(atoms({1.0, 2.0, -1.0}), kSchedule, root); }, {"nan"});
}

TEST(GaussianMixtureLensInput, RefusesOperatorsWithoutAClosedForm) {
  expect_invalid(
      [] { GaussianMixtureLens(two_gaussians(), kSchedule, measured(std::make_shared<SquareOperator>(1), 1.0)); },
      {"operator", "square", "affine", "atoms"});
  expect_invalid(
      [] { GaussianMixtureLens(two_gaussians(), kSchedule, measured(std::make_shared<IdentityOperator>(2), 1.0)); },
      {"operator", "2", "1"});
}

/// What both lenses refuse in the same words.
class LensInput : public testing::TestWithParam<bool> {
 protected:
  std::shared_ptr<const Likelihood> likelihood_ = measured(std::make_shared<IdentityOperator>(1), 0.3);
  std::unique_ptr<Lens> lens_ = make();

  std::unique_ptr<Lens> make() const {
    if (GetParam()) return std::make_unique<FiniteSampleLens>(atoms({-1.0, 1.0}), kSchedule, likelihood_);
    return std::make_unique<GaussianMixtureLens>(two_gaussians(), kSchedule, likelihood_);
  }
};

TEST_P(LensInput, RefusesTimesThatTheScheduleDoesNotHave) {
  const Matrix x(2, 1);
  const RandomStream stream(1);
  for (const double t : {-0.1, 1.0001, kNan, kInfinity}) {
    SCOPED_TRACE(t);
    expect_invalid([&] { lens_->fields(x, t); }, {"t"});
    expect_invalid([&] { lens_->sample(Measure::posterior, 3, t, stream); }, {"t"});
    expect_invalid([&] { lens_->moments(Measure::prior, t); }, {"t"});
  }
  expect_invalid([&] { lens_->fields(x, 0.0); }, {"t"});
}

TEST_P(LensInput, RefusesTimesForDensityModesAndAssignmentToo) {
  const Matrix x(2, 1);
  const ModePartition modes{{0, 1}, {"a", "b"}};
  for (const double t : {0.0, -0.1, 1.0001, kNan, kInfinity}) {
    SCOPED_TRACE(t);
    expect_invalid([&] { lens_->log_prior_density(x, t); }, {"t"});
    expect_invalid([&] { lens_->mode_responsibilities(x, t, modes, Measure::prior); }, {"t"});
    expect_invalid([&] { lens_->assign(x, t); }, {"t"});
  }
}

TEST_P(LensInput, RefusesStatesOfAnotherDimension) {
  const Matrix wide(2, 3);
  const ModePartition modes{{0, 1}, {"a", "b"}};
  expect_invalid([&] { lens_->fields(wide, 0.5); }, {"x", "3", "1"});
  expect_invalid([&] { lens_->log_prior_density(wide, 0.5); }, {"x", "3", "1"});
  expect_invalid([&] { lens_->assign(wide, 0.5); }, {"x", "3", "1"});
  expect_invalid([&] { lens_->mode_responsibilities(wide, 0.5, modes, Measure::posterior); }, {"x", "3", "1"});
}

TEST_P(LensInput, RefusesModesOfOtherComponents) {
  const ModePartition modes{{0, 0, 0}, {"a"}};
  expect_invalid([&] { lens_->mode_responsibilities(Matrix(2, 1), 0.5, modes, Measure::posterior); },
                 {"modes", "3", "2"});
}

INSTANTIATE_TEST_SUITE_P(Lenses, LensInput, testing::Bool(),
                         [](const auto& lens) { return lens.param ? "atoms" : "mixture"; });

}  // namespace
}  // namespace fslens
