#include <fmt/format.h>


#include "fslens/core/error.hpp"
#include "fslens/report/report.hpp"
#include "budget_values.hpp"
#include "json_values.hpp"

namespace fslens {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto number = &json_number<Json>;
constexpr auto check_json = &json_check<Json>;
constexpr auto number_from = &json_number_from<Json>;
constexpr auto optional_from = &json_optional_from<Json>;

Json final_json(const FinalStatistics& f) {
  return {{"mode_weights", json_numbers<Json>(f.mode_weights)},
          {"mode_weights_tv", number(f.mode_weights_tv)},
          {"prior_hallucination", number(f.prior_hallucination)},
          {"prior_hallucination_atoms", number(f.prior_hallucination_atoms)},
          {"likelihood_hallucination", number(f.likelihood_hallucination)},
          {"diverged", number(f.diverged)},
          {"duplicates", number(f.duplicates)},
          {"spread_ratio", number(f.spread_ratio)},
          {"sliced_w2", number(f.sliced_w2)},
          {"energy", number(f.energy)},
          {"mmd", number(f.mmd)},
          {"ksd", number(f.ksd)},
          {"total_variation", number(f.total_variation)},
          {"early_stopping_slope", number(f.early_stopping_slope)}};
}

Json curves_json(const SamplerDiagnosis& sampler) {
  Json out = {{"t", json_numbers<Json>(sampler.t)}};
  out["score_error"] = Json::array();  // empty unless the sampler has a likelihood score
  out["path_kl"] = Json::array();
  for (const Curve& curve : sampler.curves) {
    out[curve.name] = json_numbers<Json>(curve.value);
    if (curve.null_mean.empty()) continue;
    out["null"][curve.name] = {
        {"low", json_numbers<Json>(curve.null_low)}, {"mean", json_numbers<Json>(curve.null_mean)}, {"high", json_numbers<Json>(curve.null_high)}};
  }
  out["mode_weights"] = Json::array();
  for (const auto& weights : sampler.mode_weight_curves) out["mode_weights"].push_back(json_numbers<Json>(weights));
  for (std::size_t i = 0; i < sampler.mode_weight_low.size(); ++i) {
    out["null"]["mode_weights"]["low"].push_back(json_numbers<Json>(sampler.mode_weight_low[i]));
    out["null"]["mode_weights"]["high"].push_back(json_numbers<Json>(sampler.mode_weight_high[i]));
  }
  return out;
}

Json path_json(const PathKlSummary& path) {
  return {{"total", number(path.total)},
          {"standard_error", number(path.standard_error)},
          {"initialisation", number(path.initialisation)},
          {"likelihood", number(path.likelihood)},
          {"discretisation", number(path.discretisation)},
          {"half_begin", number(path.half_begin)},
          {"half_end", number(path.half_end)},
          {"of_chain", path.of_chain},
          {"is_bound", path.is_bound}};
}

Json law_json(const NoiseFreeLaw& law) {
  return {{"mode_weights", json_numbers<Json>(law.mode_weights)},
          {"total_variation", number(law.total_variation)},
          {"kl", number(law.kl)},
          {"error", number(law.error)}};
}

Json sampler_json(const SamplerDiagnosis& sampler) {
  Json out = {{"name", sampler.name},       {"options", sampler.options}, {"status", sampler.status},
              {"message", sampler.message}, {"particles", sampler.num_particles}, {"seconds", number(sampler.seconds)},
              {"verdict", to_string(sampler.verdict)},  {"final", final_json(sampler.final)}};
  for (const auto& [name, interval] : sampler.intervals)
    out["final_intervals"][name] = {{"value", number(interval.value)},         {"low", number(interval.low)},
                                    {"high", number(interval.high)},           {"null_low", number(interval.null_low)},
                                    {"null_mean", number(interval.null_mean)}, {"null_high", number(interval.null_high)}};
  out["curves"] = curves_json(sampler);
  out["mode_departures"] = Json::array();
  for (const std::optional<double>& t : sampler.mode_departures) out["mode_departures"].push_back(number(t));
  out["path_kl"] = sampler.path_kl ? path_json(*sampler.path_kl) : Json(nullptr);
  out["law"] = sampler.law ? law_json(*sampler.law) : Json(nullptr);
  out["law_absent"] = sampler.law_absent;
  if (sampler.location) out["error_location"] = location_json<Json>(*sampler.location);
  out["checks"] = Json::array();
  for (const Check& check : sampler.checks) out["checks"].push_back(check_json(check));
  return out;
}

Json lens_json(const LensSummary& lens) {
  Json out = {{"prior", lens.prior_kind}, {"num_atoms", lens.num_atoms}, {"dim", lens.dim},
              {"num_measurements", lens.num_measurements}, {"ess", number(lens.ess)}, {"log_evidence", number(lens.log_evidence)}};
  if (const auto& s = lens.smoothing)
    out["smoothing"] = {{"kernel", s->kernel}, {"bandwidth", number(s->bandwidth)}, {"by_leave_one_out", s->by_leave_one_out},
                        {"automatic", s->automatic}, {"copies", s->copies}, {"raw_ess", number(s->raw_ess)},
                        {"raw_log_evidence", number(s->raw_log_evidence)}};
  if (lens.finite_sample) out["finite_sample"] = finite_sample_json<Json>(*lens.finite_sample);
  out["modes"] = Json::array();
  for (const ModeSummary& mode : lens.modes)
    out["modes"].push_back({{"id", mode.id},
                            {"label", mode.label},
                            {"prior_weight", number(mode.prior_weight)},
                            {"posterior_weight", number(mode.posterior_weight)}});
  return out;
}

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
              {"training", number(setting.on_training)},
              {"mean", number(setting.mean)},
              {"in_null_bands", number(setting.in_bands)},
              {"improvement", ratio_json(setting.improvement)},
              {"over_tuned", ratio_json(setting.over_tuned)},
              {"distances", json_numbers<Json>(setting.distances)}};
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

// Reading: what the terminal report shows is read back; absent keys stay absent.

std::vector<double> numbers_from(const Json& values) {
  std::vector<double> out;
  for (const Json& value : values) out.push_back(number_from(value));
  return out;
}

Check check_from(const Json& json) {
  Check check;
  check.id = json.at("id").get<std::string>();
  check.verdict = parse_verdict(json.at("verdict").get<std::string>());
  check.effect = optional_from(json, "effect");
  if (!json.at("interval").is_null()) {
    check.low = number_from(json.at("interval").at(0));
    check.high = number_from(json.at("interval").at(1));
  }
  check.margin = number_from(json.at("margin"));
  check.null = optional_from(json, "null");
  check.detectable = optional_from(json, "detectable");
  check.worst_t = optional_from(json, "worst_t");
  check.first_t = optional_from(json, "first_t");
  check.finding = json.value("finding", "");
  check.advice = json.value("advice", "");
  return check;
}

PathKlSummary path_from(const Json& json) {
  PathKlSummary path;
  path.total = number_from(json.at("total"));
  path.standard_error = optional_from(json, "standard_error");
  path.initialisation = optional_from(json, "initialisation");
  path.likelihood = optional_from(json, "likelihood");
  path.discretisation = optional_from(json, "discretisation");
  path.half_begin = optional_from(json, "half_begin");
  path.half_end = optional_from(json, "half_end");
  path.of_chain = json.at("of_chain").get<bool>();
  path.is_bound = json.at("is_bound").get<bool>();
  return path;
}

/// What was made of the whole path. Runs of earlier versions have none of it.
void read_path_findings(const Json& json, SamplerDiagnosis& out) {
  if (const auto departures = json.find("mode_departures"); departures != json.end())
    for (const Json& t : *departures) out.mode_departures.push_back(t.is_null() ? std::nullopt : std::optional(t.get<double>()));
  if (const auto path = json.find("path_kl"); path != json.end() && !path->is_null()) out.path_kl = path_from(*path);
  if (const auto law = json.find("law"); law != json.end() && !law->is_null())
    out.law = NoiseFreeLaw{numbers_from(law->at("mode_weights")), number_from(law->at("total_variation")), optional_from(*law, "kl"),
                           number_from(law->at("error"))};
  out.law_absent = json.value("law_absent", "");
  const Json& curves = json.at("curves");
  if (!curves.contains("null") || !curves.at("null").contains("mode_weights")) return;
  const Json& band = curves.at("null").at("mode_weights");
  for (const Json& low : band.at("low")) out.mode_weight_low.push_back(numbers_from(low));
  for (const Json& high : band.at("high")) out.mode_weight_high.push_back(numbers_from(high));
}

SamplerDiagnosis sampler_from(const Json& json) {
  SamplerDiagnosis out;
  out.name = json.at("name").get<std::string>();
  out.options = json.at("options").get<std::map<std::string, std::string>>();
  out.status = json.at("status").get<std::string>();
  out.message = json.value("message", "");
  out.num_particles = json.value("particles", std::size_t{0});
  out.seconds = number_from(json.at("seconds"));
  out.verdict = parse_verdict(json.at("verdict").get<std::string>());
  const Json& final = json.at("final");
  FinalStatistics& f = out.final;
  f.mode_weights = numbers_from(final.at("mode_weights"));
  for (const auto& [key, member] :
       std::initializer_list<std::pair<const char*, std::optional<double>*>>{
           {"mode_weights_tv", &f.mode_weights_tv}, {"prior_hallucination", &f.prior_hallucination},
           {"prior_hallucination_atoms", &f.prior_hallucination_atoms},
           {"likelihood_hallucination", &f.likelihood_hallucination}, {"diverged", &f.diverged}, {"duplicates", &f.duplicates},
           {"spread_ratio", &f.spread_ratio}, {"sliced_w2", &f.sliced_w2}, {"energy", &f.energy}, {"mmd", &f.mmd},
           {"ksd", &f.ksd}, {"total_variation", &f.total_variation}, {"early_stopping_slope", &f.early_stopping_slope}})
    *member = optional_from(final, key);
  const Json& curves = json.at("curves");
  for (const auto& [name, values] : curves.items()) {
    if (name == "null" || values.empty()) continue;
    if (name == "t") { out.t = numbers_from(values); continue; }
    if (name == "mode_weights") {
      for (const Json& weights : values) out.mode_weight_curves.push_back(numbers_from(weights));
      continue;
    }
    Curve curve{name, numbers_from(values), {}, {}, {}};
    if (curves.contains("null") && curves.at("null").contains(name)) {
      const Json& band = curves.at("null").at(name);
      curve.null_low = numbers_from(band.at("low"));
      curve.null_mean = numbers_from(band.at("mean"));
      curve.null_high = numbers_from(band.at("high"));
    }
    out.curves.push_back(std::move(curve));
  }
  read_path_findings(json, out);
  if (json.contains("error_location")) out.location = location_from(json.at("error_location"));
  for (const Json& check : json.at("checks")) out.checks.push_back(check_from(check));
  return out;
}

}  // namespace

std::string to_json(const Diagnosis& diagnosis) {
  Json out = {{"schema", 1},
              {"problem", diagnosis.problem},
              {"title", diagnosis.title},
              {"verdict", to_string(diagnosis.verdict)},
              {"false_alarm_rate", number(diagnosis.false_alarm_rate)},
              {"seconds", number(diagnosis.seconds)},
              {"lens", lens_json(diagnosis.lens)}};
  out["samplers"] = Json::array();
  for (const SamplerDiagnosis& sampler : diagnosis.samplers) out["samplers"].push_back(sampler_json(sampler));
  out["error_budget"] = Json::array();
  for (const SamplerDiagnosis& sampler : diagnosis.samplers)
    out["error_budget"].push_back(budget_json<Json>(sampler));
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Diagnosis diagnosis_from_json(const std::string& text, const std::string& path) {
  try {
    const Json json = Json::parse(text);
    if (json.at("schema") != 1) throw DataError(path, fmt::format("schema {}; this version reads schema 1", json.at("schema").dump()));
    Diagnosis out;
    out.problem = json.value("problem", "");
    out.title = json.value("title", "");
    out.verdict = parse_verdict(json.at("verdict").get<std::string>());
    out.false_alarm_rate = json.value("false_alarm_rate", 0.0);
    out.seconds = json.value("seconds", 0.0);
    const Json& lens = json.at("lens");
    out.lens = {lens.value("prior", "atoms"), lens.at("num_atoms").get<std::size_t>(), lens.at("dim").get<std::size_t>(),
                lens.value("num_measurements", std::size_t{0}), number_from(lens.at("ess")), number_from(lens.at("log_evidence")), {}, {}, {}};
    if (const auto s = lens.find("smoothing"); s != lens.end())
      out.lens.smoothing = {s->at("kernel").get<std::string>(), number_from(s->at("bandwidth")), s->at("by_leave_one_out").get<bool>(),
                            s->at("automatic").get<bool>(), s->at("copies").get<std::size_t>(), number_from(s->at("raw_ess")),
                            number_from(s->at("raw_log_evidence"))};
    if (lens.contains("finite_sample")) out.lens.finite_sample = finite_sample_from(lens.at("finite_sample"));
    for (const Json& mode : lens.at("modes"))
      out.lens.modes.push_back({mode.at("id").get<std::size_t>(), mode.at("label").get<std::string>(),
                                number_from(mode.at("prior_weight")), number_from(mode.at("posterior_weight"))});
    for (const Json& sampler : json.at("samplers")) out.samplers.push_back(sampler_from(sampler));
    if (const auto budget = json.find("error_budget"); budget != json.end())
      for (std::size_t i = 0; i < std::min(budget->size(), out.samplers.size()); ++i)
        out.samplers[i].budget = budget_from(budget->at(i));
    return out;
  } catch (const Json::exception& error) {
    throw DataError(path, fmt::format("is not a diagnosis: {}", error.what()));
  } catch (const InvalidArgument& error) {
    throw DataError(path, fmt::format("is not a diagnosis: {}", error.what()));
  }
}

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
              {"schedule_search", result.schedule_search ? search_json(*result.schedule_search, kScheduleScale) : Json(nullptr)},
              {"tempered_search", result.tempered_search ? search_json(*result.tempered_search, kScheduleScale) : Json(nullptr)}};
  out["optimal_weight"] = Json::array();
  for (const OptimalWeight& weight : result.optimal_weights) out["optimal_weight"].push_back(weight_json(weight));
  out["path_bounds"] = Json::array();
  for (const PathBound& bound : result.path_bounds)
    out["path_bounds"].push_back({{"name", bound.name},
                                  {"weight", number(bound.constant)},
                                  {"mean", number(bound.mean)},
                                  {"kl", json_numbers<Json>(bound.kl)},
                                  {"over_constant", ratio_json(bound.over_constant)}});
  const TestedSetting* recommended = result.recommended();
  out["recommended"] = recommended != nullptr ? Json(recommended->name) : Json(nullptr);
  out["settings"] = Json::array();
  for (const TestedSetting& setting : result.tested) out["settings"].push_back(setting_json(setting));
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_json(const Manifest& manifest) {
  Json out = {{"schema", 1},           {"version", manifest.version}, {"cpu_target", manifest.cpu_target},
              {"command", manifest.command}, {"seed", manifest.seed},   {"threads", manifest.threads},
              {"started", manifest.started}};
  out["inputs"] = Json::object();
  for (const auto& [path, hash] : manifest.inputs) out["inputs"][path] = hash;
  out["outputs"] = Json::object();
  for (const auto& [path, hash] : manifest.outputs) out["outputs"][path] = hash;
  return out.dump(1) + "\n";
}

}  // namespace fslens
