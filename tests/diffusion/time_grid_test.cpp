#include "fslens/diffusion/time_grid.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "fslens/core/error.hpp"

namespace fslens {
namespace {

const std::vector<GridSpacing> kSpacings{GridSpacing::uniform, GridSpacing::log_snr, GridSpacing::quadratic,
                                         GridSpacing::karras};

std::string message_of(const TimeGridOptions& options) {
  try {
    make_time_grid(NoiseSchedule::vp_linear(), options);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "nothing was thrown";
}

/// What the spacing promises to be uniform.
double coordinate(const NoiseSchedule& schedule, GridSpacing spacing, double t) {
  switch (spacing) {
    case GridSpacing::uniform:
      return t;
    case GridSpacing::log_snr:
      return schedule.log_snr(t);
    case GridSpacing::quadratic:
      return std::sqrt(t);
    case GridSpacing::karras:
      return std::pow(schedule.s(t) / schedule.a(t), 1.0 / 7.0);
  }
  return NAN;
}

TEST(TimeGrid, IsUniformInTheCoordinateOfItsSpacing) {
  for (const NoiseSchedule& schedule : {NoiseSchedule::vp_linear(), NoiseSchedule::vp_cosine(),
                                        NoiseSchedule::vp_discrete(), NoiseSchedule::ve(), NoiseSchedule::ou()})
    for (const GridSpacing spacing : kSpacings) {
      const auto grid = make_time_grid(schedule, {.steps = 40, .t_max = 1.0, .t_min = 0.003, .spacing = spacing});
      const double first = coordinate(schedule, spacing, 1.0);
      const double last = coordinate(schedule, spacing, 0.003);
      for (std::size_t k = 0; k < grid.size(); ++k)
        EXPECT_NEAR(coordinate(schedule, spacing, grid[k]), first + (last - first) * static_cast<double>(k) / 40.0,
                    1e-10 * (1.0 + std::abs(first)))
            << schedule.name() << " " << to_string(spacing) << " " << k;
    }
}

RC_GTEST_PROP(TimeGrid, HasExactEndsAndStrictlyDecreases, ()) {
  const auto steps = *rc::gen::inRange<std::size_t>(1, 700);
  const double t_max = *rc::gen::inRange(200, 1000) / 1000.0;
  const double t_min = *rc::gen::inRange(1, 199) / 10000.0;
  const GridSpacing spacing = *rc::gen::elementOf(kSpacings);
  const auto grid =
      make_time_grid(NoiseSchedule::vp_linear(), {.steps = steps, .t_max = t_max, .t_min = t_min, .spacing = spacing});
  RC_ASSERT(grid.size() == steps + 1);
  RC_ASSERT(grid.front() == t_max);
  RC_ASSERT(grid.back() == t_min);
  for (std::size_t k = 1; k < grid.size(); ++k) RC_ASSERT(grid[k] < grid[k - 1]);
}

TEST(TimeGrid, NamesRoundTripAndUnknownOnesSuggest) {
  for (const GridSpacing spacing : kSpacings) EXPECT_EQ(parse_grid_spacing(to_string(spacing)), spacing);
  try {
    parse_grid_spacing("kerras");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()),
              "unknown grid spacing 'kerras' (did you mean 'karras'?); known: uniform, log-snr, quadratic, karras");
  }
}

TEST(TimeGrid, MessagesNameTheOptionItsValueAndTheRule) {
  EXPECT_EQ(message_of({.steps = 0, .t_max = 1.0, .t_min = 0.01, .spacing = GridSpacing::uniform}),
            "grid.steps = 0: must be >= 1");
  EXPECT_EQ(message_of({.steps = 5, .t_max = 1.25, .t_min = 0.01, .spacing = GridSpacing::uniform}),
            "grid.t_max = 1.25: must lie in (0, 1], the times of schedule 'vp-linear'");
  EXPECT_EQ(message_of({.steps = 5, .t_max = 0.5, .t_min = 0.5, .spacing = GridSpacing::uniform}),
            "grid.t_min = 0.5: must be > 0 and < grid.t_max = 0.5");
  EXPECT_EQ(message_of({.steps = 5, .t_max = 0.5, .t_min = 0.0, .spacing = GridSpacing::uniform}),
            "grid.t_min = 0: must be > 0 and < grid.t_max = 0.5");
  EXPECT_NE(message_of({.steps = 5, .t_max = 0.5, .t_min = NAN, .spacing = GridSpacing::uniform}),
            "nothing was thrown");
  EXPECT_EQ(message_of({.steps = 3, .t_max = 0.5, .t_min = std::nextafter(0.5, 0.0), .spacing = GridSpacing::uniform}),
            "grid.steps = 3: is too many between t_max = 0.5 and t_min = 0.49999999999999994: times 0 and 1 coincide");
}

}  // namespace
}  // namespace fslens
