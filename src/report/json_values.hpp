// Numbers as JSON: what is undefined or not finite is null.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "fslens/diagnosis/diagnosis.hpp"

namespace fslens {

using Json = nlohmann::ordered_json;

inline Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
inline Json number(const std::optional<double>& value) { return value ? number(*value) : Json(nullptr); }

inline Json numbers(const auto& values) {
  Json out = Json::array();
  for (const auto& value : values) out.push_back(number(value));
  return out;
}

/// A check as diagnosis.json has it.
Json check_json(const Check& check);

}  // namespace fslens
