// The exact denoiser of atoms: Jacobian, projections and precisions.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "fslens/core/parallel.hpp"
#include "fslens/prior/empirical_prior.hpp"
#include "prior/random_problem.hpp"

namespace fslens {
namespace {

Matrix normals(std::size_t rows, std::size_t cols, std::uint64_t seed) {
  Matrix out(rows, cols);
  RandomStream(seed).fill_normal(0, out);
  return out;
}

Matrix denoise(const Denoiser& denoiser, const Matrix& x, double t) {
  Matrix mean(x.rows(), x.cols());
  denoiser.denoise(x, t, mean);
  return mean;
}

void expect_near(const Matrix& got, const Matrix& want, double tolerance, const char* what) {
  ASSERT_EQ(got.rows(), want.rows());
  for (std::size_t b = 0; b < want.rows(); ++b)
    for (std::size_t k = 0; k < want.cols(); ++k)
      EXPECT_NEAR(got(b, k), want(b, k), tolerance) << what << " row " << b << " column " << k;
}

TEST(EmpiricalDenoiser, MeanAndCovarianceMatchSumsWrittenOut) {
  const RandomProblem problem(53, 4, Measured::squares, 3);
  for (const NoiseSchedule& schedule : every_schedule()) {
    const EmpiricalDenoiser denoiser(problem.prior, schedule, {kDoubleTolerance});
    for (const double log_snr : {9.0, 3.0, 0.0, -3.0}) {
      const double t = time_of(schedule, log_snr);
      SCOPED_TRACE(testing::Message() << schedule.name() << " t " << t);
      const Matrix x = problem.states(schedule, t, 6, 4), v = normals(6, 4, 5);
      const Matrix mean = denoise(denoiser, x, t);
      Matrix product(6, 4);
      denoiser.covariance_product(x, t, mean, v, product);
      for (std::size_t b = 0; b < 6; ++b) {
        const naive::State want = naive::atoms_at(problem.rows(), problem.log_weights, schedule, t,
                                                  naive::Vector(x.row(b).begin(), x.row(b).end()));
        for (std::size_t i = 0; i < 4; ++i) {
          naive::Real along = 0;
          for (std::size_t j = 0; j < 4; ++j) along += want.covariance[i][j] * naive::Real(v(b, j));
          EXPECT_NEAR(mean(b, i), static_cast<double>(want.mean[i]), 1e-9);
          EXPECT_NEAR(product(b, i), static_cast<double>(along), 1e-9);
        }
      }
    }
  }
}

// J v = (a/s²) C v, with J v from a five-point stencil of the denoiser itself.
TEST(EmpiricalDenoiser, CovarianceProductIsTheJacobianOfTheDenoiser) {
  const RandomProblem problem(40, 3, Measured::squares, 6);
  for (const NoiseSchedule& schedule : every_schedule()) {
    const EmpiricalDenoiser denoiser(problem.prior, schedule, {kDoubleTolerance});
    for (const double log_snr : {2.0, 0.0, -3.0}) {
      const double t = time_of(schedule, log_snr);
      SCOPED_TRACE(testing::Message() << schedule.name() << " t " << t);
      const Matrix x = problem.states(schedule, t, 5, 7), v = normals(5, 3, 8);
      Matrix product(5, 3), slope(5, 3);
      denoiser.covariance_product(x, t, denoise(denoiser, x, t), v, product);
      const double step = 1e-3 * schedule.s(t);
      for (const auto& [offset, weight] : {std::pair{-2.0, 1.0}, {-1.0, -8.0}, {1.0, 8.0}, {2.0, -1.0}}) {
        Matrix moved = x;
        for (std::size_t i = 0; i < x.size(); ++i) moved.values()[i] += offset * step * v.values()[i];
        const Matrix mean = denoise(denoiser, moved, t);
        for (std::size_t i = 0; i < x.size(); ++i) slope.values()[i] += weight * mean.values()[i] / (12.0 * step);
      }
      for (double& value : slope.values()) value *= schedule.s2(t) / schedule.a(t);
      expect_near(product, slope, 1e-7, "C v");
    }
  }
}

RC_GTEST_PROP(EmpiricalDenoiser, ProjectedCovarianceIsTheOneByCovarianceProducts, ()) {
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 10000);
  const auto dim = *rc::gen::inRange<std::size_t>(1, 7);
  const auto rows = *rc::gen::inRange<std::size_t>(1, 5);
  const RandomProblem problem(30, dim, Measured::squares, seed);
  const NoiseSchedule schedule = NoiseSchedule::ou({.sigma = 0.8, .mean = -0.4});
  const double t = time_of(schedule, *rc::gen::element(8.0, 3.0, 0.0, -3.0));
  const EmpiricalDenoiser denoiser(problem.prior, schedule, {kDoubleTolerance});
  const Matrix x = problem.states(schedule, t, 4, seed), projection = normals(rows, dim, seed + 1);
  const Matrix mean = denoise(denoiser, x, t);
  Matrix fast(4, rows * rows), plain(4, rows * rows);
  denoiser.projected_covariance(x, t, mean, projection, fast);
  denoiser.Denoiser::projected_covariance(x, t, mean, projection, plain);
  double scale = 1.0;
  for (const double value : projection.values()) scale += value * value * problem.prior->atoms().radius();
  for (std::size_t i = 0; i < fast.size(); ++i)
    RC_ASSERT(std::abs(fast.values()[i] - plain.values()[i]) <= 1e-10 * scale * problem.prior->atoms().radius());
  for (std::size_t b = 0; b < 4; ++b)
    for (std::size_t j = 0; j < rows; ++j)
      for (std::size_t l = 0; l < rows; ++l) RC_ASSERT(fast(b, j * rows + l) == fast(b, l * rows + j));
}

TEST(EmpiricalDenoiser, SinglePrecisionAgreesToOnePartInTenThousand) {
  const RandomProblem problem(200, 8, Measured::squares, 14);
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  const EmpiricalDenoiser exact(problem.prior, schedule, {kDoubleTolerance});
  const EmpiricalDenoiser fast(problem.prior, schedule, {kSingleTolerance});
  const double radius = problem.prior->atoms().radius();
  bool differ = false;
  for (const double log_snr : {6.0, 2.0, 0.0, -4.0}) {
    const double t = time_of(schedule, log_snr);
    const Matrix x = problem.states(schedule, t, 20, 3), v = normals(20, 8, 4);
    const Matrix mean = denoise(exact, x, t), rounded = denoise(fast, x, t);
    expect_near(rounded, mean, 1e-4 * radius, "m");
    differ = differ || !std::ranges::equal(rounded.values(), mean.values());
    Matrix want(20, 8), got(20, 8);
    exact.covariance_product(x, t, mean, v, want);
    fast.covariance_product(x, t, mean, v, got);
    expect_near(got, want, 1e-4 * radius * radius * 8.0, "C v");
  }
  EXPECT_TRUE(differ) << "float32 was asked for and never used";
}

TEST(EmpiricalDenoiser, GivenLogWeightsReplaceThePriors) {
  const RandomProblem problem(20, 2, Measured::squares, 14);
  std::vector<double> log_weights(20, -std::numeric_limits<double>::infinity());
  log_weights[5] = 3.0;  // needs no normalisation
  const EmpiricalDenoiser denoiser(problem.prior, NoiseSchedule::flow(), {kDoubleTolerance}, log_weights);
  const Matrix mean = denoise(denoiser, problem.states(NoiseSchedule::flow(), 0.5, 3, 1), 0.5);
  for (std::size_t b = 0; b < 3; ++b)
    for (std::size_t k = 0; k < 2; ++k) EXPECT_NEAR(mean(b, k), problem.atoms(5, k), 1e-13);
}

TEST(EmpiricalDenoiser, WritesIntoViewsWhoseRowsAreApart) {
  const RandomProblem problem(20, 2, Measured::squares, 14);
  const EmpiricalDenoiser denoiser(problem.prior, NoiseSchedule::flow(), {kDoubleTolerance});
  const Matrix x = problem.states(NoiseSchedule::flow(), 0.5, 3, 1);
  const Matrix want = denoise(denoiser, x, 0.5);
  Matrix wide_x(3, 5, 99.0), wide_mean(3, 5, 99.0);
  for (std::size_t b = 0; b < 3; ++b) std::ranges::copy(x.row(b), wide_x.row(b).begin());
  denoiser.denoise(ConstBatchView(wide_x.data(), 3, 2, 5), 0.5, BatchView(wide_mean.data(), 3, 2, 5));
  for (std::size_t b = 0; b < 3; ++b) {
    EXPECT_TRUE(std::ranges::equal(wide_mean.row(b).first(2), want.row(b)));
    for (std::size_t k = 2; k < 5; ++k) EXPECT_EQ(wide_mean(b, k), 99.0);
  }
}

TEST(EmpiricalDenoiser, BitsDoNotDependOnTheNumberOfThreads) {
  const RandomProblem problem(2500, 6, Measured::squares, 14);
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  const Matrix x = problem.states(schedule, 0.1, 700, 3), v = normals(700, 6, 4), projection = normals(2, 6, 5);
  for (const double tolerance : {kDoubleTolerance, kSingleTolerance}) {
    const EmpiricalDenoiser denoiser(problem.prior, schedule, {tolerance});
    Matrix mean_of_one, product_of_one, projected_of_one;
    for (const std::size_t threads : {1u, 2u, 4u}) {
      const ThreadLimit limit(threads);
      const Matrix mean = denoise(denoiser, x, 0.1);
      Matrix product(700, 6), projected(700, 4);
      denoiser.covariance_product(x, 0.1, mean, v, product);
      denoiser.projected_covariance(x, 0.1, mean, projection, projected);
      if (threads == 1) mean_of_one = mean, product_of_one = product, projected_of_one = projected;
      EXPECT_TRUE(std::ranges::equal(mean.values(), mean_of_one.values()));
      EXPECT_TRUE(std::ranges::equal(product.values(), product_of_one.values()));
      EXPECT_TRUE(std::ranges::equal(projected.values(), projected_of_one.values()));
    }
  }
}

TEST(EmpiricalPrior, NormalisesItsWeightsAndKeepsItsLabels) {
  const std::vector<double> weights{2.0, 0.0, 6.0};
  const EmpiricalPrior prior(AtomTable(std::vector<float>{1.0f, 2.0f, 3.0f}, 3, 1), weights, {4, 4, 1});
  EXPECT_NEAR(prior.log_weights()[0], std::log(0.25), 1e-15);
  EXPECT_EQ(prior.log_weights()[1], -std::numeric_limits<double>::infinity());
  EXPECT_NEAR(prior.log_weights()[2], std::log(0.75), 1e-15);
  EXPECT_EQ(prior.labels(), (std::vector<int>{4, 4, 1}));
  EXPECT_EQ(prior.num_atoms(), 3u);
  EXPECT_EQ(prior.dim(), 1u);
}

}  // namespace
}  // namespace fslens
