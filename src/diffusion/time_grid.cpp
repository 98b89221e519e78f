#include "fslens/diffusion/time_grid.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

#include "fslens/core/error.hpp"

namespace fslens {
namespace {

const std::array<std::pair<GridSpacing, std::string>, 4> kSpacings{{{GridSpacing::uniform, "uniform"},
                                                                    {GridSpacing::log_snr, "log-snr"},
                                                                    {GridSpacing::quadratic, "quadratic"},
                                                                    {GridSpacing::karras, "karras"}}};

double between(double first, double last, double fraction) { return first + (last - first) * fraction; }

/// The time at `fraction` of the way from t_max (0) to t_min (1).
double time_at(const NoiseSchedule& schedule, const TimeGridOptions& options, double fraction) {
  switch (options.spacing) {
    case GridSpacing::uniform:
      return between(options.t_max, options.t_min, fraction);
    case GridSpacing::quadratic: {
      const double root = between(std::sqrt(options.t_max), std::sqrt(options.t_min), fraction);
      return root * root;
    }
    case GridSpacing::log_snr: {
      const double value = between(schedule.log_snr(options.t_max), schedule.log_snr(options.t_min), fraction);
      return schedule.time_of_log_snr(value, options.t_min, options.t_max);
    }
    case GridSpacing::karras: {
      constexpr double kRho = 7.0;
      // (s/a)^{1/ρ} = exp(−log_snr / 2ρ)
      const double root = between(std::exp(-schedule.log_snr(options.t_max) / (2.0 * kRho)),
                                  std::exp(-schedule.log_snr(options.t_min) / (2.0 * kRho)), fraction);
      return schedule.time_of_log_snr(-2.0 * kRho * std::log(root), options.t_min, options.t_max);
    }
  }
  throw InvalidArgument(fmt::format("grid.spacing = {}: is not a GridSpacing", static_cast<int>(options.spacing)));
}

void require_valid(const NoiseSchedule& schedule, const TimeGridOptions& options) {
  require(options.steps >= 1, "grid.steps", fmt::format("{}", options.steps), "must be >= 1");
  schedule.require_time("grid.t_max", options.t_max);
  require(options.t_min > 0.0 && options.t_min < options.t_max, "grid.t_min", fmt::format("{}", options.t_min),
          fmt::format("must be > 0 and < grid.t_max = {}", options.t_max));
}

}  // namespace

GridSpacing parse_grid_spacing(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [spacing, text] : kSpacings) {
    if (name == text) return spacing;
    known.push_back(text);
  }
  throw UsageError(unknown_name_message("grid spacing", name, known));
}

std::string to_string(GridSpacing spacing) {
  for (const auto& [known, text] : kSpacings)
    if (known == spacing) return text;
  throw InvalidArgument(fmt::format("spacing = {}: is not a GridSpacing", static_cast<int>(spacing)));
}

std::vector<double> make_time_grid(const NoiseSchedule& schedule, const TimeGridOptions& options) {
  require_valid(schedule, options);
  std::vector<double> times(options.steps + 1);
  for (std::size_t k = 1; k < options.steps; ++k)
    times[k] = time_at(schedule, options, static_cast<double>(k) / static_cast<double>(options.steps));
  times.front() = options.t_max;
  times.back() = options.t_min;
  for (std::size_t k = 1; k < times.size(); ++k)
    require(times[k] < times[k - 1], "grid.steps", fmt::format("{}", options.steps),
            fmt::format("is too many between t_max = {} and t_min = {}: times {} and {} coincide", options.t_max,
                        options.t_min, k - 1, k));
  return times;
}

}  // namespace fslens
