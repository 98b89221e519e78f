#include "fslens/diffusion/forward_process.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace fslens {
namespace {

TEST(ForwardDraw, IsTheAddressedNoiseOnTheShrunkState) {
  const NoiseSchedule schedule = NoiseSchedule::ou({.sigma = 0.9, .mean = 2.0});
  const RandomStream stream(7);
  const Matrix x0(2, 3, {1.0, -2.0, 0.5, 4.0, 0.0, -1.0});
  Matrix out(2, 3);
  forward_draw(schedule, x0, 0.6, stream, 11, out);
  for (std::size_t b = 0; b < 2; ++b)
    for (std::size_t j = 0; j < 3; ++j)
      EXPECT_DOUBLE_EQ(out(b, j),
                       schedule.a(0.6) * x0(b, j) + schedule.shift(0.6) + schedule.s(0.6) * stream.normal(11, b, j));
}

TEST(ForwardDraw, HasTheMomentsOfThePath) {
  // z-tests at |z| < 5: false-alarm rate 6e-7 each, two tests a schedule, seed fixed.
  constexpr std::size_t kDraws = 200000;
  const Matrix x0(kDraws, 1, 1.7);
  Matrix x(kDraws, 1);
  for (const NoiseSchedule& schedule : {NoiseSchedule::vp_linear(), NoiseSchedule::ve(),
                                        NoiseSchedule::ou({.sigma = 1.1, .mean = -0.4}), NoiseSchedule::flow()}) {
    const double t = 0.37;
    forward_draw(schedule, x0, t, RandomStream(3), 0, x);
    double sum = 0.0;
    double square = 0.0;
    const double centre = schedule.a(t) * 1.7 + schedule.shift(t);
    for (const double value : x.values()) {
      sum += value - centre;
      square += (value - centre) * (value - centre);
    }
    const double n = kDraws;
    EXPECT_LT(std::abs(sum / n) / (schedule.s(t) / std::sqrt(n)), 5.0) << schedule.name();
    EXPECT_LT(std::abs(square / n / schedule.s2(t) - 1.0) / std::sqrt(2.0 / n), 5.0) << schedule.name();
  }
}

TEST(ForwardDraw, MayOverwriteItsInputAndChecksItsArguments) {
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  Matrix x(4, 2, 0.3);
  Matrix separate(4, 2);
  forward_draw(schedule, x, 0.5, RandomStream(1), 0, separate);
  forward_draw(schedule, x, 0.5, RandomStream(1), 0, x);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(x.values()[i], separate.values()[i]);
  EXPECT_THROW(forward_draw(schedule, x, 0.0, RandomStream(1), 0, x), InvalidArgument);
  Matrix narrow(4, 1);
  EXPECT_THROW(forward_draw(schedule, x, 0.5, RandomStream(1), 0, narrow), InvalidArgument);
}

}  // namespace
}  // namespace fslens
