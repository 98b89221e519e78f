#include <nlohmann/json.hpp>

#include "fslens/report/convergence_report.hpp"

namespace fslens {
namespace {

// Numbers are given to the library as they are: it writes null for those that are not finite.
using Json = nlohmann::ordered_json;

Json interval_json(const ConfidenceInterval& interval) { return Json::array({interval.low, interval.high}); }

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json estimate_json(const Estimate& estimate) {
  return {{"value", estimate.value},
          {"interval", interval_json(estimate.interval())},
          {"standard_error", estimate.standard_error},
          {"degrees_of_freedom", estimate.degrees_of_freedom}};
}

Json fit_json(const ErrorCurve& curve) {
  if (!curve.fit) return nullptr;
  return {{"rate", estimate_json(curve.fit->rate)},
          {"log_constant", curve.fit->log_constant},
          {"bend", curve.fit->bend ? estimate_json(*curve.fit->bend) : Json(nullptr)},
          {"from_atoms", curve.fitted_from},
          {"to_atoms", curve.fitted_to}};
}

Json curve_json(const ErrorCurve& curve) {
  Json out = {{"lens", curve.lens},          {"statistic", curve.statistic},   {"t", optional_json(curve.t)},
              {"floor", curve.floor}, {"mean", curve.means}, {"errors", Json::array()}};
  for (const ErrorLevel& level : curve.levels) out["errors"].push_back(level.errors);
  out["fit"] = fit_json(curve);
  out["note"] = curve.note;
  return out;
}

Json factor_json(const ErrorRatio& ratio) {
  return {{"factor", ratio.factor},
          {"interval", interval_json(ratio.factor_interval)},
          {"atoms_factor", optional_json(ratio.atoms_factor)},
          {"atoms_interval", ratio.atoms_interval ? interval_json(*ratio.atoms_interval) : Json(nullptr)}};
}

Json comparison_json(const LensComparison& comparison) {
  Json out = {{"lens", comparison.lens}, {"statistic", comparison.statistic}, {"t", optional_json(comparison.t)}, {"ratios", Json::array()}};
  for (const ErrorRatio& ratio : comparison.ratios) {
    out["ratios"].push_back({{"atoms", ratio.atoms}});
    out["ratios"].back().update(factor_json(ratio));
  }
  out["overall"] = comparison.overall ? factor_json(*comparison.overall) : Json(nullptr);
  out["rate_gain"] = comparison.rate_gain ? estimate_json(*comparison.rate_gain) : Json(nullptr);
  return out;
}

}  // namespace

std::string to_json(const Convergence& convergence) {
  Json out = {{"schema", 1},
              {"problem", convergence.problem},
              {"title", convergence.title},
              {"prior", convergence.prior_kind},
              {"operator", convergence.forward_operator},
              {"dim", convergence.dim},
              {"num_modes", convergence.num_modes},
              {"exact", {{"method", convergence.exact_method}, {"log_evidence", convergence.log_evidence}}},
              {"seed", convergence.seed},
              {"times", convergence.times},
              {"atoms", convergence.atoms},
              {"repetitions", convergence.repetitions},
              {"lenses", Json::array()},
              {"curves", Json::array()},
              {"comparisons", Json::array()},
              {"absent", Json::array()},
              {"seconds", convergence.seconds}};
  for (std::size_t m = 0; m < convergence.lenses.size(); ++m) {
    const auto sizes = convergence.effective_sizes.row(m);
    out["lenses"].push_back({{"name", convergence.lenses[m]}, {"ess", std::vector<double>(sizes.begin(), sizes.end())}});
  }
  for (const ErrorCurve& curve : convergence.curves) out["curves"].push_back(curve_json(curve));
  for (const LensComparison& comparison : convergence.comparisons) out["comparisons"].push_back(comparison_json(comparison));
  for (const AbsentStatistic& absent : convergence.absent)
    out["absent"].push_back({{"statistic", absent.statistic}, {"reason", absent.reason}});
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace fslens
