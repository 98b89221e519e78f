#include "fslens/diagnosis/weight_schedule_file.hpp"

#include <fmt/format.h>

#include <utility>

#include "fslens/core/error.hpp"
#include "fslens/io/array.hpp"
#include "fslens/io/file.hpp"

namespace fslens {
namespace {

constexpr std::string_view kHeader = "t,weight";

WeightSchedule read_archive(const std::string& path) {
  const auto vector = [&](const std::string& key) {
    NumericArray array = read_array(path + ":" + key);
    if (array.shape.size() != 1) throw DataError(path, fmt::format("{} has the shape {}; expected (T,)", key, shape_text(array.shape)));
    return std::move(array).to_double();
  };
  return {vector("t"), vector("weight")};
}

WeightSchedule read_table(const std::string& path) {
  const std::string text = read_text_file(path);
  const std::string header = text.substr(0, text.find_first_of("\r\n"));
  if (header != kHeader)
    throw DataError(path, fmt::format("begins with '{}'; a weight schedule begins with the line {} (or is an .npz with t and weight)",
                                      header.substr(0, 40), kHeader));
  const NumericArray array = read_array(path);
  if (array.shape[1] != 2) throw DataError(path, fmt::format("has {} columns; expected {}", array.shape[1], kHeader));
  const std::vector<double> values = array.to_double();
  WeightSchedule schedule;
  for (std::size_t i = 0; i < array.shape[0]; ++i) {
    schedule.t.push_back(values[2 * i]);
    schedule.weight.push_back(values[2 * i + 1]);
  }
  return schedule;
}

}  // namespace

WeightSchedule read_weight_schedule(const std::string& path) {
  WeightSchedule schedule = path.ends_with(".npz") ? read_archive(path) : read_table(path);
  try {
    require_valid(schedule);
  } catch (const InvalidArgument& error) {
    throw DataError(path, error.what());
  }
  return schedule;
}

std::string to_csv(const WeightSchedule& schedule) {
  std::string out(kHeader);
  for (std::size_t i = 0; i < schedule.t.size(); ++i) out += fmt::format("\n{},{}", schedule.t[i], schedule.weight[i]);
  return out + "\n";
}

SamplerSpec with_schedule_read(SamplerSpec spec) {
  if (const auto named = spec.parameters.find("schedule"); named != spec.parameters.end())
    spec.schedule = read_weight_schedule(named->second);
  return spec;
}

}  // namespace fslens
