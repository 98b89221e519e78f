// The smoothed lens against the analytic mixture of the same components, and against the raw lens as its kernel shrinks.
#include "fslens/lens/smoothed_lens.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "fslens/operators/elementwise.hpp"
#include "fslens/operators/matrix.hpp"
#include "prior/random_problem.hpp"
#include "support/expect_invalid.hpp"
#include "support/random_batch.hpp"

namespace fslens {
namespace {

using test::random_batch;

constexpr std::size_t kAtoms = 40;

/// Atoms, weights and a measurement of them with m rows.
struct Case {
  std::size_t dim, rows;
  KernelShape shape;
  double bandwidth;
  double sigma;
};

struct SmoothedCase {
  std::shared_ptr<const EmpiricalPrior> atoms;
  SmoothingKernel kernel;
  std::shared_ptr<const Likelihood> likelihood;
  std::shared_ptr<const GaussianMixture> mixture;

  explicit SmoothedCase(const Case& c) {
    const Matrix values = random_batch(kAtoms, c.dim, 17 + c.dim);
    std::vector<double> weights(kAtoms), numbers(values.values().begin(), values.values().end());
    for (std::size_t i = 0; i < kAtoms; ++i) {
      weights[i] = 1.0 + static_cast<double>(i % 5);
      for (std::size_t k = 0; k < c.dim; ++k) numbers[i * c.dim + k] *= 0.3 + static_cast<double>(k % 3);  // an anisotropic cloud
    }
    atoms = std::make_shared<EmpiricalPrior>(AtomTable(numbers, kAtoms, c.dim), weights);
    kernel = smoothing_kernel(*atoms, c.shape, c.bandwidth);
    const Matrix matrix = random_batch(c.rows, c.dim, 3);
    std::vector<double> sigmas(c.rows), bias(c.rows), y(c.rows);
    for (std::size_t j = 0; j < c.rows; ++j) {
      sigmas[j] = c.sigma * (1.0 + 0.2 * static_cast<double>(j));
      bias[j] = 0.1 * static_cast<double>(j) - 0.2;
      y[j] = 0.4 - 0.3 * static_cast<double>(j);
    }
    likelihood = std::make_shared<Likelihood>(std::make_shared<MatrixOperator>(matrix, bias), GaussianNoise::per_component(sigmas), y);
    Matrix covariance(c.dim, c.dim);
    for (std::size_t i = 0; i < c.dim; ++i)
      for (std::size_t j = 0; j < c.dim; ++j)
        covariance(i, j) = c.bandwidth * c.bandwidth * (kernel.covariance.empty() ? (i == j ? 1.0 : 0.0) : kernel.covariance(i, j));
    mixture = std::make_shared<GaussianMixture>(Matrix(kAtoms, c.dim, numbers), std::vector<Matrix>(kAtoms, covariance), weights);
  }
  SmoothedLens smoothed(const NoiseSchedule& schedule) const { return {atoms, kernel, schedule, likelihood}; }
  GaussianMixtureLens analytic(const NoiseSchedule& schedule) const { return {mixture, schedule, likelihood}; }
};

const Case kCases[] = {{1, 1, KernelShape::isotropic, 0.3, 0.2},  {2, 1, KernelShape::isotropic, 0.3, 0.5},
                       {4, 2, KernelShape::isotropic, 0.5, 0.01}, {3, 5, KernelShape::isotropic, 0.4, 0.3},
                       {2, 1, KernelShape::covariance, 0.3, 0.5}, {4, 2, KernelShape::covariance, 0.6, 0.01},
                       {3, 5, KernelShape::covariance, 0.4, 0.3}};

void expect_close(std::span<const double> got, std::span<const double> want, const char* what) {
  double scale = 1.0;
  for (const double value : want) scale = std::max(scale, std::abs(value));
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t k = 0; k < want.size(); ++k) EXPECT_NEAR(got[k], want[k], 1e-9 * scale) << what << " " << k;
}

/// States where prior and posterior live, and some far from both.
Matrix states(const Lens& lens, double t) {
  Matrix x = lens.sample(Measure::prior, 12, t, RandomStream(4)).x;
  const Matrix posterior = lens.sample(Measure::posterior, 6, t, RandomStream(5)).x;
  for (std::size_t b = 0; b < 6; ++b) std::ranges::copy(posterior.row(b), x.row(b).begin());
  for (double& value : x.row(11)) value *= 6.0;
  return x;
}

TEST(SmoothedLens, EqualsTheAnalyticMixtureOfTheSameComponents) {
  for (const Case& c : kCases) {
    const SmoothedCase problem(c);
    for (const NoiseSchedule& schedule : {NoiseSchedule::vp_linear(), NoiseSchedule::ve(), NoiseSchedule::ou({.sigma = 1.1, .mean = 0.7})}) {
      const SmoothedLens smoothed = problem.smoothed(schedule);
      const GaussianMixtureLens analytic = problem.analytic(schedule);
      SCOPED_TRACE(testing::Message() << "d " << c.dim << " m " << c.rows << " " << to_string(c.shape) << " " << schedule.name());
      EXPECT_NEAR(smoothed.log_evidence(), analytic.log_evidence(), 1e-9);
      expect_close(smoothed.log_weights(Measure::posterior), analytic.log_weights(Measure::posterior), "log weights");
      for (const double t : {0.01, 0.1, 0.4, 1.0}) {
        const Matrix x = states(analytic, t);
        const LensFields got = smoothed.fields(x, t), want = analytic.fields(x, t);
        expect_close(got.denoiser_mean.values(), want.denoiser_mean.values(), "mean");
        expect_close(got.posterior_denoiser_mean.values(), want.posterior_denoiser_mean.values(), "posterior mean");
        expect_close(got.denoiser_variance, want.denoiser_variance, "variance");
        expect_close(got.posterior_denoiser_variance, want.posterior_denoiser_variance, "posterior variance");
        expect_close(got.log_prior_density, want.log_prior_density, "log density");
        expect_close(got.log_posterior_density, want.log_posterior_density, "posterior log density");
        expect_close(got.log_likelihood, want.log_likelihood, "log likelihood");
        expect_close(got.prior_score.values(), want.prior_score.values(), "prior score");
        expect_close(got.posterior_score.values(), want.posterior_score.values(), "posterior score");
        expect_close(got.likelihood_score.values(), want.likelihood_score.values(), "likelihood score");
        expect_close(smoothed.log_prior_density(x, t), want.log_prior_density, "log prior density");
      }
    }
  }
}

TEST(SmoothedLens, ModesMomentsAndDenoisersEqualTheAnalyticOnes) {
  for (const Case& c : kCases) {
    const SmoothedCase problem(c);
    const NoiseSchedule schedule = NoiseSchedule::vp_linear();
    const SmoothedLens smoothed = problem.smoothed(schedule);
    const GaussianMixtureLens analytic = problem.analytic(schedule);
    ModePartition modes{{}, {"a", "b", "c"}};
    for (std::size_t i = 0; i < kAtoms; ++i) modes.mode_of_component.push_back(i % 3);
    SCOPED_TRACE(testing::Message() << "d " << c.dim << " m " << c.rows << " " << to_string(c.shape));
    for (const Measure measure : {Measure::prior, Measure::posterior}) {
      for (const double t : {0.0, 0.2}) {
        const Moments got = smoothed.moments(measure, t), want = analytic.moments(measure, t);
        expect_close(got.mean, want.mean, "mean");
        expect_close(got.covariance.values(), want.covariance.values(), "covariance");
      }
      for (const double t : {0.02, 0.5}) {
        const Matrix x = states(analytic, t);
        expect_close(smoothed.mode_responsibilities(x, t, modes, measure).values(),
                     analytic.mode_responsibilities(x, t, modes, measure).values(), "modes");
        const auto ours = smoothed.denoiser(measure), theirs = analytic.denoiser(measure);
        Matrix mean(x.rows(), c.dim), expected_mean(x.rows(), c.dim), product(x.rows(), c.dim), expected(x.rows(), c.dim);
        ours->denoise(x, t, mean);
        theirs->denoise(x, t, expected_mean);
        expect_close(mean.values(), expected_mean.values(), "denoiser mean");
        const Matrix v = random_batch(x.rows(), c.dim, 9), projection = random_batch(2, c.dim, 10);
        ours->covariance_product(x, t, mean, v, product);
        theirs->covariance_product(x, t, expected_mean, v, expected);
        expect_close(product.values(), expected.values(), "C v");
        Matrix projected(x.rows(), 4), expected_projected(x.rows(), 4);
        ours->projected_covariance(x, t, mean, projection, projected);
        theirs->projected_covariance(x, t, expected_mean, projection, expected_projected);
        expect_close(projected.values(), expected_projected.values(), "P C P'");
        const auto tilt = [](std::span<const std::size_t> rows, ConstBatchView means, ConstBatchView covariances, BatchView tilts) {
          for (std::size_t b = 0; b < rows.size(); ++b)
            for (std::size_t j = 0; j < 2; ++j) tilts(b, j) = 0.3 - means(b, j) + covariances(b, 2 * j);
        };
        ours->guided_mean(x, t, projection, true, tilt, mean);
        theirs->guided_mean(x, t, projection, true, tilt, expected_mean);
        expect_close(mean.values(), expected_mean.values(), "guided mean");
      }
    }
  }
}

/// The kernel's own scale is what is left of the difference: h² times a curvature.
TEST(SmoothedLens, BecomesTheRawLensAsTheKernelShrinks) {
  for (const KernelShape shape : {KernelShape::isotropic, KernelShape::covariance}) {
    const SmoothedCase problem({3, 2, shape, 1e-7, 0.4});
    const NoiseSchedule schedule = NoiseSchedule::vp_linear();
    const SmoothedLens smoothed = problem.smoothed(schedule);
    const FiniteSampleLens raw(problem.atoms, schedule, problem.likelihood);
    EXPECT_NEAR(smoothed.log_evidence(), raw.log_evidence(), 1e-9);
    EXPECT_NEAR(smoothed.effective_sample_size(), raw.effective_sample_size(), 1e-8);
    for (const double t : {0.05, 0.3, 1.0}) {
      const Matrix x = states(raw, t);
      const LensFields got = smoothed.fields(x, t), want = raw.fields(x, t);
      expect_close(got.denoiser_mean.values(), want.denoiser_mean.values(), "mean");
      expect_close(got.posterior_denoiser_mean.values(), want.posterior_denoiser_mean.values(), "posterior mean");
      expect_close(got.log_prior_density, want.log_prior_density, "log density");
      expect_close(got.log_posterior_density, want.log_posterior_density, "posterior log density");
      expect_close(got.posterior_score.values(), want.posterior_score.values(), "posterior score");
    }
  }
}

/// Moments of 40,000 draws within 5 standard errors: one false alarm in 1e6 for each of the 2 × (4 + 16) numbers.
TEST(SmoothedLens, DrawsHaveTheExactMoments) {
  for (const KernelShape shape : {KernelShape::isotropic, KernelShape::covariance}) {
    const SmoothedCase problem({4, 2, shape, 0.5, 0.3});
    const SmoothedLens lens = problem.smoothed(NoiseSchedule::vp_linear());
    constexpr std::size_t kDraws = 40000;
    const Matrix x = lens.sample(Measure::posterior, kDraws, 0.1, RandomStream(21)).x;
    const Moments exact = lens.moments(Measure::posterior, 0.1);
    for (std::size_t i = 0; i < 4; ++i) {
      double mean = 0.0;
      for (std::size_t b = 0; b < kDraws; ++b) mean += x(b, i) / kDraws;
      EXPECT_NEAR(mean, exact.mean[i], 5.0 * std::sqrt(exact.covariance(i, i) / kDraws));
      for (std::size_t j = 0; j < 4; ++j) {
        double sum = 0.0, square = 0.0;
        for (std::size_t b = 0; b < kDraws; ++b) {
          const double product = (x(b, i) - exact.mean[i]) * (x(b, j) - exact.mean[j]);
          sum += product / kDraws;
          square += product * product / kDraws;
        }
        EXPECT_NEAR(sum, exact.covariance(i, j), 5.0 * std::sqrt((square - sum * sum) / kDraws));
      }
    }
  }
}

TEST(SmoothedLens, AnAtomThatIsLeftOutIsNotThere) {
  const SmoothedCase problem({2, 1, KernelShape::isotropic, 0.3, 0.5});
  const SmoothedLens lens = problem.smoothed(NoiseSchedule::vp_linear());
  const auto without = lens.remeasured(problem.likelihood, 5);
  EXPECT_EQ(std::exp(without->log_weights(Measure::prior)[5]), 0.0);
  EXPECT_EQ(std::exp(without->log_weights(Measure::posterior)[5]), 0.0);
  EXPECT_NE(without->log_evidence(), lens.log_evidence());
}

TEST(SmoothedLens, RefusesAnOperatorWithoutAClosedForm) {
  const SmoothedCase problem({2, 1, KernelShape::isotropic, 0.3, 0.5});
  const auto square = std::make_shared<Likelihood>(std::make_shared<SquareOperator>(2), GaussianNoise::scalar(2, 0.5), std::vector<double>{1.0, 1.0});
  test::expect_invalid([&] { SmoothedLens(problem.atoms, problem.kernel, NoiseSchedule::vp_linear(), square); }, {"operator", "affine"});
}

/// The jittered atoms are draws of the smoothed prior: their lens agrees with it as copies grow, here to the standard errors of 40 × 500.
TEST(SmoothedLens, JitteredAtomsStandForTheKernel) {
  const SmoothedCase problem({2, 1, KernelShape::covariance, 0.4, 0.5});
  const SmoothedLens lens = problem.smoothed(NoiseSchedule::vp_linear());
  const auto copies = jittered(*problem.atoms, problem.kernel, 500, RandomStream(3));
  ASSERT_EQ(copies->num_atoms(), kAtoms * 500);
  const FiniteSampleLens sampled(copies, lens.schedule(), problem.likelihood);
  EXPECT_NEAR(sampled.log_evidence(), lens.log_evidence(), 0.05);
  const Moments got = sampled.moments(Measure::posterior, 0.0), want = lens.moments(Measure::posterior, 0.0);
  for (std::size_t k = 0; k < 2; ++k) EXPECT_NEAR(got.mean[k], want.mean[k], 0.05 * std::sqrt(want.covariance(k, k)));
  for (std::size_t k = 0; k < 2; ++k) EXPECT_NEAR(got.covariance(k, k) / want.covariance(k, k), 1.0, 0.1);
  // Copies leave together.
  const EmpiricalPrior without = copies->without(1234);
  for (std::size_t j = 0; j < copies->num_atoms(); ++j) EXPECT_EQ(std::isinf(without.log_weights()[j]), j / 500 == 1234 / 500);
}

}  // namespace
}  // namespace fslens
