#include "fslens/diagnosis/recording.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "fslens/core/error.hpp"

namespace fslens {
namespace {

bool has(const std::vector<std::string>& keys, const std::string& key) { return std::ranges::find(keys, key) != keys.end(); }

/// σ = s/a fixes the log signal-to-noise ratio, and with it the time under any schedule.
double time_of_sigma(const NoiseSchedule& schedule, const std::string& name, double sigma) {
  const double earliest = 1e-9 * schedule.t_max();
  const auto sigma_at = [&](double t) { return schedule.s(t) / schedule.a(t); };
  const double low = sigma_at(earliest), high = sigma_at(schedule.t_max());
  constexpr double kRounding = 1e-9;  // of a recorder that computed the same σ otherwise
  require_between(name, sigma, low * (1.0 - kRounding), high * (1.0 + kRounding));
  if (sigma >= high) return schedule.t_max();
  return schedule.time_of_log_snr(-2.0 * std::log(std::max(sigma, low)), earliest, schedule.t_max());
}

/// The diffusion time of each recorded state. @throws DataError
std::vector<double> read_times(const std::string& path, const std::vector<std::string>& keys, const NoiseSchedule& schedule) {
  const std::string key = has(keys, "t") ? "t" : "sigma";
  if (!has(keys, key)) throw DataError(path, fmt::format("has x but neither t nor sigma; it holds {}", fmt::join(keys, ", ")));
  const NumericArray array = read_array(path + ":" + key);
  if (array.shape.size() != 1) throw DataError(path, fmt::format("{} has shape {}; expected (T,)", key, shape_text(array.shape)));
  std::vector<double> times = array.to_double();
  for (std::size_t i = 0; i < times.size(); ++i) {
    const std::string name = fmt::format("{}[{}]", key, i);
    try {
      require_positive(name, times[i]);
      if (key == "sigma") times[i] = time_of_sigma(schedule, name, times[i]);
      schedule.require_time(name, times[i]);
    } catch (const InvalidArgument& error) {
      throw DataError(path, error.what());
    }
  }
  return times;
}

/// At most `most` of the indices, evenly spaced, first and last kept.
std::vector<std::size_t> thinned(const std::vector<std::size_t>& all, std::size_t most) {
  if (all.size() <= most) return all;
  std::vector<std::size_t> some;
  for (std::size_t j = 0; j < most; ++j) some.push_back(all[j * (all.size() - 1) / (most - 1)]);
  return some;
}

}  // namespace

Recording Recording::read(const std::string& path, const NoiseSchedule& schedule, std::size_t dim, std::size_t max_times) {
  Recording out;
  out.name_ = std::filesystem::path(path).stem().string();
  out.dim_ = dim;
  const std::vector<std::string> keys = list_arrays(path);
  if (keys.empty() && !std::filesystem::exists(path)) throw DataError(path, "no such file");
  const bool final_only = !has(keys, "x");
  if (final_only && !has(keys, "x0"))
    throw DataError(path, fmt::format("must hold x (T, B, d) with t (T,), or x0 (B, d); it holds {}", fmt::join(keys, ", ")));
  NumericArray x = read_array(path + (final_only ? ":x0" : ":x"));
  const std::size_t rank = final_only ? 2 : 3;
  const std::vector<std::size_t> shape = x.shape;
  out.x_ = std::move(x);
  if (shape.size() != rank || shape.back() != dim)
    throw DataError(path, fmt::format("{} has shape {}; expected {} with d = {}", final_only ? "x0" : "x", shape_text(shape),
                                      final_only ? "(B, d)" : "(T, B, d)", dim));
  out.num_particles_ = shape[rank - 2];
  if (shape[0] == 0 || out.num_particles_ < kFewestParticles)
    throw DataError(path, fmt::format("{} has shape {}; a diagnosis needs at least one time and {} particles",
                                      final_only ? "x0" : "x", shape_text(shape), kFewestParticles));
  if (final_only) {
    out.times_ = {0.0};
    out.source_ = {0};
    return out;
  }
  const std::vector<double> times = read_times(path, keys, schedule);
  if (times.size() != shape[0])
    throw DataError(path, fmt::format("t has {} entries and x has {} times; they must agree", times.size(), shape[0]));
  std::vector<std::size_t> order(times.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return times[i] > times[j]; });
  for (std::size_t j = 1; j < order.size(); ++j)
    if (times[order[j]] == times[order[j - 1]]) throw DataError(path, fmt::format("t = {} occurs twice", times[order[j]]));
  for (const std::size_t i : thinned(order, max_times)) {
    out.source_.push_back(i);
    out.times_.push_back(times[i]);
  }
  return out;
}

Recording::Recording(std::string name, std::vector<double> times, std::vector<Matrix> states)
    : name_(std::move(name)), times_(std::move(times)) {
  require(!times_.empty() && times_.size() == states.size(), "times", std::to_string(times_.size()),
          fmt::format("must be at least 1 and as many as the states, {}", states.size()));
  num_particles_ = states[0].rows();
  dim_ = states[0].cols();
  require(num_particles_ >= kFewestParticles, "states", std::to_string(num_particles_), fmt::format("must be at least {}", kFewestParticles));
  for (std::size_t i = 0; i < states.size(); ++i) {
    require(states[i].rows() == num_particles_ && states[i].cols() == dim_, fmt::format("states[{}]", i), fmt::format("{} x {}", states[i].rows(), states[i].cols()),
            fmt::format("must be {} x {}, as the first", num_particles_, dim_));
    require((std::isfinite(times_[i]) && times_[i] > 0.0) || (times_[i] == 0.0 && i + 1 == times_.size()), fmt::format("times[{}]", i), fmt::format("{}", times_[i]),
            "must be positive, or 0 as the last");
    require(i == 0 || times_[i] < times_[i - 1], fmt::format("times[{}]", i), fmt::format("{}", times_[i]), "must be below the one before it");
  }
  x_ = std::move(states);
}

Matrix Recording::states(std::size_t index) const {
  if (const auto* at_hand = std::get_if<std::vector<Matrix>>(&x_)) return (*at_hand)[index];
  Matrix out(num_particles_, dim_);
  const std::size_t first = source_[index] * out.size();
  std::visit([&](const auto& values) {
    for (std::size_t i = 0; i < out.size(); ++i) out.values()[i] = static_cast<double>(values[first + i]);
  }, std::get<NumericArray>(x_).values);
  return out;
}

}  // namespace fslens
