// Error budgets, sweeps and finite-sample errors as JSON, and back. Templates of the JSON type, whose header stays in source files.
#pragma once

#include <limits>
#include <map>
#include <string>

#include "fslens/diagnosis/diagnosis.hpp"
#include "json_values.hpp"

namespace fslens {

inline constexpr const char* kBudgetUnit = "posterior standard deviations, sliced W2";

/// The rows of a budget by their names in reports.
template <class Budget, class F>
void for_each_row(Budget& budget, const F& f) {
  f("monte_carlo", budget.monte_carlo);
  f("finite_n", budget.finite_n);
  f("discretisation", budget.discretisation);
  f("initialisation", budget.initialisation);
  f("likelihood", budget.likelihood);
  f("dynamics", budget.dynamics);
  f("prior", budget.prior);
  f("measurement", budget.measurement);
  f("total", budget.total);
}

template <class Json>
Json entry_json(const BudgetEntry& entry) {
  return {{"value", json_number<Json>(entry.value)}, {"interval", Json::array({json_number<Json>(entry.low), json_number<Json>(entry.high)})}};
}

template <class Json>
BudgetEntry entry_from(const Json& json) {
  return {json_number_from(json.at("value")), json_number_from(json.at("interval").at(0)), json_number_from(json.at("interval").at(1))};
}

template <class Json>
Json interval_json(const LensInterval& interval) {
  return {{"value", json_number<Json>(interval.value)}, {"low", json_number<Json>(interval.low)}, {"high", json_number<Json>(interval.high)}};
}

template <class Json>
LensInterval interval_from(const Json& json) {
  return {json_number_from(json.at("value")), json_number_from(json.at("low")), json_number_from(json.at("high"))};
}

template <class Json>
Json budget_json(const SamplerDiagnosis& sampler) {
  Json out = {{"sampler", sampler.name}};
  Json intervals = Json::object();
  for_each_row(sampler.budget, [&](const char* name, const std::optional<BudgetEntry>& entry) {
    out[name] = entry ? json_number<Json>(entry->value) : Json(nullptr);
    if (entry) intervals[name] = Json::array({json_number<Json>(entry->low), json_number<Json>(entry->high)});
  });
  out["intervals"] = intervals;
  out["absent"] = sampler.budget.absent;
  out["largest"] = sampler.budget.largest.empty() ? Json(nullptr) : Json(sampler.budget.largest);
  out["unit"] = kBudgetUnit;
  return out;
}

template <class Json>
ErrorBudget budget_from(const Json& json) {
  ErrorBudget out;
  const Json intervals = json.contains("intervals") ? json.at("intervals") : Json::object();
  for_each_row(out, [&](const char* name, std::optional<BudgetEntry>& entry) {
    const std::optional<double> value = json_optional_from(json, name);
    if (!value) return;
    entry = BudgetEntry{*value, *value, *value};
    if (intervals.contains(name)) entry->low = json_number_from(intervals.at(name).at(0)), entry->high = json_number_from(intervals.at(name).at(1));
  });
  out.absent = json.contains("absent") ? json.at("absent").template get<std::map<std::string, std::string>>() : std::map<std::string, std::string>();
  if (json.contains("largest") && !json.at("largest").is_null()) out.largest = json.at("largest").template get<std::string>();
  return out;
}

template <class Json>
Json location_json(const ErrorLocation& location) {
  Json out = {{"particles", location.num_particles}, {"begin", json_number<Json>(location.begin)}, {"half", json_number<Json>(location.half)},
              {"end", json_number<Json>(location.end)},         {"finding", location.finding},     {"unit", kBudgetUnit}};
  out["exact_score"] = location.exact_score ? entry_json<Json>(*location.exact_score) : Json(nullptr);
  out["sweeps"] = Json::array();
  for (const SweepPoint& point : location.points)
    out["sweeps"].push_back({{"t", json_number<Json>(point.t)},
                             {"hand_off", entry_json<Json>(point.hand_off)},
                             {"entry", point.entry ? entry_json<Json>(*point.entry) : Json(nullptr)}});
  return out;
}

template <class Json>
ErrorLocation location_from(const Json& json) {
  ErrorLocation out;
  out.num_particles = json.at("particles").template get<std::size_t>();
  out.begin = json_optional_from(json, "begin");
  out.half = json_optional_from(json, "half");
  out.end = json_optional_from(json, "end");
  out.finding = json.at("finding").template get<std::string>();
  if (json.contains("exact_score") && !json.at("exact_score").is_null()) out.exact_score = entry_from(json.at("exact_score"));
  for (const Json& point : json.at("sweeps")) {
    SweepPoint& added = out.points.emplace_back();
    added.t = json_number_from(point.at("t"));
    added.hand_off = entry_from(point.at("hand_off"));
    if (!point.at("entry").is_null()) added.entry = entry_from(point.at("entry"));
  }
  return out;
}

template <class Json>
Json finite_sample_json(const FiniteSampleError& error) {
  Json out = {{"ess", interval_json<Json>(error.ess)},
              {"log_evidence", interval_json<Json>(error.log_evidence)},
              {"total_variance", interval_json<Json>(error.total_variance)},
              {"mean_error", json_number<Json>(error.mean_error)},
              {"sliced_w2", interval_json<Json>(error.sliced_w2)},
              {"pareto_k", json_number<Json>(error.pareto_k)}};
  out["mode_weights"] = Json::array();
  for (const LensInterval& interval : error.mode_weights) out["mode_weights"].push_back(interval_json<Json>(interval));
  return out;
}

template <class Json>
FiniteSampleError finite_sample_from(const Json& json) {
  FiniteSampleError out;
  out.ess = interval_from(json.at("ess"));
  out.log_evidence = interval_from(json.at("log_evidence"));
  out.total_variance = interval_from(json.at("total_variance"));
  out.mean_error = json_number_from(json.at("mean_error"));
  out.sliced_w2 = interval_from(json.at("sliced_w2"));
  out.pareto_k = json_optional_from(json, "pareto_k");
  for (const Json& interval : json.at("mode_weights")) out.mode_weights.push_back(interval_from(interval));
  return out;
}

}  // namespace fslens
