// The public adjoint check, on every operator of the library and on planted faults.
#include "fslens/operators/adjoint_check.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "fslens/operators/blur.hpp"
#include "fslens/operators/compose.hpp"
#include "fslens/operators/downsample.hpp"
#include "fslens/operators/elementwise.hpp"
#include "fslens/operators/gaussian_sensing.hpp"
#include "fslens/operators/identity.hpp"
#include "fslens/operators/mask.hpp"
#include "fslens/operators/matrix.hpp"
#include "operators/dense_reference.hpp"

namespace fslens {
namespace {

using test::expect_invalid;
using test::random_batch;

std::vector<ForwardOperatorPtr> affine_operators() {
  const ImageShape gray{12, 8, 1};
  const ImageShape colour{6, 9, 3};
  const auto wide_blur = [&](const ImageShape& shape, Boundary boundary) {
    return std::make_shared<BlurOperator>(shape, std::vector<double>{0.1, -0.4, 2.0, 0.3, 0.7},
                                          gaussian_kernel(2.0, 11), boundary);
  };
  const auto reflecting = wide_blur(gray, Boundary::kReflecting);
  return {std::make_shared<IdentityOperator>(33),
          std::make_shared<MatrixOperator>(random_batch(300, 129, 1)),
          std::make_shared<MatrixOperator>(random_batch(2, 7, 2), std::vector<double>{4.0, -3.0}),
          std::make_shared<MaskOperator>(20, std::vector<std::size_t>{19, 3, 0, 7}),
          wide_blur(gray, Boundary::kPeriodic),
          reflecting,
          wide_blur(colour, Boundary::kPeriodic),
          wide_blur(colour, Boundary::kReflecting),
          std::make_shared<DownsampleOperator>(colour, 3),
          std::make_shared<GaussianSensingOperator>(40, 100, 3),
          std::make_shared<ComposeOperator>(
              std::vector<ForwardOperatorPtr>{reflecting, std::make_shared<DownsampleOperator>(gray, 4)})};
}

TEST(AdjointCheck, PassesEveryAffineOperatorTo1e12) {
  for (const auto& forward : affine_operators())
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const AdjointReport report = check_adjoint(*forward, {.trials = 8, .tolerance = 1e-12, .seed = seed});
      EXPECT_TRUE(report.passed) << report.message;
      EXPECT_EQ(report.trials, 8U);
      EXPECT_EQ(report.redrawn, 0U);
      EXPECT_LE(report.max_relative_error, 1e-12);
    }
}

// Difference quotients of a map of size 1 carry rounding errors of about ε/step = 1e-13.
TEST(AdjointCheck, PassesEveryNonlinearOperatorAtItsDefaults) {
  const std::vector<ForwardOperatorPtr> nonlinear{
      std::make_shared<SquareOperator>(50), std::make_shared<AbsOperator>(50),
      std::make_shared<ClipOperator>(50, -0.5, 0.7), std::make_shared<AbsOperator>(20000),
      std::make_shared<ComposeOperator>(std::vector<ForwardOperatorPtr>{
          std::make_shared<MatrixOperator>(random_batch(30, 20, 1)), std::make_shared<SquareOperator>(30),
          std::make_shared<MatrixOperator>(random_batch(10, 30, 2)), std::make_shared<AbsOperator>(10),
          std::make_shared<MaskOperator>(10, std::vector<std::size_t>{2, 9, 4})})};
  for (const auto& forward : nonlinear)
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const AdjointReport report = check_adjoint(*forward, {.seed = seed});
      EXPECT_TRUE(report.passed) << report.message;
      EXPECT_LE(report.max_relative_error, 1e-10);
    }
}

TEST(AdjointCheck, RedrawsPointsNearKinksAndSaysHowMany) {
  EXPECT_EQ(check_adjoint(SquareOperator(2000)).redrawn, 0U);
  EXPECT_GT(check_adjoint(AbsOperator(2000)).redrawn, 0U);
}

/// An operator of the caller's making, to plant faults in.
class Planted final : public ForwardOperator {
 public:
  using Apply = std::function<void(ConstBatchView, BatchView)>;
  using Vjp = std::function<void(ConstBatchView, ConstBatchView, BatchView)>;
  Planted(std::size_t dim, bool affine, Apply apply, Vjp vjp)
      : dim_(dim), affine_(affine), apply_(std::move(apply)), vjp_(std::move(vjp)) {}
  std::string name() const override { return "planted"; }
  std::size_t input_dim() const override { return dim_; }
  std::size_t output_dim() const override { return dim_; }
  bool is_affine() const override { return affine_; }
  void apply(ConstBatchView x, BatchView y) const override { apply_(x, y); }
  void vjp(ConstBatchView x, ConstBatchView v, BatchView out) const override { vjp_(x, v, out); }

 private:
  std::size_t dim_;
  bool affine_;
  Apply apply_;
  Vjp vjp_;
};

Planted::Apply each(double (*value)(double)) {
  return [=](ConstBatchView x, BatchView y) {
    for (std::size_t b = 0; b < x.rows(); ++b)
      for (std::size_t j = 0; j < x.cols(); ++j) y(b, j) = value(x(b, j));
  };
}

Planted::Vjp each_derivative(double (*derivative)(double)) {
  return [=](ConstBatchView x, ConstBatchView v, BatchView out) {
    for (std::size_t b = 0; b < x.rows(); ++b)
      for (std::size_t j = 0; j < x.cols(); ++j) out(b, j) = derivative(x(b, j)) * v(b, j);
  };
}

TEST(AdjointCheck, PassesASmoothOperatorThatIsNotAPolynomial) {
  const Planted sine(40, false, each([](double x) { return std::sin(3.0 * x); }),
                     each_derivative([](double x) { return 3.0 * std::cos(3.0 * x); }));
  const AdjointReport report = check_adjoint(sine);
  EXPECT_TRUE(report.passed) << report.message;
}

TEST(AdjointCheck, CatchesAnAffineVjpThatIsWrongInOneEntry) {
  const Planted planted(200, true, each([](double x) { return x; }),
                        [](ConstBatchView, ConstBatchView v, BatchView out) {
                          for (std::size_t b = 0; b < v.rows(); ++b) {
                            for (std::size_t j = 0; j < 200; ++j) out(b, j) = v(b, j);
                            out(b, 77) += 1e-6 * v(b, 77);
                          }
                        });
  const AdjointReport report = check_adjoint(planted);
  EXPECT_FALSE(report.passed);
  EXPECT_GT(report.max_relative_error, 1e-10);
  EXPECT_NE(report.message.find("planted: trial"), std::string::npos) << report.message;
}

TEST(AdjointCheck, CatchesAWrongFactorInANonlinearVjp) {
  const Planted planted(30, false, each([](double x) { return x * x; }), each_derivative([](double x) { return x; }));
  EXPECT_FALSE(check_adjoint(planted).passed);
  const Planted slightly(30, false, each([](double x) { return x * x; }),
                         each_derivative([](double x) { return 2.0 * x + 1e-7; }));
  EXPECT_FALSE(check_adjoint(slightly).passed);
}

TEST(AdjointCheck, CatchesAWrongSignBehindAKink) {
  const Planted planted(30, false, each([](double x) { return std::abs(x); }),
                        each_derivative([](double) { return 1.0; }));
  EXPECT_FALSE(check_adjoint(planted).passed);
}

TEST(AdjointCheck, CatchesANonlinearOperatorThatSaysItIsAffine) {
  const Planted planted(5, true, each([](double x) { return x * x; }),
                        each_derivative([](double x) { return 2.0 * x; }));
  EXPECT_FALSE(check_adjoint(planted).passed);
}

TEST(AdjointCheck, CatchesAnOperatorThatServesOnlyTheFirstRow) {
  const Planted planted(
      5, true,
      [](ConstBatchView x, BatchView y) {
        for (std::size_t b = 0; b < x.rows(); ++b)
          for (std::size_t j = 0; j < 5; ++j) y(b, j) = x(0, j);
      },
      each_derivative([](double) { return 1.0; }));
  const AdjointReport report = check_adjoint(planted);
  EXPECT_FALSE(report.passed);
  EXPECT_NE(report.message.find("differs from apply on that row alone"), std::string::npos) << report.message;
}

TEST(AdjointCheck, CatchesAnOperatorThatIgnoresTheStride) {
  const Planted planted(5, true, each([](double x) { return x; }), [](ConstBatchView, ConstBatchView v, BatchView out) {
    for (std::size_t k = 0; k < v.rows() * 5; ++k) out.data()[k] = v.data()[k];
  });
  const AdjointReport report = check_adjoint(planted);
  EXPECT_FALSE(report.passed);
  EXPECT_NE(report.message.find("differs from vjp on that row alone"), std::string::npos) << report.message;
}

TEST(AdjointCheck, FailsWhatIsNowhereDifferentiable) {
  const Planted noise(3, false, each([](double x) { return std::fmod(1e9 * x, 1.0); }),
                      each_derivative([](double) { return 0.0; }));
  const AdjointReport report = check_adjoint(noise);
  EXPECT_FALSE(report.passed);
  EXPECT_NE(report.message.find("do not converge"), std::string::npos) << report.message;
}

TEST(AdjointCheck, FailsOnNanInsteadOfSkippingIt) {
  const auto nan = [](double) { return std::numeric_limits<double>::quiet_NaN(); };
  const AdjointReport in_vjp = check_adjoint(Planted(3, true, each([](double x) { return x; }), each_derivative(nan)));
  EXPECT_FALSE(in_vjp.passed);
  EXPECT_EQ(in_vjp.max_relative_error, std::numeric_limits<double>::infinity());
  EXPECT_FALSE(check_adjoint(Planted(3, false, each(nan), each_derivative([](double) { return 1.0; }))).passed);
}

TEST(AdjointCheck, FailsWhereTheDerivativeVanishesSinceNothingWasChecked) {
  const ClipOperator far_away(6, 50.0, 150.0);
  const AdjointReport report = check_adjoint(far_away);
  EXPECT_FALSE(report.passed);
  EXPECT_NE(report.message.find("nothing was checked"), std::string::npos) << report.message;
  EXPECT_TRUE(check_adjoint(far_away, {.point_scale = 100.0}).passed);
}

TEST(AdjointCheck, RefusesOptionsOutOfRange) {
  const IdentityOperator forward(2);
  expect_invalid([&] { check_adjoint(forward, {.trials = 0}); }, "check_adjoint: trials = 0");
  expect_invalid([&] { check_adjoint(forward, {.tolerance = 0.0}); }, "check_adjoint: tolerance = 0");
  expect_invalid([&] { check_adjoint(forward, {.point_scale = -1.0}); }, "check_adjoint: point_scale = -1");
  expect_invalid([&] { check_adjoint(forward, {.finite_difference_step = 0.0}); },
                 "check_adjoint: finite_difference_step = 0");
}

}  // namespace
}  // namespace fslens
