#include "budget_json.hpp"

#include <cmath>
#include <limits>

namespace fslens {
namespace {

constexpr const char* kUnit = "posterior standard deviations, sliced W2";

/// The rows of a budget by their names in reports.
template <class Budget, class F>
void for_each_row(Budget& budget, const F& f) {
  f("monte_carlo", budget.monte_carlo);
  f("finite_n", budget.finite_n);
  f("discretisation", budget.discretisation);
  f("initialisation", budget.initialisation);
  f("likelihood", budget.likelihood);
  f("prior", budget.prior);
  f("measurement", budget.measurement);
  f("total", budget.total);
}

Json entry_json(const BudgetEntry& entry) {
  return {{"value", number(entry.value)}, {"interval", Json::array({number(entry.low), number(entry.high)})}};
}

BudgetEntry entry_from(const Json& json) {
  return {number_from(json.at("value")), number_from(json.at("interval").at(0)), number_from(json.at("interval").at(1))};
}

Json interval_json(const LensInterval& interval) {
  return {{"value", number(interval.value)}, {"low", number(interval.low)}, {"high", number(interval.high)}};
}

LensInterval interval_from(const Json& json) {
  return {number_from(json.at("value")), number_from(json.at("low")), number_from(json.at("high"))};
}

}  // namespace

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json number(const std::optional<double>& value) { return value ? number(*value) : Json(nullptr); }

double number_from(const Json& value) { return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>(); }

std::optional<double> optional_from(const Json& object, const char* key) {
  if (!object.contains(key) || object.at(key).is_null()) return std::nullopt;
  return object.at(key).get<double>();
}

Json budget_json(const SamplerDiagnosis& sampler) {
  Json out = {{"sampler", sampler.name}};
  Json intervals = Json::object();
  for_each_row(sampler.budget, [&](const char* name, const std::optional<BudgetEntry>& entry) {
    out[name] = entry ? number(entry->value) : Json(nullptr);
    if (entry) intervals[name] = Json::array({number(entry->low), number(entry->high)});
  });
  out["intervals"] = intervals;
  out["absent"] = sampler.budget.absent;
  out["largest"] = sampler.budget.largest.empty() ? Json(nullptr) : Json(sampler.budget.largest);
  out["unit"] = kUnit;
  return out;
}

ErrorBudget budget_from(const Json& json) {
  ErrorBudget out;
  const Json intervals = json.value("intervals", Json::object());
  for_each_row(out, [&](const char* name, std::optional<BudgetEntry>& entry) {
    const std::optional<double> value = optional_from(json, name);
    if (!value) return;
    entry = BudgetEntry{*value, *value, *value};
    if (intervals.contains(name)) entry->low = number_from(intervals.at(name).at(0)), entry->high = number_from(intervals.at(name).at(1));
  });
  out.absent = json.value("absent", std::map<std::string, std::string>());
  if (json.contains("largest") && !json.at("largest").is_null()) out.largest = json.at("largest").get<std::string>();
  return out;
}

Json location_json(const ErrorLocation& location) {
  Json out = {{"particles", location.num_particles}, {"begin", number(location.begin)}, {"half", number(location.half)},
              {"end", number(location.end)},         {"finding", location.finding},     {"unit", kUnit}};
  out["sweeps"] = Json::array();
  for (const SweepPoint& point : location.points)
    out["sweeps"].push_back({{"t", number(point.t)},
                             {"hand_off", entry_json(point.hand_off)},
                             {"entry", point.entry ? entry_json(*point.entry) : Json(nullptr)}});
  return out;
}

ErrorLocation location_from(const Json& json) {
  ErrorLocation out;
  out.num_particles = json.at("particles").get<std::size_t>();
  out.begin = optional_from(json, "begin");
  out.half = optional_from(json, "half");
  out.end = optional_from(json, "end");
  out.finding = json.value("finding", "");
  for (const Json& point : json.at("sweeps")) {
    SweepPoint& added = out.points.emplace_back();
    added.t = number_from(point.at("t"));
    added.hand_off = entry_from(point.at("hand_off"));
    if (!point.at("entry").is_null()) added.entry = entry_from(point.at("entry"));
  }
  return out;
}

Json finite_sample_json(const FiniteSampleError& error) {
  Json out = {{"ess", interval_json(error.ess)},
              {"log_evidence", interval_json(error.log_evidence)},
              {"total_variance", interval_json(error.total_variance)},
              {"mean_error", number(error.mean_error)},
              {"sliced_w2", interval_json(error.sliced_w2)},
              {"pareto_k", number(error.pareto_k)}};
  out["mode_weights"] = Json::array();
  for (const LensInterval& interval : error.mode_weights) out["mode_weights"].push_back(interval_json(interval));
  return out;
}

FiniteSampleError finite_sample_from(const Json& json) {
  FiniteSampleError out;
  out.ess = interval_from(json.at("ess"));
  out.log_evidence = interval_from(json.at("log_evidence"));
  out.total_variance = interval_from(json.at("total_variance"));
  out.mean_error = number_from(json.at("mean_error"));
  out.sliced_w2 = interval_from(json.at("sliced_w2"));
  out.pareto_k = optional_from(json, "pareto_k");
  for (const Json& interval : json.at("mode_weights")) out.mode_weights.push_back(interval_from(interval));
  return out;
}

}  // namespace fslens
