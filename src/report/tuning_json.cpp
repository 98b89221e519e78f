#include "fslens/report/report.hpp"
#include "json_values.hpp"

namespace fslens {
namespace {

Json search_json(const TuningSearch& search, const TuningRange& range) {
  Json out = {{"range", {range.low, range.high}},
              {"scale", range.is_logarithmic() ? "logarithmic" : "linear"},
              {"best", number(search.best_value())},
              {"edge", to_string(search.edge)}};
  out["candidates"] = Json::array();
  for (const TuningCandidate& candidate : search.candidates)
    out["candidates"].push_back({{"value", candidate.value},
                                 {"refined", candidate.refined},
                                 {"distance", number(candidate.distance)},
                                 {"diverged", candidate.num_diverged}});
  return out;
}

Json ratio_json(const std::optional<RatioOfMeans>& ratio) {
  if (!ratio) return nullptr;
  return {{"value", number(ratio->value)}, {"low", number(ratio->low)}, {"high", number(ratio->high)}};
}

Json setting_json(const TestedSetting& setting) {
  Json out = {{"name", setting.name},
              {"parameters", setting.spec.parameters},
              {"mean", number(setting.mean)},
              {"in_null_bands", number(setting.in_bands)},
              {"improvement", ratio_json(setting.improvement)},
              {"over_tuned", ratio_json(setting.over_tuned)},
              {"distances", numbers(setting.distances)}};
  out["checks"] = Json::array();
  for (const Check& check : setting.checks) out["checks"].push_back(check_json(check));
  return out;
}

Json weight_json(const OptimalWeight& weight) {
  return {{"t", weight.t},
          {"weight", number(weight.weight)},
          {"weight_error", number(weight.weight_error)},
          {"exact_square", number(weight.exact_square)},
          {"unit_error", number(weight.unit_error)},
          {"removed", number(weight.removed)},
          {"unrepairable", number(weight.unrepairable)},
          {"unrepairable_error", number(weight.unrepairable_error)}};
}

}  // namespace

std::string to_json(const TuneResult& result) {
  Json out = {{"schema", 1},
              {"problem", result.problem},
              {"title", result.title},
              {"sampler", result.sampler},
              {"parameter", result.parameter},
              {"default", number(result.default_value)},
              {"metric", to_string(result.metric)},
              {"unit", unit_of(result.metric)},
              {"particles", result.num_particles},
              {"training_measurements", result.num_train},
              {"unseen_measurements", result.num_test},
              {"collapsed_measurements", result.num_collapsed},
              {"confidence", result.confidence},
              {"seconds", number(result.seconds)},
              {"search", search_json(result.search, result.range)},
              {"schedule_search", result.schedule_search ? search_json(*result.schedule_search, kScheduleScale) : Json(nullptr)}};
  out["optimal_weight"] = Json::array();
  for (const OptimalWeight& weight : result.optimal_weights) out["optimal_weight"].push_back(weight_json(weight));
  out["settings"] = Json::array();
  for (const TestedSetting& setting : result.tested) out["settings"].push_back(setting_json(setting));
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace fslens
