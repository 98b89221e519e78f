// Time grids for the reverse process.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "fslens/diffusion/schedule.hpp"

namespace fslens {

enum class GridSpacing {
  uniform,    ///< uniform in t
  log_snr,    ///< uniform in log(a²/s²)
  quadratic,  ///< √t uniform
  karras      ///< (s/a)^{1/7} uniform (Karras et al. 2022, ρ = 7)
};

struct TimeGridOptions {
  std::size_t steps = 500;  ///< ≥ 1
  double t_max = 1.0;       ///< 0 < t_min < t_max ≤ schedule.t_max()
  double t_min = 0.01;
  GridSpacing spacing = GridSpacing::uniform;
};

GridSpacing parse_grid_spacing(const std::string& name);  ///< "uniform", "log-snr", "quadratic", "karras". @throws UsageError
std::string to_string(GridSpacing spacing);

/// steps + 1 times, strictly decreasing from exactly t_max to exactly t_min. @throws InvalidArgument
std::vector<double> make_time_grid(const NoiseSchedule& schedule, const TimeGridOptions& options);

}  // namespace fslens
