#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "fslens/report/calibration_report.hpp"
#include "json_values.hpp"

namespace fslens {
namespace {

using Json = nlohmann::ordered_json;

Json band_json(const std::vector<double>& at, const EcdfBand& band) {
  return {{"nominal", json_numbers<Json>(at)},   {"low", json_numbers<Json>(band.low)}, {"high", json_numbers<Json>(band.high)},
          {"gamma", json_number<Json>(band.gamma)}, {"coverage", json_number<Json>(band.coverage)}};
}

Json deviation_json(const Deviation& deviation) {
  return {{"effect", json_number<Json>(deviation.effect)},
          {"interval", Json::array({json_number<Json>(deviation.low), json_number<Json>(deviation.high)})},
          {"null", json_number<Json>(deviation.null)}};
}

Json rank_json(const RankResult& result) {
  const RankUniformity& u = result.uniformity;
  std::vector<double> low, high;
  for (const ConfidenceInterval& interval : result.coverage.interval) low.push_back(interval.low), high.push_back(interval.high);
  return {{"id", result.statistic},
          {"ranked", result.ranks.size()},
          {"verdict", to_string(result.verdict)},
          {"direction", to_string(u.direction)},
          {"within_band", u.within_band},
          {"max_deviation", json_number<Json>(u.max_deviation)},
          {"mean_offset", json_number<Json>(u.mean_offset)},
          {"distance_offset", json_number<Json>(u.distance_offset)},
          {"deviation", deviation_json(result.deviation)},
          {"from_control", result.from_control ? deviation_json(*result.from_control) : Json(nullptr)},
          {"ecdf", json_numbers<Json>(u.ecdf)},
          {"coverage", json_numbers<Json>(result.coverage.coverage)},
          {"coverage_low", json_numbers<Json>(low)},
          {"coverage_high", json_numbers<Json>(high)},
          {"coverage_within_band", result.coverage.within_band}};
}

Json sampler_calibration_json(const SamplerCalibration& sampler) {
  Json out = {{"name", sampler.name},       {"options", sampler.options},         {"status", sampler.status}, {"message", sampler.message},
              {"unranked", sampler.num_unranked}, {"seconds", json_number<Json>(sampler.seconds)}, {"verdict", to_string(sampler.check.verdict)}};
  out["checks"] = Json::array({json_check<Json>(sampler.check)});
  out["statistics"] = Json::array();
  for (const RankResult& result : sampler.ranks) out["statistics"].push_back(rank_json(result));
  out["c2st"] = nullptr;
  if (sampler.c2st)
    out["c2st"] = {{"accuracy", json_number<Json>(sampler.c2st->accuracy)},
                   {"interval", Json::array({json_number<Json>(sampler.c2st->interval.low), json_number<Json>(sampler.c2st->interval.high)})},
                   {"p_value", json_number<Json>(sampler.c2st->p_value)},
                   {"neighbours", sampler.c2st->neighbours}};
  return out;
}

}  // namespace

std::string to_json(const CalibrationReport& report) {
  Json out = {{"schema", 1},
              {"problem", report.problem},
              {"title", report.title},
              {"verdict", to_string(report.verdict)},
              {"prior", {{"kind", report.prior_kind}, {"num_atoms", report.num_atoms}, {"dim", report.dim}, {"left_out", report.left_out}}},
              {"num_measurements", report.num_measurements},
              {"replicates", report.replicates},
              {"draws", report.draws},
              {"t", json_number<Json>(report.t)},
              {"false_alarm_rate", json_number<Json>(report.false_alarm_rate)},
              {"detectable", json_number<Json>(report.detectable)},
              {"replicates_to_pass", report.replicates_to_pass ? Json(*report.replicates_to_pass) : Json(nullptr)},
              {"seconds", json_number<Json>(report.seconds)}};
  out["levels"] = {{"ranks", band_json(report.rank_cumulative, report.rank_band)},
                   {"central", band_json(report.central.level, report.central.band)},
                   {"nested", band_json(report.nested.level, report.nested.band)}};
  out["statistics"] = Json::array();
  for (const CalibrationStatistic& statistic : report.statistics)
    out["statistics"].push_back({{"id", statistic.id},
                                 {"meaning", statistic.meaning},
                                 {"validity", to_string(statistic.validity)},
                                 {"reason", statistic.reason},
                                 {"blind_to", statistic.blind_to},
                                 {"coverage_of", statistic.is_region ? "nested" : "central"}});
  out["samplers"] = Json::array();
  for (const SamplerCalibration& sampler : report.samplers) out["samplers"].push_back(sampler_calibration_json(sampler));
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace fslens
