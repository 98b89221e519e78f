// The bounds of the finite-sample lens against sums written out in long double from the numbers that the lens was given.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "prior/naive_posterior.hpp"
#include "prior/random_problem.hpp"

namespace fslens {
namespace {

struct Setting {
  Matrix atoms;
  std::shared_ptr<const EmpiricalPrior> prior;
  std::shared_ptr<const Likelihood> likelihood;

  explicit Setting(const RandomProblem& problem) : atoms(problem.atoms), prior(problem.prior), likelihood(problem.likelihood) {}
  /// Atoms of different weights, whose first coordinate is measured.
  Setting(Matrix points, double sigma, double y) : atoms(std::move(points)) {
    const std::size_t d = atoms.cols();
    std::vector<double> weights(atoms.rows());
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 1.0 + 0.3 * static_cast<double>(i % 5);
    prior = std::make_shared<EmpiricalPrior>(
        AtomTable(std::vector<double>(atoms.values().begin(), atoms.values().end()), atoms.rows(), d), weights);
    Matrix first(1, d);
    first(0, 0) = 1.0;
    likelihood = std::make_shared<Likelihood>(std::make_shared<MatrixOperator>(first), GaussianNoise::scalar(1, sigma),
                                              std::vector<double>{y});
  }
  naive::Square rows() const {
    naive::Square out;
    for (std::size_t i = 0; i < atoms.rows(); ++i) out.emplace_back(atoms.row(i).begin(), atoms.row(i).end());
    return out;
  }
};

/// log π_i, and log π_i + ℓ_i − log p(y), of the float64 numbers log π_i and ℓ_i: what the bounds are relative to.
struct ExactWeights {
  naive::Vector prior, posterior;
  naive::Real log_evidence = 0;

  ExactWeights(const Setting& problem, const FiniteSampleLens& lens) {
    const std::vector<double> log_likelihood = problem.likelihood->log_likelihood(problem.atoms);
    for (std::size_t i = 0; i < problem.atoms.rows(); ++i) {
      prior.push_back(lens.log_weights(Measure::prior)[i]);
      posterior.push_back(prior[i] + naive::Real(log_likelihood[i]));
    }
    log_evidence = naive::log_sum_exp(posterior);
    for (naive::Real& value : posterior) value -= log_evidence;
  }
};

naive::Real distance(std::span<const double> got, const naive::Vector& want) {
  naive::Real sum = 0;
  for (std::size_t k = 0; k < want.size(); ++k) sum += (got[k] - want[k]) * (got[k] - want[k]);
  return std::sqrt(sum);
}

naive::Vector score(const naive::Vector& mean, std::span<const double> x, naive::Real a, naive::Real s2, naive::Real shift) {
  naive::Vector out;
  for (std::size_t k = 0; k < mean.size(); ++k) out.push_back((a * mean[k] + shift - x[k]) / s2);
  return out;
}

/// What is left of s‖δscore‖/√d beside a tolerance that is met.
constexpr double kRounding = 1e-10;

void expect_bounded(const Setting& problem, const NoiseSchedule& schedule, double t, const Matrix& x,
                    const AssignmentOptions& options) {
  SCOPED_TRACE(testing::Message() << schedule.name() << " t " << t << " d " << x.cols() << " tolerance " << options.tolerance);
  const FiniteSampleLens lens(problem.prior, schedule, problem.likelihood, options);
  const ExactWeights weights(problem, lens);
  const LensFields got = lens.fields(x, t);
  const naive::Square atoms = problem.rows();
  const naive::Real a = schedule.a(t), s2 = schedule.s2(t), shift = schedule.shift(t);
  for (std::size_t b = 0; b < x.rows(); ++b) {
    SCOPED_TRACE(testing::Message() << "row " << b);
    const naive::Vector state(x.row(b).begin(), x.row(b).end());
    const naive::State prior = naive::atoms_at(atoms, weights.prior, schedule, t, state);
    const naive::State posterior = naive::atoms_at(atoms, weights.posterior, schedule, t, state);
    EXPECT_LE(distance(got.denoiser_mean.row(b), prior.mean), got.denoiser_mean_error[b]);
    EXPECT_LE(std::abs(got.denoiser_variance[b] - naive::trace(prior.covariance)), got.denoiser_variance_error[b]);
    const naive::Vector prior_score = score(prior.mean, x.row(b), a, s2, shift);
    const naive::Vector posterior_score = score(posterior.mean, x.row(b), a, s2, shift);
    EXPECT_LE(distance(got.prior_score.row(b), prior_score), got.prior_score_error[b]);
    EXPECT_LE(std::abs(got.log_prior_density[b] - prior.log_density), got.log_prior_density_error[b]);
    EXPECT_LE(distance(got.posterior_denoiser_mean.row(b), posterior.mean), got.posterior_denoiser_mean_error[b]);
    EXPECT_LE(std::abs(got.posterior_denoiser_variance[b] - naive::trace(posterior.covariance)),
              got.posterior_denoiser_variance_error[b]);
    EXPECT_LE(distance(got.posterior_score.row(b), posterior_score), got.posterior_score_error[b]);
    EXPECT_LE(std::abs(got.log_posterior_density[b] - posterior.log_density), got.log_posterior_density_error[b]);
    naive::Vector likelihood_score;
    for (std::size_t k = 0; k < x.cols(); ++k) likelihood_score.push_back(a / s2 * (posterior.mean[k] - prior.mean[k]));
    EXPECT_LE(distance(got.likelihood_score.row(b), likelihood_score), got.likelihood_score_error[b]);
    EXPECT_LE(std::abs(got.log_likelihood[b] - (posterior.log_density - prior.log_density + weights.log_evidence)),
              got.log_likelihood_error[b]);
    // They say something: s‖δscore‖/√d is what the tolerance is on, and what is left of it is rounding.
    const double unit = schedule.s(t) / std::sqrt(static_cast<double>(x.cols()));
    EXPECT_LE(unit * std::max(got.prior_score_error[b], got.posterior_score_error[b]), options.tolerance + kRounding);
  }
}

TEST(LensFieldErrors, BoundTheDistanceToSumsWrittenOutForEverySchedule) {
  for (const std::size_t dim : {1u, 3u, 8u})
    for (const Measured measured : {Measured::projection, Measured::correlated, Measured::squares}) {
      const RandomProblem problem(53, dim, measured, 100 + dim);
      for (const NoiseSchedule& schedule : every_schedule())
        for (const double log_snr : {9.0, 4.0, 1.0, -1.0, -4.0})
          for (const double tolerance : {kDoubleTolerance, kSingleTolerance, 1e-3})
          {
            const double t = time_of(schedule, log_snr);
            expect_bounded(Setting(problem), schedule, t, problem.states(schedule, t, 9, 77), {tolerance});
          }
    }
}

// More than one block of atoms, and enough of them for every way of computing.
TEST(LensFieldErrors, BoundTheDistanceWithManyAtomsAndWithoutSkipping) {
  const RandomProblem problem(1500, 8, Measured::projection, 5);
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  for (const double log_snr : {6.0, 1.0, -2.0})
    for (const double tolerance : {kDoubleTolerance, kSingleTolerance})
      for (const bool exact_scan : {false, true}) {
        const double t = time_of(schedule, log_snr);
        expect_bounded(Setting(problem), schedule, t, problem.states(schedule, t, 9, 77), {tolerance, exact_scan});
      }
}

/// States of which `offset` is large and the same in every coordinate.
Matrix far_states(std::size_t rows, std::size_t cols, double offset, double scale) {
  const RandomStream stream(3);
  Matrix x(rows, cols);
  for (std::size_t b = 0; b < rows; ++b)
    for (std::size_t k = 0; k < cols; ++k) x(b, k) = offset + scale * stream.normal(0, b, k);
  return x;
}

// The mean of one atom has no error: what is left is forming the score and the density.
TEST(LensFieldErrors, HoldTheRoundingOfTheScoreOfOneAtom) {
  const NoiseSchedule shifted = NoiseSchedule::ou({.sigma = 1.3, .mean = 700.0});
  for (const NoiseSchedule& schedule : {NoiseSchedule::vp_linear(), shifted})
    for (const double t : {0.01, 0.3})
      expect_bounded(Setting(Matrix(1, 3, 1.0 / 3.0), 0.5, 0.1), schedule, t, far_states(200, 3, schedule.a(t) / 3.0 + schedule.shift(t), 0.5),
                     {kDoubleTolerance});
}

// Every ℓ_i is near −5·10⁵ and rounded as a number of that size; the responsibilities are nearly even.
TEST(LensFieldErrors, HoldTheRoundingOfWeightsThatAreFarFromTheData) {
  Matrix atoms(40, 2);
  for (std::size_t i = 0; i < atoms.rows(); ++i) {
    atoms(i, 0) = 1e-7 * static_cast<double>(i % 7);
    atoms(i, 1) = std::cos(static_cast<double>(i));
  }
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  expect_bounded(Setting(atoms, 1e-2, 10.0), schedule, 0.6, far_states(100, 2, 0.0, 1.0), {kDoubleTolerance});
}

// s is 1e-4 where b is near 1 and the atoms near −1.3: x, b and a m are numbers of another size than what is left of them.
TEST(LensFieldErrors, HoldWhereTheScheduleShiftsFarAgainstItsNoise) {
  const NoiseSchedule schedule = NoiseSchedule::ou({.sigma = 1e-2, .mean = 1e4});
  Matrix atoms(40, 2);
  for (std::size_t i = 0; i < atoms.size(); ++i) atoms.values()[i] = -1.3 + 1e-4 * std::cos(static_cast<double>(i));
  const double t = 1e-4;
  expect_bounded(Setting(atoms, 0.5, 0.0), schedule, t, far_states(200, 2, -1.3 * schedule.a(t) + schedule.shift(t), 1e-4),
                 {kDoubleTolerance});
}

// log p(y) is −5·10⁵, and the weights are rounded as numbers of that size.
TEST(LensFieldErrors, KnowTheRoundingOfWeightsThatAreFarFromTheData) {
  const auto prior = std::make_shared<EmpiricalPrior>(AtomTable(std::vector<double>{-0.1, 0.0, 0.1}, 3, 1));
  const auto likelihood = std::make_shared<Likelihood>(std::make_shared<MatrixOperator>(Matrix(1, 1, 1.0)),
                                                       GaussianNoise::scalar(1, 1e-2), std::vector<double>{10.0});
  const LensFields got = FiniteSampleLens(prior, NoiseSchedule::vp_linear(), likelihood).fields(Matrix(1, 1, 0.05), 0.2);
  EXPECT_GT(got.log_posterior_density_error[0], 1e-11);
  EXPECT_LT(got.log_posterior_density_error[0], 1e-8);
  EXPECT_LT(got.log_prior_density_error[0], 1e-12);
}

TEST(LensFieldErrors, AreNotNumbersWhereTheStateIsNone) {
  const RandomProblem problem(53, 3, Measured::projection, 9);
  const FiniteSampleLens lens(problem.prior, NoiseSchedule::vp_linear(), problem.likelihood);
  Matrix x = problem.states(NoiseSchedule::vp_linear(), 0.3, 4, 2);
  x(2, 1) = std::numeric_limits<double>::quiet_NaN();
  const LensFields got = lens.fields(x, 0.3);
  for (const auto* error : {&got.denoiser_mean_error, &got.denoiser_variance_error, &got.prior_score_error,
                            &got.log_prior_density_error, &got.posterior_denoiser_mean_error,
                            &got.posterior_denoiser_variance_error, &got.posterior_score_error,
                            &got.log_posterior_density_error, &got.likelihood_score_error, &got.log_likelihood_error}) {
    ASSERT_EQ(error->size(), 4u);
    for (std::size_t b = 0; b < 4; ++b) EXPECT_EQ(std::isnan((*error)[b]), b == 2) << "row " << b;
  }
}

TEST(LensFieldErrors, AreAbsentWhereNothingIsProven) {
  const auto mixture = std::make_shared<GaussianMixture>(Matrix(1, 1, 0.0), std::vector<Matrix>{Matrix(1, 1, 1.0)});
  const auto likelihood = std::make_shared<Likelihood>(std::make_shared<MatrixOperator>(Matrix(1, 1, 1.0)),
                                                       GaussianNoise::scalar(1, 0.5), std::vector<double>{0.3});
  const LensFields got = GaussianMixtureLens(mixture, NoiseSchedule::vp_linear(), likelihood).fields(Matrix(2, 1), 0.5);
  EXPECT_TRUE(got.denoiser_mean_error.empty() && got.prior_score_error.empty() && got.log_likelihood_error.empty());
}

}  // namespace
}  // namespace fslens
