// Choosing digits, meeting the tolerance with them, and the memory that passes share.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

#include "aligned_array.hpp"
#include "fixed_point_pass.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/rng/stream.hpp"
#include "lane_digits.hpp"
#include "lane_kernels.hpp"

namespace fslens {
namespace {

using namespace kernels;

/// Clusters of byte atoms, states x = a x_0 + s ε, two measures.
struct ByteCase {
  AtomTable atoms;
  std::vector<double> prior, tilted;
  Matrix x;
  SoftAssignmentRequest request;

  ByteCase(std::size_t n, std::size_t d, double s2, AtomTable table)
      : atoms(std::move(table)), prior(n, -std::log(static_cast<double>(n))), tilted(prior), x(40, d) {
    const RandomStream stream(5);
    const double a = std::sqrt(1.0 - s2);
    std::vector<double> atom(d);
    for (std::size_t i = 0; i < n; ++i) tilted[i] -= 2.0 * std::abs(stream.normal(1, i));
    for (std::size_t b = 0; b < x.rows(); ++b) {
      atoms.copy_atom((b * 31 + 1) % n, atom);
      for (std::size_t k = 0; k < d; ++k) x(b, k) = a * atom[k] + std::sqrt(s2) * stream.normal(2, b, k);
    }
    request.atoms = &atoms, request.x = x, request.a = a, request.s2 = s2;
    request.log_weights = {prior, tilted};
    request.want_variance = true;
    request.tolerance = kSingleTolerance;
  }
};

/// `level(i, k)` in [0, 255] decides the bytes.
template <class Level>
AtomTable byte_atoms(std::size_t n, std::size_t d, const Level& level) {
  const auto values = std::make_shared<std::vector<std::uint8_t>>(n * d);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < d; ++k) (*values)[i * d + k] = static_cast<std::uint8_t>(level(i, k));
  AtomData data;
  data.type = AtomType::uint8, data.values = values->data(), data.owner = values, data.rows = n;
  data.low = -1.0, data.step = 2.0 / 255.0;
  return AtomTable(data, d);
}

AtomTable clusters(std::size_t n, std::size_t d) {
  const RandomStream stream(6);
  return byte_atoms(n, d, [&](std::size_t i, std::size_t k) {
    return 100.0 + 60.0 * std::sin(0.7 * static_cast<double>(k * (i % 4 + 1))) + 80.0 * stream.uniform(0, i, k);
  });
}

FixedPointPlan plan_of(const SoftAssignmentRequest& request) {
  std::vector<std::size_t> all(request.x.rows());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return plan_fixed_point(request, all, probe_atoms(request, all, integer_product_plain));
}

/// The oracle rounds its long doubles once.
void expect_near_oracle(const SoftAssignmentRequest& request, const SoftAssignmentResult& got) {
  const SoftAssignmentResult exact = soft_assignment_oracle(request);
  for (std::size_t m = 0; m < got.measures.size(); ++m)
    for (std::size_t b = 0; b < got.measures[m].log_normaliser.size(); ++b) {
      const SoftAssignmentMoments &one = got.measures[m], &two = exact.measures[m];
      const auto rounding = [](double value) { return 0x1p-50 * std::abs(value); };
      double square = 0.0, norm = 0.0;
      for (std::size_t k = 0; k < one.mean.cols(); ++k) {
        square += std::pow(one.mean(b, k) - two.mean(b, k), 2.0);
        norm += std::abs(two.mean(b, k));
      }
      EXPECT_LE(std::sqrt(square), one.mean_error[b] + rounding(norm)) << b;
      EXPECT_LE(std::abs(one.log_normaliser[b] - two.log_normaliser[b]), one.log_normaliser_error[b] + rounding(two.log_normaliser[b])) << b;
      EXPECT_LE(std::abs(one.variance[b] - two.variance[b]), one.variance_error[b] + rounding(two.variance[b])) << b;
    }
}

/// a‖δm‖/(s√d), the worst of all.
double worst_error(const SoftAssignmentRequest& request, const SoftAssignmentResult& result) {
  double worst = 0.0;
  for (const SoftAssignmentMoments& moments : result.measures)
    for (const double error : moments.mean_error)
      worst = std::max(worst, request.a * error / std::sqrt(request.s2 * static_cast<double>(request.atoms->dim())));
  return worst;
}

TEST(FixedPointPlan, TakesFewerDigitsWhereTheMeanMattersLess) {
  std::size_t before = 100;
  for (const double s2 : {0.5, 0.9, 0.99, 0.9999, 0.9999999}) {
    const ByteCase c(1500, 48, s2, clusters(1500, 48));
    const FixedPointPlan plan = plan_of(c.request);
    const std::size_t products = plan.orders + plan.weight_orders[0] + plan.weight_orders[1];
    EXPECT_LE(products, before) << s2;
    before = products;
  }
  EXPECT_EQ(before, 6u) << "two digits of everything";
}

/// Most atoms cannot count under these weights, whatever the particle: they are left out, under one measure and under two.
TEST(FixedPointPass, LeavesOutAtomsThatCannotCount) {
  ByteCase c(3000, 48, 0.999, clusters(3000, 48));
  const RandomStream stream(8);
  std::vector<double> steep(3000), steeper(3000);
  for (std::size_t i = 0; i < steep.size(); ++i) {
    steep[i] = i % 3 == 0 ? -5.0 * stream.uniform(0, i) : -300.0 - 900.0 * stream.uniform(0, i);
    steeper[i] = i % 12 == 0 || i % 7 == 1 ? -5.0 * stream.uniform(1, i) : -2000.0;
  }
  steep[5] = -std::numeric_limits<double>::infinity();
  for (const std::vector<std::span<const double>>& weights :
       std::vector<std::vector<std::span<const double>>>{{steep}, {steep, steeper}, {c.prior, steep}, {steeper, c.prior}}) {
    c.request.log_weights = weights;
    const SoftAssignmentResult result = soft_assignment(c.request);
    expect_near_oracle(c.request, result);
    EXPECT_LE(worst_error(c.request, result), kSingleTolerance);
    EXPECT_EQ(result.work.fixed_point, c.x.rows());
  }
}

TEST(FixedPointPlan, TakesMoreForASmallerTolerance) {
  ByteCase c(1500, 48, 0.99, clusters(1500, 48));
  const FixedPointPlan one = plan_of(c.request);
  c.request.tolerance = 1e-8;
  const FixedPointPlan other = plan_of(c.request);
  EXPECT_TRUE(other.digits_beyond(one));
  EXPECT_FALSE(one.digits_beyond(other));
  EXPECT_FALSE(other.digits_beyond(most_digits(c.request)));
  EXPECT_LT(other.floor, one.floor);
}

/// 64 of 1500 atoms, all with a weight: a plan needs no more.
TEST(Probe, SeesTheVarianceAndTheNormaliser) {
  const ByteCase c(1500, 48, 0.999, clusters(1500, 48));
  std::vector<std::size_t> all(c.x.rows());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const Probe probe = probe_atoms(c.request, all, integer_product_plain);
  const SoftAssignmentResult exact = soft_assignment_oracle(c.request);
  for (const std::size_t b : all) {
    EXPECT_NEAR(probe.variance[b] / std::max(exact.measures[0].variance[b], exact.measures[1].variance[b]), 1.0, 0.2) << b;
    EXPECT_NEAR(probe.log_mean[0][b] + std::log(1500.0), exact.measures[0].log_normaliser[b], 0.2) << b;
    EXPECT_GE(probe.crowding[0][b], 1.0) << b;
  }
}

TEST(FixedPointPass, MeetsTheToleranceAtEveryNoise) {
  if (integer_target().kernel == nullptr) GTEST_SKIP() << "no byte products here";
  for (const double s2 : {0.5, 0.9, 0.99, 0.9999}) {
    const ByteCase c(1500, 48, s2, clusters(1500, 48));
    const SoftAssignmentResult result = soft_assignment(c.request);
    EXPECT_EQ(result.work.dense, 0u) << s2;
    EXPECT_LE(worst_error(c.request, result), kSingleTolerance) << s2;
    expect_near_oracle(c.request, result);
  }
}

/// What a query loses to two digits moves the log-normaliser by ⟨g, m − x̄⟩, here 10⁻⁴: it is taken away.
TEST(FixedPointPass, TakesTheTiltFromTheLogNormaliser) {
  if (integer_target().kernel == nullptr) GTEST_SKIP() << "no byte products here";
  const ByteCase c(1500, 48, 0.9999, clusters(1500, 48));
  ASSERT_EQ(plan_of(c.request).query_digits, 2u);
  const SoftAssignmentResult result = soft_assignment(c.request);
  ASSERT_EQ(result.work.fixed_point, c.x.rows());
  for (const double error : result.measures[0].log_normaliser_error) EXPECT_LT(error, 1e-5);
  expect_near_oracle(c.request, result);
}

/// C v about the mean that the caller gives. One that is none, so far away that whole numbers do not reach, is his mistake, but no overflow.
TEST(FixedPointPass, MultipliesAboutAGivenMean) {
  if (integer_target().kernel == nullptr) GTEST_SKIP() << "no byte products here";
  ByteCase c(1500, 48, 0.9, clusters(1500, 48));
  const RandomStream stream(9);
  const Matrix means = soft_assignment_oracle(c.request).measures[0].mean;
  Matrix direction(c.x.rows(), c.x.cols()), far(c.x.rows(), c.x.cols());
  for (std::size_t b = 0; b < c.x.rows(); ++b)
    for (std::size_t k = 0; k < c.x.cols(); ++k) direction(b, k) = stream.normal(0, b, k), far(b, k) = 1e14 * stream.normal(1, b, k);
  c.request.direction = direction, c.request.direction_mean = means;
  const SoftAssignmentResult got = soft_assignment(c.request), exact = soft_assignment_oracle(c.request);
  for (std::size_t b = 0; b < c.x.rows(); ++b) {
    double square = 0.0, size = 0.0;
    for (std::size_t k = 0; k < c.x.cols(); ++k) {
      square += std::pow(got.covariance_product(b, k) - exact.covariance_product(b, k), 2.0);
      size += std::abs(exact.covariance_product(b, k));
    }
    EXPECT_LE(std::sqrt(square), got.covariance_product_error[b] + 0x1p-50 * size) << b;
    EXPECT_LE(got.covariance_product_error[b], 1e-4 * size) << b;
  }
  c.request.direction_mean = far;
  const SoftAssignmentResult about_far = soft_assignment(c.request);
  for (const double value : about_far.covariance_product.values()) EXPECT_TRUE(std::isfinite(value));
}

/// A probe that knows nothing of what counts: the plan takes too few digits, and the bound finds out.
TEST(FixedPointPass, TakesAllDigitsWhereTheProbeWasMistaken) {
  if (integer_target().kernel == nullptr) GTEST_SKIP() << "no byte products here";
  const ByteCase c(1500, 48, 0.9, clusters(1500, 48));
  std::vector<std::size_t> all(c.x.rows());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const IntegerKernel kernel = integer_target().kernel;
  Probe probe = probe_atoms(c.request, all, kernel);
  std::ranges::fill(probe.variance, 0.0);
  for (std::vector<double>& crowding : probe.crowding) std::ranges::fill(crowding, 0.0);
  const FixedPointPlan plan = plan_fixed_point(c.request, all, probe);
  EXPECT_EQ(plan.query_digits, 2u);
  SoftAssignmentResult result = soft_assignment(c.request);
  for (std::size_t m = 0; m < 2; ++m) std::ranges::fill(result.measures[m].mean_error, 1.0);
  EXPECT_EQ(fixed_point_pass(c.request, all, probe, plan, kernel, result).size(), 0u);
  EXPECT_LE(worst_error(c.request, result), kSingleTolerance);
  expect_near_oracle(c.request, result);
}

TEST(LaneKernels, WeightsBelowTheLastArgumentAreNothing) {
  float logits[4 * kLanes] = {0.0f, -1.0f, -125.4f, -125.6f, -130.0f, -150.0f, -1e30f}, weights[4 * kLanes], top[kLanes] = {};
  double square[kLanes] = {};
  lane_weights({.logits = logits, .rows = 4, .top = top, .weights = weights, .square = square});
  EXPECT_EQ(weights[0], 1.0f);
  EXPECT_GT(weights[2], 1e-38f);
  for (std::size_t lane = 3; lane < 7; ++lane) EXPECT_EQ(weights[lane], 0.0f) << logits[lane];
}

TEST(AlignedArray, IsAlignedAndTakesWhatWasGivenBack) {
  const void* before = nullptr;
  {
    AlignedArray<double> array(100000);
    before = array.data();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(before) % 64, 0u);
    AlignedArray<double> other(std::move(array));
    EXPECT_EQ(other.data(), before);
    EXPECT_TRUE(array.empty());  // NOLINT: a moved-from array is empty
  }
  AlignedArray<float> again(180000);
  EXPECT_EQ(static_cast<const void*>(again.data()), before) << "smaller, not half as large: the same memory";
  AlignedArray<float> small(10);
  EXPECT_NE(static_cast<const void*>(small.data()), before);
  EXPECT_FALSE(small.empty());
}

}  // namespace
}  // namespace fslens
