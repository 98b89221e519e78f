#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "fslens/core/error.hpp"
#include "fslens/report/report.hpp"

namespace fslens {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json number(const std::optional<double>& value) { return value ? number(*value) : Json(nullptr); }

Json numbers(const std::vector<double>& values) {
  Json out = Json::array();
  for (const double value : values) out.push_back(number(value));
  return out;
}

Json check_json(const Check& check) {
  Json out = {{"id", check.id},
              {"verdict", to_string(check.verdict)},
              {"effect", number(check.effect)},
              {"interval", check.low && check.high ? Json::array({number(check.low), number(check.high)}) : Json(nullptr)},
              {"margin", number(check.margin)},
              {"null", number(check.null)},
              {"worst_t", number(check.worst_t)},
              {"first_t", number(check.first_t)},
              {"finding", check.finding},
              {"advice", check.advice}};
  return out;
}

Json final_json(const FinalStatistics& f) {
  return {{"mode_weights", numbers(f.mode_weights)},
          {"mode_weights_tv", number(f.mode_weights_tv)},
          {"prior_hallucination", number(f.prior_hallucination)},
          {"prior_hallucination_atoms", number(f.prior_hallucination_atoms)},
          {"likelihood_hallucination", number(f.likelihood_hallucination)},
          {"diverged", number(f.diverged)},
          {"spread_ratio", number(f.spread_ratio)},
          {"sliced_w2", number(f.sliced_w2)},
          {"energy", number(f.energy)},
          {"mmd", number(f.mmd)},
          {"ksd", number(f.ksd)},
          {"total_variation", number(f.total_variation)},
          {"early_stopping_slope", number(f.early_stopping_slope)}};
}

Json curves_json(const SamplerDiagnosis& sampler) {
  Json out = {{"t", numbers(sampler.t)}};
  out["score_error"] = Json::array();  // empty unless the sampler has a likelihood score
  out["path_kl"] = Json::array();
  for (const Curve& curve : sampler.curves) {
    out[curve.name] = numbers(curve.value);
    if (curve.null_mean.empty()) continue;
    out["null"][curve.name] = {
        {"low", numbers(curve.null_low)}, {"mean", numbers(curve.null_mean)}, {"high", numbers(curve.null_high)}};
  }
  out["mode_weights"] = Json::array();
  for (const auto& weights : sampler.mode_weight_curves) out["mode_weights"].push_back(numbers(weights));
  return out;
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
  out["modes"] = Json::array();
  for (const ModeSummary& mode : lens.modes)
    out["modes"].push_back({{"id", mode.id},
                            {"label", mode.label},
                            {"prior_weight", number(mode.prior_weight)},
                            {"posterior_weight", number(mode.posterior_weight)}});
  return out;
}

// Reading: what the terminal report shows is read back; absent keys stay absent.

double number_from(const Json& value) { return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>(); }

std::optional<double> optional_from(const Json& object, const char* key) {
  if (!object.contains(key) || object.at(key).is_null()) return std::nullopt;
  return object.at(key).get<double>();
}

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
  check.worst_t = optional_from(json, "worst_t");
  check.first_t = optional_from(json, "first_t");
  check.finding = json.value("finding", "");
  check.advice = json.value("advice", "");
  return check;
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
           {"likelihood_hallucination", &f.likelihood_hallucination}, {"diverged", &f.diverged},
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
    out["error_budget"].push_back({{"sampler", sampler.name}, {"monte_carlo", number(sampler.monte_carlo)}, {"finite_n", nullptr},
                                   {"discretisation", nullptr}, {"initialisation", nullptr}, {"likelihood", nullptr},
                                   {"prior", nullptr}, {"measurement", nullptr}});
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
                lens.value("num_measurements", std::size_t{0}), number_from(lens.at("ess")), number_from(lens.at("log_evidence")), {}, {}};
    if (const auto s = lens.find("smoothing"); s != lens.end())
      out.lens.smoothing = {s->at("kernel").get<std::string>(), number_from(s->at("bandwidth")), s->at("by_leave_one_out").get<bool>(),
                            s->at("automatic").get<bool>(), s->at("copies").get<std::size_t>(), number_from(s->at("raw_ess")),
                            number_from(s->at("raw_log_evidence"))};
    for (const Json& mode : lens.at("modes"))
      out.lens.modes.push_back({mode.at("id").get<std::size_t>(), mode.at("label").get<std::string>(),
                                number_from(mode.at("prior_weight")), number_from(mode.at("posterior_weight"))});
    for (const Json& sampler : json.at("samplers")) out.samplers.push_back(sampler_from(sampler));
    if (const auto budget = json.find("error_budget"); budget != json.end())
      for (std::size_t i = 0; i < std::min(budget->size(), out.samplers.size()); ++i)
        out.samplers[i].monte_carlo = optional_from(budget->at(i), "monte_carlo");
    return out;
  } catch (const Json::exception& error) {
    throw DataError(path, fmt::format("is not a diagnosis: {}", error.what()));
  } catch (const InvalidArgument& error) {
    throw DataError(path, fmt::format("is not a diagnosis: {}", error.what()));
  }
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
