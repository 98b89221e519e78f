// What JSON documents have in common. Templates of the JSON type, whose header stays in source files.
#pragma once

#include <cmath>
#include <optional>
#include <vector>

#include "fslens/diagnosis/diagnosis.hpp"

namespace fslens {

/// null for a number that is absent or not finite.
template <class Json>
Json json_number(std::optional<double> value) {
  return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

template <class Json>
Json json_numbers(const std::vector<double>& values) {
  Json out = Json::array();
  for (const double value : values) out.push_back(json_number<Json>(value));
  return out;
}

template <class Json>
Json json_check(const Check& check) {
  return {{"id", check.id},
          {"verdict", to_string(check.verdict)},
          {"effect", json_number<Json>(check.effect)},
          {"interval", check.low && check.high ? Json::array({json_number<Json>(check.low), json_number<Json>(check.high)}) : Json(nullptr)},
          {"margin", json_number<Json>(check.margin)},
          {"null", json_number<Json>(check.null)},
          {"worst_t", json_number<Json>(check.worst_t)},
          {"first_t", json_number<Json>(check.first_t)},
          {"finding", check.finding},
          {"advice", check.advice}};
}

}  // namespace fslens
