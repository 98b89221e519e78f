// Bandwidth and covariance of the smoothing kernel against sums written out.
#include "fslens/prior/smoothing_kernel.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_invalid.hpp"
#include "support/random_batch.hpp"

namespace fslens {
namespace {

using test::random_batch;

EmpiricalPrior prior_of(const Matrix& atoms, std::vector<double> weights = {}) {
  return EmpiricalPrior(AtomTable(std::vector<double>(atoms.values().begin(), atoms.values().end()), atoms.rows(), atoms.cols()), weights);
}

double naive_leave_one_out(const EmpiricalPrior& prior, const Matrix& atoms, double h) {
  const double d = static_cast<double>(atoms.cols());
  double total = 0.0;
  for (std::size_t i = 0; i < atoms.rows(); ++i) {
    double sum = 0.0, others = 0.0;
    for (std::size_t j = 0; j < atoms.rows(); ++j) {
      if (j == i) continue;
      double squared = 0.0;
      for (std::size_t k = 0; k < atoms.cols(); ++k) squared += std::pow(atoms(i, k) - atoms(j, k), 2);
      if (squared == 0.0) continue;
      const double w = std::exp(prior.log_weights()[j]);
      others += w;
      sum += w * std::exp(-0.5 * squared / (h * h)) / std::pow(h, d);
    }
    total += std::exp(prior.log_weights()[i]) * std::log(sum / others);
  }
  return total;
}

TEST(SmoothingKernel, LeaveOneOutBandwidthMaximisesTheLikelihood) {
  for (const std::size_t dim : {1u, 2u, 5u}) {
    const Matrix atoms = random_batch(60, dim, dim);
    std::vector<double> weights(60, 1.0);
    weights[3] = 4.0;
    const EmpiricalPrior prior = prior_of(atoms, weights);
    const SmoothingKernel kernel = smoothing_kernel(prior, KernelShape::isotropic);
    EXPECT_TRUE(kernel.by_leave_one_out);
    const double best = naive_leave_one_out(prior, atoms, kernel.bandwidth);
    for (double factor = 0.2; factor < 5.0; factor *= 1.07)
      EXPECT_LE(naive_leave_one_out(prior, atoms, factor * kernel.bandwidth), best + 1e-6) << factor;
  }
}

TEST(SmoothingKernel, CopiesOfAnAtomDoNotDrawTheBandwidthToZero) {
  Matrix atoms = random_batch(60, 2, 8);
  for (std::size_t k = 0; k < 2; ++k) atoms(1, k) = atoms(0, k);
  const SmoothingKernel kernel = smoothing_kernel(prior_of(atoms), KernelShape::isotropic);
  EXPECT_GT(kernel.bandwidth, 0.1);
  EXPECT_LT(kernel.bandwidth, 1.5);
}

/// A turned cloud is the same cloud; so is one in other units, but for the little that shrinkage pulls its covariance towards a sphere.
TEST(SmoothingKernel, CovarianceKernelFollowsTheCloud) {
  Matrix atoms = random_batch(400, 2, 12);
  for (std::size_t i = 0; i < atoms.rows(); ++i) atoms(i, 0) *= 3.0;
  Matrix turned = atoms, scaled = atoms;
  for (std::size_t i = 0; i < atoms.rows(); ++i) {
    turned(i, 0) = 0.6 * atoms(i, 0) - 0.8 * atoms(i, 1);
    turned(i, 1) = 0.8 * atoms(i, 0) + 0.6 * atoms(i, 1);
    for (std::size_t k = 0; k < 2; ++k) scaled(i, k) = 7.0 * atoms(i, k);
  }
  const double h = smoothing_kernel(prior_of(atoms), KernelShape::covariance).bandwidth;
  EXPECT_NEAR(smoothing_kernel(prior_of(turned), KernelShape::covariance).bandwidth / h, 1.0, 1e-3);
  EXPECT_NEAR(smoothing_kernel(prior_of(scaled), KernelShape::covariance).bandwidth / h, 1.0, 1e-3);
}

TEST(SmoothingKernel, ShrunkCovarianceIsTheFormula) {
  const Matrix atoms = random_batch(10, 4, 2);
  const Matrix got = shrunk_covariance(prior_of(atoms));
  Matrix s(4, 4);
  std::vector<double> mean(4, 0.0);
  for (std::size_t i = 0; i < 10; ++i)
    for (std::size_t k = 0; k < 4; ++k) mean[k] += atoms(i, k) / 10.0;
  double trace = 0.0, square = 0.0;
  for (std::size_t j = 0; j < 4; ++j)
    for (std::size_t k = 0; k < 4; ++k) {
      for (std::size_t i = 0; i < 10; ++i) s(j, k) += (atoms(i, j) - mean[j]) * (atoms(i, k) - mean[k]) / 10.0;
      square += s(j, k) * s(j, k);
      if (j == k) trace += s(j, k);
    }
  const double rho = std::min(1.0, ((1.0 - 0.5) * square + trace * trace) / ((10.0 + 1.0 - 0.5) * (square - trace * trace / 4.0)));
  for (std::size_t j = 0; j < 4; ++j)
    for (std::size_t k = 0; k < 4; ++k) EXPECT_NEAR(got(j, k), (1.0 - rho) * s(j, k) + (j == k ? rho * trace / 4.0 : 0.0), 1e-12);
}

TEST(SmoothingKernel, NamesWhatItCannotUse) {
  const Matrix atoms = random_batch(5, 2, 1);
  test::expect_invalid([&] { smoothing_kernel(prior_of(atoms), KernelShape::isotropic, 0.0); }, {"bandwidth", "0"});
  const Matrix equal(5, 2, 1.0);
  test::expect_invalid([&] { smoothing_kernel(prior_of(equal), KernelShape::isotropic); }, {"bandwidth", "two different atoms"});
  test::expect_invalid([&] { smoothing_kernel(prior_of(equal), KernelShape::covariance, 0.1); }, {"kernel", "two different atoms"});
}

}  // namespace
}  // namespace fslens
