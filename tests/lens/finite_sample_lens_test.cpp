// The finite-sample lens against sums of Gaussian densities written out in long double.
#include "fslens/lens/finite_sample_lens.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "prior/naive_posterior.hpp"
#include "prior/random_problem.hpp"

namespace fslens {
namespace {

void expect_row_near(std::span<const double> got, const naive::Vector& want, double tolerance, const char* what) {
  double scale = 1.0;
  for (const naive::Real value : want) scale = std::max(scale, static_cast<double>(std::abs(value)));
  for (std::size_t k = 0; k < want.size(); ++k)
    EXPECT_NEAR(got[k], static_cast<double>(want[k]), tolerance * scale) << what << " column " << k;
}
void expect_value_near(double got, naive::Real want, double tolerance, const char* what) {
  expect_row_near(std::span<const double>(&got, 1), {want}, tolerance, what);
}

/// (a/s²)(m − c) with c = 0 for a score's own mean or another mean.
naive::Vector scaled_difference(const naive::Vector& left, const naive::Vector& right, naive::Real factor) {
  naive::Vector out;
  for (std::size_t k = 0; k < left.size(); ++k) out.push_back(factor * (left[k] - right[k]));
  return out;
}

void expect_fields_match(const RandomProblem& problem, const NoiseSchedule& schedule, double t, double asked,
                         double tolerance) {
  SCOPED_TRACE(testing::Message() << schedule.name() << " t " << t << " d " << problem.dim);
  const FiniteSampleLens lens(problem.prior, schedule, problem.likelihood, {asked});
  const Matrix x = problem.states(schedule, t, 9, 77);
  const LensFields got = lens.fields(x, t);
  const auto [log_posterior, log_evidence] = problem.posterior_log_weights();
  const naive::Square atoms = problem.rows();
  const naive::Real a = schedule.a(t), s2 = schedule.s2(t);
  for (std::size_t b = 0; b < x.rows(); ++b) {
    SCOPED_TRACE(testing::Message() << "row " << b);
    naive::Vector state(x.row(b).begin(), x.row(b).end()), pulled;
    for (const naive::Real value : state) pulled.push_back((value - naive::Real(schedule.shift(t))) / a);
    const naive::State prior = naive::atoms_at(atoms, problem.log_weights, schedule, t, state);
    const naive::State posterior = naive::atoms_at(atoms, log_posterior, schedule, t, state);
    expect_value_near(got.log_prior_density[b], prior.log_density, tolerance, "log p_t(x)");
    expect_value_near(got.log_posterior_density[b], posterior.log_density, tolerance, "log p_t(x | y)");
    expect_value_near(got.log_likelihood[b], posterior.log_density - prior.log_density + log_evidence, tolerance,
                      "log p_t(y | x)");
    expect_row_near(got.denoiser_mean.row(b), prior.mean, tolerance, "m");
    expect_row_near(got.posterior_denoiser_mean.row(b), posterior.mean, tolerance, "m given y");
    expect_value_near(got.denoiser_variance[b], naive::trace(prior.covariance), tolerance, "Tr C");
    expect_value_near(got.posterior_denoiser_variance[b], naive::trace(posterior.covariance), tolerance,
                      "Tr C given y");
    expect_row_near(got.prior_score.row(b), scaled_difference(prior.mean, pulled, a / s2), tolerance, "prior score");
    expect_row_near(got.posterior_score.row(b), scaled_difference(posterior.mean, pulled, a / s2), tolerance,
                    "posterior score");
    expect_row_near(got.likelihood_score.row(b), scaled_difference(posterior.mean, prior.mean, a / s2), tolerance,
                    "likelihood score");
  }
}

// From a/s = e^4.5 (nearly clean) to e^{−2} (nearly noise), for every schedule, dimension and kind of measurement.
TEST(FiniteSampleLens, FieldsMatchDensitiesWrittenOutForEverySchedule) {
  for (const std::size_t dim : {1u, 3u, 8u})
    for (const Measured measured : {Measured::projection, Measured::correlated, Measured::squares}) {
      const RandomProblem problem(53, dim, measured, 100 + dim);
      for (const NoiseSchedule& schedule : every_schedule())
        for (const double log_snr : {9.0, 4.0, 1.0, -1.0, -4.0})
          expect_fields_match(problem, schedule, time_of(schedule, log_snr), kDoubleTolerance, 1e-9);
    }
}

TEST(FiniteSampleLens, SinglePrecisionMatchesToOnePartInTenThousand) {
  for (const std::size_t dim : {3u, 8u}) {
    const RandomProblem problem(53, dim, Measured::projection, 200 + dim);
    for (const double log_snr : {4.0, 1.0, -1.0, -4.0})
      expect_fields_match(problem, NoiseSchedule::vp_linear(), time_of(NoiseSchedule::vp_linear(), log_snr),
                          kSingleTolerance, 1e-4);
  }
}

TEST(FiniteSampleLens, EvidenceAndWeightsMatchBruteForceForAnyOperator) {
  for (const Measured measured : {Measured::projection, Measured::correlated, Measured::squares}) {
    const RandomProblem problem(1500, 3, measured, 5);  // more than one block of atoms
    const FiniteSampleLens lens(problem.prior, NoiseSchedule::vp_linear(), problem.likelihood);
    const auto [log_posterior, log_evidence] = problem.posterior_log_weights();
    expect_value_near(lens.log_evidence(), log_evidence, 1e-11, "log evidence");
    naive::Real squares = 0;
    for (std::size_t i = 0; i < problem.count; ++i) {
      if (problem.weights[i] == 0.0)
        EXPECT_EQ(lens.log_weights(Measure::posterior)[i], -std::numeric_limits<double>::infinity());
      else
        expect_value_near(lens.log_weights(Measure::posterior)[i], log_posterior[i], 1e-11, "log weight");
      squares += std::exp(2 * log_posterior[i]);
    }
    EXPECT_NEAR(lens.effective_sample_size(), static_cast<double>(1 / squares),
                1e-9 * static_cast<double>(1 / squares));
  }
}

// The measurement is so sharp that exp(ℓ) is 0 in double precision for every atom, by a factor of e^{−10⁵} and more.
TEST(FiniteSampleLens, WeightsStayExactWhenLikelihoodUnderflowsForEveryAtom) {
  const auto prior = std::make_shared<EmpiricalPrior>(AtomTable(std::vector<double>{-1.0, 0.0, 1.0}, 3, 1));
  const auto likelihood = std::make_shared<Likelihood>(std::make_shared<MatrixOperator>(Matrix(1, 1, 1.0)),
                                                       GaussianNoise::scalar(1, 1e-2), std::vector<double>{10.0});
  const FiniteSampleLens lens(prior, NoiseSchedule::vp_linear(), likelihood);
  // ℓ_i = −(10 − x_i)²/2σ² + const: differences are 0.5·10⁴·(81 − 100), …
  EXPECT_NEAR(lens.log_weights(Measure::posterior)[1] - lens.log_weights(Measure::posterior)[2], -95000.0, 1e-6);
  EXPECT_NEAR(lens.log_weights(Measure::posterior)[0] - lens.log_weights(Measure::posterior)[2], -200000.0, 1e-6);
  // The prior responsibility of the atom that y wants underflows at x = −a, yet the posterior is all there.
  const double t = 0.005;
  const Matrix x(1, 1, -NoiseSchedule::vp_linear().a(t));
  EXPECT_NEAR(lens.fields(x, t).posterior_denoiser_mean(0, 0), 1.0, 1e-12);
  EXPECT_NEAR(lens.fields(x, t).denoiser_mean(0, 0), -1.0, 1e-12);
}

/// ∂ log p/∂x_k by a five-point stencil.
template <class LogDensity>
double slope(const LogDensity& log_density, const Matrix& x, std::size_t b, std::size_t k, double step) {
  double sum = 0.0;
  for (const auto& [offset, weight] : {std::pair{-2.0, 1.0}, {-1.0, -8.0}, {1.0, 8.0}, {2.0, -1.0}}) {
    Matrix moved = x;
    moved(b, k) += offset * step;
    sum += weight * log_density(moved)[b];
  }
  return sum / (12.0 * step);
}

TEST(FiniteSampleLens, ScoresAreGradientsOfTheLogDensities) {
  const RandomProblem problem(40, 3, Measured::squares, 8);
  for (const NoiseSchedule& schedule : every_schedule()) {
    const FiniteSampleLens lens(problem.prior, schedule, problem.likelihood);
    for (const double log_snr : {2.0, 0.0, -3.0}) {
      const double t = time_of(schedule, log_snr);
      SCOPED_TRACE(testing::Message() << schedule.name() << " t " << t);
      const Matrix x = problem.states(schedule, t, 5, 3);
      const LensFields fields = lens.fields(x, t);
      const double step = 3e-3 * schedule.s(t);
      for (std::size_t b = 0; b < x.rows(); ++b)
        for (std::size_t k = 0; k < 3; ++k) {
          // Stencil error ~ step⁴, rounding of the density ~ 1e-11/step: both below 1e-6 of 1/s.
          const double tolerance = 1e-6 * std::max(1.0, 1.0 / schedule.s(t));
          const auto prior = [&](const Matrix& at) { return lens.fields(at, t).log_prior_density; };
          const auto alone = [&](const Matrix& at) { return lens.log_prior_density(at, t); };
          const auto posterior = [&](const Matrix& at) { return lens.fields(at, t).log_posterior_density; };
          const auto likelihood = [&](const Matrix& at) { return lens.fields(at, t).log_likelihood; };
          EXPECT_NEAR(fields.prior_score(b, k), slope(prior, x, b, k, step), tolerance);
          EXPECT_NEAR(fields.prior_score(b, k), slope(alone, x, b, k, step), tolerance);
          EXPECT_NEAR(fields.posterior_score(b, k), slope(posterior, x, b, k, step), tolerance);
          EXPECT_NEAR(fields.likelihood_score(b, k), slope(likelihood, x, b, k, step), tolerance);
        }
    }
  }
}

TEST(FiniteSampleLens, ModeResponsibilitiesAreSumsOfTheAtoms) {
  const RandomProblem problem(53, 3, Measured::projection, 12);
  ModePartition modes{{}, {"a", "b", "c"}};
  for (std::size_t i = 0; i < problem.count; ++i) modes.mode_of_component.push_back(i % 4 == 3 ? 1 : i % 4);
  for (const NoiseSchedule& schedule : every_schedule())
    for (const double log_snr : {8.0, 1.0, -4.0})
      for (const Measure measure : {Measure::prior, Measure::posterior}) {
        const double t = time_of(schedule, log_snr);
        SCOPED_TRACE(testing::Message() << schedule.name() << " t " << t);
        const FiniteSampleLens lens(problem.prior, schedule, problem.likelihood);
        const Matrix x = problem.states(schedule, t, 7, 21);
        const Matrix got = lens.mode_responsibilities(x, t, modes, measure);
        const naive::Vector weights =
            measure == Measure::prior ? problem.log_weights : problem.posterior_log_weights().first;
        for (std::size_t b = 0; b < x.rows(); ++b) {
          const naive::State state =
              naive::atoms_at(problem.rows(), weights, schedule, t, naive::Vector(x.row(b).begin(), x.row(b).end()));
          naive::Vector want(3, 0);
          for (std::size_t i = 0; i < problem.count; ++i) want[modes.mode_of_component[i]] += state.responsibility[i];
          expect_row_near(got.row(b), want, 1e-9, "mode");
          EXPECT_NEAR(std::accumulate(got.row(b).begin(), got.row(b).end(), 0.0), 1.0, 1e-12);
        }
      }
}

TEST(FiniteSampleLens, AssignsEachStateToTheNearestAtomThatHasWeight) {
  for (const NoiseSchedule& schedule : every_schedule())
    for (const std::size_t dim : {1u, 5u}) {
      const RandomProblem problem(90, dim, Measured::projection, 31);
      const FiniteSampleLens lens(problem.prior, schedule, problem.likelihood);
      const double t = time_of(schedule, 0.5);
      const Matrix x = problem.states(schedule, t, 40, 6);
      const std::vector<std::size_t> got = lens.assign(x, t);
      for (std::size_t b = 0; b < x.rows(); ++b) {
        std::size_t nearest = problem.count;
        naive::Real best = std::numeric_limits<naive::Real>::infinity();
        for (std::size_t i = 0; i < problem.count; ++i) {
          naive::Real distance = 0;
          for (std::size_t k = 0; k < dim; ++k)
            distance += std::pow(
                naive::Real(x(b, k)) - schedule.shift(t) - schedule.a(t) * naive::Real(problem.atoms(i, k)), 2);
          if (problem.weights[i] > 0.0 && distance < best) best = distance, nearest = i;
        }
        EXPECT_EQ(got[b], nearest) << schedule.name() << " row " << b;
      }
    }
}

TEST(FiniteSampleLens, TiesGoToTheFirstAtomAndStatesThatAreNotFiniteToNone) {
  const auto prior = std::make_shared<EmpiricalPrior>(AtomTable(std::vector<double>{2.0, -1.0, 1.0, -1.0}, 4, 1));
  const auto likelihood = std::make_shared<Likelihood>(std::make_shared<MatrixOperator>(Matrix(1, 1, 1.0)),
                                                       GaussianNoise::scalar(1, 1.0), std::vector<double>{0.0});
  const FiniteSampleLens lens(prior, NoiseSchedule::ve(), likelihood);
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const Matrix x(6, 1, std::vector<double>{-1.2, 0.0, nan, 1.9, inf, -inf});
  EXPECT_EQ(lens.assign(x, 0.5), (std::vector<std::size_t>{1, 1, 4, 0, 4, 4}));
}

bool same_bits(const LensFields& left, const LensFields& right) {
  return std::ranges::equal(left.prior_score.values(), right.prior_score.values()) &&
         std::ranges::equal(left.posterior_score.values(), right.posterior_score.values()) &&
         left.log_prior_density == right.log_prior_density && left.log_likelihood == right.log_likelihood;
}

TEST(FiniteSampleLens, LeavingWeightsOutIsOneOverN) {
  const RandomProblem problem(53, 3, Measured::squares, 9);
  const auto make = [&](std::span<const double> weights) {
    return FiniteSampleLens(std::make_shared<EmpiricalPrior>(problem.prior->atoms(), weights), NoiseSchedule::flow(),
                            problem.likelihood);
  };
  const FiniteSampleLens implicit = make({}), explicit_ones = make(std::vector<double>(53, 1.0));
  const Matrix x = problem.states(NoiseSchedule::flow(), 0.4, 5, 8);
  EXPECT_TRUE(same_bits(implicit.fields(x, 0.4), explicit_ones.fields(x, 0.4)));
  EXPECT_EQ(implicit.log_evidence(), explicit_ones.log_evidence());
  for (const double log_weight : implicit.log_weights(Measure::prior)) EXPECT_EQ(log_weight, -std::log(53.0));
}

// An atom without weight is as good as absent, even where it is nearest and y was made from it.
TEST(FiniteSampleLens, AnAtomWithoutWeightIsAsGoodAsAbsent) {
  const auto likelihood = std::make_shared<Likelihood>(std::make_shared<MatrixOperator>(Matrix(1, 1, 1.0)),
                                                       GaussianNoise::scalar(1, 0.2), std::vector<double>{0.5});
  const std::vector<double> weights{1.0, 0.0, 3.0};
  const FiniteSampleLens with(
      std::make_shared<EmpiricalPrior>(AtomTable(std::vector<double>{-1.0, 0.5, 2.0}, 3, 1), weights),
      NoiseSchedule::vp_cosine(), likelihood);
  const FiniteSampleLens without(
      std::make_shared<EmpiricalPrior>(AtomTable(std::vector<double>{-1.0, 2.0}, 2, 1), std::vector<double>{1.0, 3.0}),
      NoiseSchedule::vp_cosine(), likelihood);
  EXPECT_NEAR(with.log_evidence(), without.log_evidence(), 1e-13);
  EXPECT_NEAR(with.effective_sample_size(), without.effective_sample_size(), 1e-13);
  const Matrix x(3, 1, std::vector<double>{-0.7, 0.5, 1.1});
  for (const double t : {0.05, 0.5, 0.95}) {
    const LensFields got = with.fields(x, t), want = without.fields(x, t);
    for (std::size_t b = 0; b < 3; ++b) {
      EXPECT_NEAR(got.posterior_denoiser_mean(b, 0), want.posterior_denoiser_mean(b, 0), 1e-11);
      EXPECT_NEAR(got.log_prior_density[b], want.log_prior_density[b], 1e-11 * std::abs(want.log_prior_density[b]));
    }
  }
  for (const Measure measure : {Measure::prior, Measure::posterior}) {
    EXPECT_NEAR(with.moments(measure, 0.3).covariance(0, 0), without.moments(measure, 0.3).covariance(0, 0), 1e-13);
    for (const std::size_t atom : with.sample(measure, 2000, 0.0, RandomStream(1)).component) EXPECT_NE(atom, 1u);
  }
}

TEST(FiniteSampleLens, ARowThatIsNotFiniteSpoilsThatRowOnly) {
  const RandomProblem problem(53, 3, Measured::projection, 9);
  const FiniteSampleLens lens(problem.prior, NoiseSchedule::vp_linear(), problem.likelihood);
  Matrix x = problem.states(NoiseSchedule::vp_linear(), 0.3, 6, 2);
  const LensFields clean = lens.fields(x, 0.3);
  x(2, 1) = std::numeric_limits<double>::quiet_NaN();
  const LensFields spoiled = lens.fields(x, 0.3);
  for (std::size_t b = 0; b < x.rows(); ++b) {
    if (b == 2) {
      EXPECT_TRUE(std::isnan(spoiled.log_prior_density[b]) && std::isnan(spoiled.log_posterior_density[b]) &&
                  std::isnan(spoiled.log_likelihood[b]) && std::isnan(spoiled.denoiser_variance[b]));
      for (const double value : spoiled.likelihood_score.row(b)) EXPECT_TRUE(std::isnan(value));
      continue;
    }
    EXPECT_EQ(spoiled.log_likelihood[b], clean.log_likelihood[b]);
    EXPECT_TRUE(std::ranges::equal(spoiled.posterior_score.row(b), clean.posterior_score.row(b)));
  }
}

}  // namespace
}  // namespace fslens
