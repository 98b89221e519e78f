#include "fslens/operators/blur.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "operators/dense_reference.hpp"

namespace fslens {
namespace {

using test::apply;
using test::expect_invalid;
using test::max_difference;
using test::product;
using test::random_batch;
using test::transpose;
using test::vjp;

// The extension of an axis written as a walk: step by step from 0, turning round at a reflecting border.
std::size_t walk(std::ptrdiff_t place, std::size_t n, Boundary boundary) {
  std::size_t at = 0;
  bool forwards = place >= 0;
  for (std::ptrdiff_t left = std::abs(place); left > 0; --left) {
    if (forwards && at + 1 == n) {
      if (boundary == Boundary::kPeriodic)
        at = 0;
      else
        forwards = false;  // the border pixel stands twice
    } else if (!forwards && at == 0) {
      if (boundary == Boundary::kPeriodic)
        at = n - 1;
      else
        forwards = true;
    } else {
      forwards ? ++at : --at;
    }
  }
  return at;
}

// y[i, j] = Σ_kl vertical[k] horizontal[l] x[i + r_v − k, j + r_h − l], as a dense matrix.
Matrix dense_blur(const ImageShape& s, const std::vector<double>& vertical, const std::vector<double>& horizontal,
                  Boundary boundary) {
  Matrix a(s.size(), s.size());
  for (std::size_t i = 0; i < s.height; ++i)
    for (std::size_t j = 0; j < s.width; ++j)
      for (std::size_t k = 0; k < vertical.size(); ++k)
        for (std::size_t l = 0; l < horizontal.size(); ++l) {
          const auto from_i = static_cast<std::ptrdiff_t>(i + vertical.size() / 2) - static_cast<std::ptrdiff_t>(k);
          const auto from_j = static_cast<std::ptrdiff_t>(j + horizontal.size() / 2) - static_cast<std::ptrdiff_t>(l);
          const std::size_t source = walk(from_i, s.height, boundary) * s.width + walk(from_j, s.width, boundary);
          for (std::size_t c = 0; c < s.channels; ++c)
            a((i * s.width + j) * s.channels + c, source * s.channels + c) += vertical[k] * horizontal[l];
        }
  return a;
}

std::vector<double> random_kernel(std::size_t size, std::uint64_t seed) {
  const Matrix row = random_batch(1, size, seed);
  return {row.values().begin(), row.values().end()};
}

RC_GTEST_PROP(BlurOperator, IsTheConvolutionOfItsDefinition, ()) {
  const auto side = rc::gen::inRange<std::size_t>(1, 7);
  const ImageShape shape{*side, *side, *rc::gen::inRange<std::size_t>(1, 4)};
  const auto vertical = random_kernel(2 * *rc::gen::inRange<std::size_t>(0, 9) + 1, 21);
  const auto horizontal = random_kernel(2 * *rc::gen::inRange<std::size_t>(0, 9) + 1, 22);
  const auto boundary = *rc::gen::element(Boundary::kPeriodic, Boundary::kReflecting);
  const BlurOperator forward(shape, vertical, horizontal, boundary);
  const Matrix dense = dense_blur(shape, vertical, horizontal, boundary);
  const Matrix x = random_batch(3, shape.size(), 23);
  const Matrix v = random_batch(3, shape.size(), 24);
  RC_ASSERT(max_difference(apply(forward, x), product(x, transpose(dense))) < 1e-11);
  RC_ASSERT(max_difference(vjp(forward, x, v), product(v, dense)) < 1e-11);
  RC_ASSERT(max_difference(forward.linear_part(), dense) < 1e-12);
}

TEST(BlurOperator, IsCentredAndNotMirrored) {
  const BlurOperator forward({1, 5, 1}, {1.0}, {1.0, 2.0, 4.0}, Boundary::kPeriodic);
  Matrix point(1, 5);
  point(0, 2) = 1.0;
  const Matrix y = apply(forward, point);
  EXPECT_EQ(std::vector<double>(y.values().begin(), y.values().end()), (std::vector<double>{0, 1, 2, 4, 0}));
}

TEST(BlurOperator, LeavesAConstantImageAloneForEitherBoundary) {
  for (const auto boundary : {Boundary::kPeriodic, Boundary::kReflecting}) {
    const BlurOperator forward({6, 5, 3}, gaussian_kernel(1.7, 8), gaussian_kernel(0.6, 2), boundary);
    const Matrix y = apply(forward, Matrix(1, forward.input_dim(), 2.5));
    for (const double value : y.values()) EXPECT_NEAR(value, 2.5, 1e-14);
  }
}

// A symmetric kernel h multiplies cos(2π(p i/h + q j/w) + φ) by H_v(p/h) H_h(q/w), H(f) = Σ_k h[k] cos(2π f (k − r)).
TEST(BlurOperator, MultipliesPeriodicModesByTheTransferFunction) {
  const ImageShape shape{12, 10, 1};
  const auto vertical = gaussian_kernel(1.3, 4);
  const auto horizontal = gaussian_kernel(0.8, 3);
  const BlurOperator forward(shape, vertical, horizontal, Boundary::kPeriodic);
  const auto transfer = [](const std::vector<double>& kernel, double frequency) {
    double sum = 0.0;
    for (std::size_t k = 0; k < kernel.size(); ++k)
      sum += kernel[k] * std::cos(2.0 * std::numbers::pi * frequency *
                                  (static_cast<double>(k) - static_cast<double>(kernel.size() / 2)));
    return sum;
  };
  for (const auto& [p, q] : {std::pair{0.0, 1.0}, {3.0, 0.0}, {5.0, 4.0}, {6.0, 5.0}}) {
    Matrix mode(1, shape.size());
    for (std::size_t i = 0; i < shape.height; ++i)
      for (std::size_t j = 0; j < shape.width; ++j)
        mode(0, i * shape.width + j) = std::cos(
            2.0 * std::numbers::pi * (p * static_cast<double>(i) / 12.0 + q * static_cast<double>(j) / 10.0) + 0.3);
    const Matrix y = apply(forward, mode);
    const double gain = transfer(vertical, p / 12.0) * transfer(horizontal, q / 10.0);
    for (std::size_t j = 0; j < shape.size(); ++j) EXPECT_NEAR(y(0, j), gain * mode(0, j), 1e-14);
  }
}

// Half-sample symmetric extension makes cos(π q (j + ½)/n) the modes of a symmetric kernel (the DCT-II).
TEST(BlurOperator, MultipliesReflectingModesByTheTransferFunction) {
  const std::size_t n = 9;
  const auto kernel = gaussian_kernel(1.1, 5);
  const BlurOperator forward({1, n, 1}, {1.0}, kernel, Boundary::kReflecting);
  for (std::size_t q = 0; q < n; ++q) {
    const double frequency = std::numbers::pi * static_cast<double>(q) / static_cast<double>(n);
    double gain = 0.0;
    for (std::size_t k = 0; k < kernel.size(); ++k)
      gain += kernel[k] * std::cos(frequency * (static_cast<double>(k) - 5));
    Matrix mode(1, n);
    for (std::size_t j = 0; j < n; ++j) mode(0, j) = std::cos(frequency * (static_cast<double>(j) + 0.5));
    const Matrix y = apply(forward, mode);
    for (std::size_t j = 0; j < n; ++j) EXPECT_NEAR(y(0, j), gain * mode(0, j), 1e-14);
  }
}

TEST(GaussianKernel, FollowsTheDensityAndSumsToOne) {
  const auto kernel = gaussian_kernel(1.5, 3);
  ASSERT_EQ(kernel.size(), 7U);
  double sum = 0.0;
  for (const double entry : kernel) sum += entry;
  EXPECT_NEAR(sum, 1.0, 1e-15);
  for (int k = 0; k <= 3; ++k) {
    EXPECT_DOUBLE_EQ(kernel[static_cast<std::size_t>(3 + k)], kernel[static_cast<std::size_t>(3 - k)]);
    EXPECT_NEAR(kernel[static_cast<std::size_t>(3 + k)] / kernel[3], std::exp(-k * k / (2.0 * 1.5 * 1.5)), 1e-15);
  }
  EXPECT_EQ(gaussian_kernel(2.0, 0), std::vector<double>{1.0});
}

TEST(GaussianKernel, RefusesAWidthThatIsNotPositive) {
  expect_invalid([] { gaussian_kernel(0.0, 2); }, "gaussian kernel: std = 0");
  expect_invalid([] { gaussian_kernel(std::nan(""), 2); }, "gaussian kernel: std = nan");
}

TEST(BlurOperator, RefusesKernelsWithoutACentre) {
  const auto make = [](std::vector<double> vertical, std::vector<double> horizontal, ImageShape shape = {3, 3, 1}) {
    return [=] { BlurOperator(shape, vertical, horizontal, Boundary::kPeriodic); };
  };
  expect_invalid(make({1, 1}, {1}), "blur: vertical kernel = 2 entries: must have an odd number");
  expect_invalid(make({1}, {}), "blur: horizontal kernel = 0 entries: must have an odd number");
  expect_invalid(make({1}, {1, std::numeric_limits<double>::infinity(), 1}), "blur: horizontal kernel[1] = inf");
  expect_invalid(make({1}, {1}, {3, 0, 1}), "blur: shape = 3 x 0 x 1");
}

}  // namespace
}  // namespace fslens
