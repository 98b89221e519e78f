// What priors, mixtures and modes refuse, and whether the message says why.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "fslens/prior/empirical_prior.hpp"
#include "fslens/prior/gaussian_mixture.hpp"
#include "fslens/prior/modes.hpp"
#include "support/expect_invalid.hpp"
#include "support/special_values.hpp"

namespace fslens {
namespace {

using test::expect_invalid;
using test::kInfinity;
using test::kNan;

AtomTable three_atoms() { return AtomTable(std::vector<double>{-1.0, 0.0, 1.0}, 3, 1); }

Matrix identity(std::size_t d) {
  Matrix out(d, d);
  for (std::size_t k = 0; k < d; ++k) out(k, k) = 1.0;
  return out;
}

TEST(EmpiricalPriorInput, RefusesWeightsThatAreNoDistribution) {
  const auto make = [](std::vector<double> weights) { return EmpiricalPrior(three_atoms(), weights); };
  expect_invalid([&] { make({0.5, 0.5}); }, {"weights", "2", "3"});
  expect_invalid([&] { make({0.5, 0.5, 0.0, 0.0}); }, {"weights", "4", "3"});
  expect_invalid([&] { make({0.5, -0.1, 0.6}); }, {"weights[1]", "-0.1", ">= 0"});
  expect_invalid([&] { make({0.5, 0.5, kNan}); }, {"weights[2]", "nan"});
  expect_invalid([&] { make({kInfinity, 0.5, 0.5}); }, {"weights[0]", "inf"});
  expect_invalid([&] { make({0.0, 0.0, 0.0}); }, {"weights", "positive sum"});
}

TEST(EmpiricalPriorInput, RefusesLabelsThatAreNotOneAnAtom) {
  expect_invalid([] { EmpiricalPrior(three_atoms(), {}, {1, 2}); }, {"labels", "2", "3"});
}

TEST(EmpiricalPriorInput, RefusesAtomsThatAreMissingOrNotFinite) {
  expect_invalid([] { AtomTable(std::vector<double>{}, 0, 2); }, {"atoms", "at least one atom"});
  expect_invalid([] { AtomTable(std::vector<double>{}, 2, 0); }, {"atoms", "dimension"});
  expect_invalid([] { AtomTable(std::vector<double>(5), 2, 3); }, {"atoms", "5", "6"});
  expect_invalid([] { AtomTable(std::vector<double>{1.0, kNan}, 2, 1); }, {"atoms[1][0]", "finite"});
  expect_invalid(
      [] {
        AtomTable(std::vector<float>{1.0f, 2.0f, static_cast<float>(kInfinity), 0.0f}, 2, 2);
      },
      {"atoms[1][0]", "finite"});
}

TEST(EmpiricalDenoiserInput, RefusesWrongShapesAndTimes) {
  const auto prior = std::make_shared<EmpiricalPrior>(three_atoms());
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  expect_invalid([&] { EmpiricalDenoiser(prior, schedule, {kDoubleTolerance}, {0.0, 0.0}); }, {"log_weights", "2", "3"});
  const EmpiricalDenoiser denoiser(prior, schedule, {kDoubleTolerance});
  Matrix mean(2, 1), product(2, 1), wide(2, 2);
  const Matrix x(2, 1);
  expect_invalid([&] { denoiser.denoise(wide, 0.5, mean); }, {"x", "2", "1"});
  for (const double t : {0.0, -0.1, 1.5, kNan, kInfinity}) {
    expect_invalid([&] { denoiser.denoise(x, t, mean); }, {"t"});
    expect_invalid([&] { denoiser.covariance_product(x, t, mean, x, product); }, {"t"});
    expect_invalid([&] { denoiser.projected_covariance(x, t, mean, identity(1), product); }, {"t"});
  }
  expect_invalid([&] { denoiser.covariance_product(x, 0.5, mean, Matrix(1, 1), product); }, {"direction"});
  expect_invalid([&] { denoiser.covariance_product(x, 0.5, Matrix(1, 1), x, product); }, {"direction_mean"});
}

TEST(EmpiricalDenoiserInput, OptionsReachTheSoftAssignment) {
  const AtomTable atoms = three_atoms();
  Matrix shifted;
  const SoftAssignmentRequest request =
      assignment_request(atoms, NoiseSchedule::vp_linear(), Matrix(1, 1), 0.5, {.tolerance = 1e-3, .exact_scan = true}, shifted);
  EXPECT_EQ(request.tolerance, 1e-3);
  EXPECT_TRUE(request.exact_scan);
  const auto prior = std::make_shared<EmpiricalPrior>(atoms);
  Matrix mean(1, 1);
  expect_invalid([&] { EmpiricalDenoiser(prior, NoiseSchedule::vp_linear(), {0.0}).denoise(Matrix(1, 1), 0.5, mean); },
                 {"tolerance", "0"});
}

TEST(GaussianMixtureInput, RefusesMeansAndCovariancesThatDisagree) {
  expect_invalid([] { GaussianMixture(Matrix(0, 2), {}); }, {"means", "empty"});
  expect_invalid([] { GaussianMixture(Matrix(2, 0), {Matrix(), Matrix()}); }, {"means", "empty"});
  expect_invalid([] { GaussianMixture(Matrix(1, 1, kNan), {identity(1)}); }, {"means", "finite"});
  expect_invalid([] { GaussianMixture(Matrix(2, 2), {identity(2)}); }, {"covs", "1", "2"});
  expect_invalid([] { GaussianMixture(Matrix(2, 2), {identity(2), identity(3)}); }, {"covs[1]", "rows"});
  expect_invalid([] { GaussianMixture(Matrix(1, 2), {Matrix(2, 3)}); }, {"covs[0]", "columns"});
}

TEST(GaussianMixtureInput, RefusesMatricesThatAreNoCovariances) {
  const auto make = [](std::vector<double> values) {
    GaussianMixture(Matrix(1, 2), {Matrix(2, 2, std::move(values))});
  };
  expect_invalid([&] { make({1.0, kInfinity, kInfinity, 1.0}); }, {"covs[0]", "finite"});
  expect_invalid([&] { make({1.0, 0.5, 0.4, 1.0}); }, {"covs[0]", "symmetric"});
  expect_invalid([&] { make({1.0, 2.0, 2.0, 1.0}); }, {"covs[0]", "positive definite", "eigenvalue"});
  expect_invalid([&] { make({1.0, 0.0, 0.0, 0.0}); }, {"covs[0]", "positive definite"});
}

TEST(GaussianMixtureInput, RefusesWeightsThatAreNoDistribution) {
  const auto make = [](std::vector<double> weights) {
    GaussianMixture(Matrix(2, 1), {identity(1), identity(1)}, weights);
  };
  expect_invalid([&] { make({1.0}); }, {"weights", "1", "2"});
  expect_invalid([&] { make({1.0, -1.0}); }, {"weights[1]", ">= 0"});
  expect_invalid([&] { make({kNan, 1.0}); }, {"weights[0]", "nan"});
  expect_invalid([&] { make({0.0, 0.0}); }, {"weights", "positive sum"});
}

TEST(GaussianMixtureInput, RefusesStatesOperatorsAndTimesThatDoNotFit) {
  const auto mixture = std::make_shared<GaussianMixture>(Matrix(1, 2), std::vector<Matrix>{identity(2)});
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  expect_invalid([&] { mixture->fields(schedule, Matrix(4, 3), 0.5); }, {"x", "3", "2"});
  expect_invalid(
      [&] { condition(*mixture, Matrix(1, 3), std::vector<double>(1), identity(1), std::vector<double>(1)); },
      {"operator", "3", "2"});
  const GaussianMixtureDenoiser denoiser(mixture, schedule);
  const Matrix x(4, 2);
  Matrix mean(4, 2), product(4, 2);
  for (const double t : {0.0, -1.0, 1.01, kNan}) {
    expect_invalid([&] { denoiser.denoise(x, t, mean); }, {"t"});
    expect_invalid([&] { denoiser.covariance_product(x, t, mean, x, product); }, {"t"});
    expect_invalid([&] { mixture->denoiser_covariance(schedule, x, t); }, {"t"});
  }
}

TEST(GaussianMixtureInput, RefusesAMeasurementThatNoComponentCanHaveMade) {
  const GaussianMixture mixture(Matrix(1, 1), {identity(1)});
  expect_invalid(
      [&] { condition(mixture, identity(1), std::vector<double>(1), identity(1), std::vector<double>{1e200}); },
      {"y = ", "-inf", "possible"});
}

TEST(MeanShiftInput, RefusesABadTimeAndSaysWhenItDidNotSettle) {
  const auto prior = std::make_shared<EmpiricalPrior>(three_atoms());
  const EmpiricalDenoiser denoiser(prior, NoiseSchedule::vp_linear(), {kDoubleTolerance});
  const Matrix atoms(3, 1, std::vector<double>{-1.0, 0.0, 1.0});
  SilentObserver observer;
  expect_invalid([&] { modes_by_mean_shift(denoiser, atoms, {.t = 2.0}, observer); }, {"modes.t", "2"});
  expect_invalid([&] { modes_by_mean_shift(denoiser, atoms, {.t = 0.0}, observer); }, {"modes.t", "0"});
  expect_invalid([&] { modes_by_mean_shift(denoiser, atoms, {.t = 0.5, .max_iterations = 2}, observer); },
                 {"modes.t", "settle", "2 iterations"});
}

}  // namespace
}  // namespace fslens
