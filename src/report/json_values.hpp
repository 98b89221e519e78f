// What JSON documents have in common. Templates of the JSON type, whose header stays in source files.
#pragma once

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "fslens/diagnosis/diagnosis.hpp"

namespace fslens {

/// null for a number that is absent or not finite.
template <class Json>
Json json_number(std::optional<double> value) {
  return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

/// NaN for null.
template <class Json>
double json_number_from(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.template get<double>();
}

/// Absent where the key is, or is null.
template <class Json>
std::optional<double> json_optional_from(const Json& object, const char* key) {
  if (!object.contains(key) || object.at(key).is_null()) return std::nullopt;
  return object.at(key).template get<double>();
}

template <class Json>
Json json_numbers(const auto& values) {
  Json out = Json::array();
  for (const auto& value : values) out.push_back(json_number<Json>(value));
  return out;
}

template <class Json>
Json json_check(const Check& check) {
  return {{"id", check.id},
          {"verdict", to_string(check.verdict)},
          {"effect", json_number<Json>(check.effect)},
          {"interval", check.low && check.high ? Json::array({json_number<Json>(check.low), json_number<Json>(check.high)}) : Json(nullptr)},
          {"margin", json_number<Json>(check.margin)},
          {"detectable", json_number<Json>(check.detectable)},
          {"null", json_number<Json>(check.null)},
          {"worst_t", json_number<Json>(check.worst_t)},
          {"first_t", json_number<Json>(check.first_t)},
          {"finding", check.finding},
          {"advice", check.advice}};
}

}  // namespace fslens
