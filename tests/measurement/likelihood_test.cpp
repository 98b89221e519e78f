#include "fslens/measurement/likelihood.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numbers>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/operators/elementwise.hpp"
#include "fslens/operators/identity.hpp"
#include "fslens/operators/mask.hpp"
#include "fslens/operators/matrix.hpp"
#include "support/expect_invalid.hpp"
#include "support/random_batch.hpp"
#include "support/special_values.hpp"

namespace fslens {
namespace {

using test::expect_invalid;
using test::kInfinity;
using test::kNan;
using test::random_batch;

TEST(Likelihood, IsTheNoiseDensityAtTheResidual) {
  const Matrix a = random_batch(3, 4, 1);
  const std::vector<double> bias{1, 2, 3};
  const std::vector<double> y{0.5, -0.5, 4.0};
  const std::vector<double> sigma{0.3, 1.0, 2.5};
  const Likelihood likelihood(std::make_shared<MatrixOperator>(a, bias), GaussianNoise::per_component(sigma), y);
  EXPECT_EQ(likelihood.input_dim(), 4U);
  EXPECT_EQ(likelihood.output_dim(), 3U);
  const Matrix x = random_batch(20, 4, 2);
  Matrix residual(20, 3);
  likelihood.residual(x, residual);
  const std::vector<double> values = likelihood.log_likelihood(x);
  ASSERT_EQ(values.size(), 20U);
  for (std::size_t b = 0; b < 20; ++b) {
    double want = 0.0;
    for (std::size_t i = 0; i < 3; ++i) {
      double r = y[i] - bias[i];
      for (std::size_t j = 0; j < 4; ++j) r -= a(i, j) * x(b, j);
      EXPECT_NEAR(residual(b, i), r, 1e-13);
      want += -0.5 * std::log(2.0 * std::numbers::pi * sigma[i] * sigma[i]) - 0.5 * r * r / (sigma[i] * sigma[i]);
    }
    EXPECT_NEAR(values[b], want, 1e-11);
  }
}

// The three-atom example: atoms −1.8, 0.2, 2.2, σ 0.3, y = −1.8. The first atom fits exactly; the next two lie 2/0.3
// and 4/0.3 standard deviations away.
TEST(Likelihood, OrdersTheAtomsOfAOneDimensionalExample) {
  const Likelihood likelihood(std::make_shared<IdentityOperator>(1), GaussianNoise::scalar(1, 0.3), {-1.8});
  const std::vector<double> values = likelihood.log_likelihood(Matrix(3, 1, {-1.8, 0.2, 2.2}));
  EXPECT_NEAR(values[0], -0.5 * std::log(2.0 * std::numbers::pi) - std::log(0.3), 1e-14);
  EXPECT_NEAR(values[1] - values[0], -0.5 * 4.0 / 0.09, 1e-11);
  EXPECT_NEAR(values[2] - values[0], -0.5 * 16.0 / 0.09, 1e-11);
}

// Counts the largest batch that it was ever given.
class WatchedIdentity final : public ForwardOperator {
 public:
  explicit WatchedIdentity(std::size_t dim) : dim_(dim) {}
  std::string name() const override { return "watched"; }
  std::size_t input_dim() const override { return dim_; }
  std::size_t output_dim() const override { return dim_; }
  bool is_affine() const override { return true; }
  void apply(ConstBatchView x, BatchView y) const override {
    std::size_t seen = largest.load();
    while (seen < x.rows() && !largest.compare_exchange_weak(seen, x.rows())) {
    }
    for (std::size_t b = 0; b < x.rows(); ++b) std::ranges::copy(x.row(b), y.row(b).begin());
  }
  void vjp(ConstBatchView, ConstBatchView v, BatchView out) const override { apply(v, out); }

  mutable std::atomic<std::size_t> largest{0};

 private:
  std::size_t dim_;
};

TEST(Likelihood, WorksInBlocksOfBoundedMemory) {
  const auto forward = std::make_shared<WatchedIdentity>(64);
  const Likelihood likelihood(forward, GaussianNoise::scalar(64, 1.0), std::vector<double>(64, 0.5));
  const Matrix x = random_batch(20000, 64, 3);
  const std::vector<double> values = likelihood.log_likelihood(x);
  EXPECT_LE(forward->largest.load() * 64, std::size_t{1} << 17);
  for (const std::size_t b : {std::size_t{0}, std::size_t{9999}, std::size_t{19999}}) {
    double squares = 0.0;
    for (std::size_t j = 0; j < 64; ++j) squares += (0.5 - x(b, j)) * (0.5 - x(b, j));
    EXPECT_NEAR(values[b], -32.0 * std::log(2.0 * std::numbers::pi) - 0.5 * squares, 1e-10);
  }
}

TEST(Likelihood, TakesAMillionRows) {
  const Likelihood likelihood(std::make_shared<SquareOperator>(2), GaussianNoise::scalar(2, 0.5), {1.0, 2.0});
  Matrix x(1'000'000, 2);
  for (std::size_t b = 0; b < x.rows(); ++b) x(b, 0) = static_cast<double>(b) * 1e-6;
  const std::vector<double> values = likelihood.log_likelihood(x);
  for (std::size_t b = 0; b < x.rows(); b += 99'999) {
    const double r = 1.0 - x(b, 0) * x(b, 0);
    EXPECT_NEAR(values[b], -std::log(2.0 * std::numbers::pi * 0.25) - 0.5 * (r * r + 4.0) / 0.25, 1e-12);
  }
}

TEST(Likelihood, HasTheSameBitsForEveryNumberOfThreads) {
  const Likelihood likelihood(std::make_shared<MatrixOperator>(random_batch(37, 50, 1)), GaussianNoise::full([] {
                                Matrix covariance(37, 37, 0.1);
                                for (std::size_t j = 0; j < 37; ++j) covariance(j, j) = 1.0;
                                return covariance;
                              }()),
                              std::vector<double>(37, 0.2));
  const Matrix x = random_batch(9000, 50, 2);
  const std::vector<double> free = likelihood.log_likelihood(x);
  const ThreadLimit one(1);
  EXPECT_EQ(likelihood.log_likelihood(x), free);
}

TEST(Likelihood, NonFiniteRowsAreMarkedAndTouchNoOther) {
  const Likelihood likelihood(std::make_shared<IdentityOperator>(3), GaussianNoise::scalar(3, 0.5), {0.1, 0.2, 0.3});
  Matrix x = random_batch(3000, 3, 4);
  const std::vector<double> clean = likelihood.log_likelihood(x);
  x(5, 1) = kNan;
  x(1500, 0) = kInfinity;
  x(2999, 2) = -kInfinity;
  const std::vector<double> dirty = likelihood.log_likelihood(x);
  EXPECT_TRUE(std::isnan(dirty[5]));
  EXPECT_EQ(dirty[1500], -kInfinity);
  EXPECT_EQ(dirty[2999], -kInfinity);
  for (std::size_t b = 0; b < 3000; ++b)
    if (b != 5 && b != 1500 && b != 2999) {
      ASSERT_EQ(dirty[b], clean[b]);
    }
}

TEST(Likelihood, ANanThatTheOperatorDoesNotLookAtIsStillReported) {
  const Likelihood masked(std::make_shared<MaskOperator>(2, std::vector<std::size_t>{0}), GaussianNoise::scalar(1, 1.0),
                          {0.0});
  EXPECT_TRUE(std::isnan(masked.log_likelihood(Matrix(1, 2, {0.0, kNan}))[0]));
  const Likelihood clipped(std::make_shared<ClipOperator>(1, 0.0, 1.0), GaussianNoise::scalar(1, 1.0), {0.0});
  EXPECT_TRUE(std::isnan(clipped.log_likelihood(Matrix(1, 1, {kInfinity}))[0]));
}

TEST(Likelihood, OfNoRowsIsEmpty) {
  const Likelihood likelihood(std::make_shared<IdentityOperator>(3), GaussianNoise::scalar(3, 0.5), {0.1, 0.2, 0.3});
  EXPECT_TRUE(likelihood.log_likelihood(Matrix(0, 3)).empty());
}

TEST(Likelihood, ReadsViewsWhoseRowsLieApart) {
  const Likelihood likelihood(std::make_shared<IdentityOperator>(2), GaussianNoise::scalar(2, 0.5), {0.1, 0.2});
  const Matrix apart(3, 5, {1, 2, kNan, kNan, kNan, 3, 4, kNan, kNan, kNan, 5, 6, kNan, kNan, kNan});
  const Matrix dense(3, 2, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(likelihood.log_likelihood(ConstBatchView(apart.data(), 3, 2, 5)), likelihood.log_likelihood(dense));
}

TEST(Likelihood, RefusesPartsThatDoNotFit) {
  const ForwardOperatorPtr forward = std::make_shared<IdentityOperator>(2);
  expect_invalid([&] { Likelihood(nullptr, GaussianNoise::scalar(2, 1.0), {1, 2}); }, "likelihood: operator = null");
  expect_invalid(
      [&] {
        Likelihood(forward, GaussianNoise::scalar(3, 1.0), {1, 2});
      },
      "noise.dim = 3: must be 2 (the outputs of operator identity)");
  expect_invalid([&] { Likelihood(forward, GaussianNoise::scalar(2, 1.0), {1}); },
                 "measurement.y = 1 entries: must have 2 (the outputs of operator identity)");
  expect_invalid([&] { Likelihood(forward, GaussianNoise::scalar(2, 1.0), {1, kNan}); }, "measurement.y[1] = nan");
  const Likelihood likelihood(forward, GaussianNoise::scalar(2, 1.0), {1, 2});
  expect_invalid([&] { likelihood.log_likelihood(Matrix(4, 3)); }, "likelihood: x = 3 columns: must have 2");
}

}  // namespace
}  // namespace fslens
