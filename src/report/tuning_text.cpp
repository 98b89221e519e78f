#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "fslens/report/report.hpp"

namespace fslens {
namespace {

std::string shown(const std::optional<double>& value, const char* absent = "-") { return value ? fmt::format("{:.3g}", *value) : absent; }

std::string shown(const std::optional<RatioOfMeans>& ratio) {
  if (!ratio || !ratio->value) return "-";
  return fmt::format("{:.3g} [{}, {}]", *ratio->value, shown(ratio->low, "inf"), shown(ratio->high, "inf"));
}

std::string tuning_header(const TuneResult& result) {
  std::string out = result.problem + (result.title.empty() ? "" : ": " + result.title) + "\n";
  out += fmt::format("tune {}: {} in {}:{}, {} in {}\n", result.sampler, result.parameter, result.range.low, result.range.high,
                     to_string(result.metric), unit_of(result.metric));
  out += fmt::format("{} particles; chosen on {}, judged on {} other measurements simulated from the prior\n", result.num_particles,
                     result.num_train, result.num_test);
  if (result.num_collapsed > 0)
    out += fmt::format("{} of the {} unseen posteriors are carried by fewer than five effective atoms: there the lens knows little\n",
                       result.num_collapsed, result.num_test);
  return out + "\n";
}

std::string edge_warning(const TuningSearch& search) {
  if (search.edge == RangeEdge::none) return "";
  return fmt::format(", the {} end of the range: the optimum may lie beyond", search.edge == RangeEdge::low ? "lower" : "upper");
}

std::string candidate_table(const TuneResult& result) {
  std::string out = fmt::format("  {:>12}  {}\n", result.parameter, to_string(result.metric));
  for (std::size_t i = 0; i < result.search.candidates.size(); ++i) {
    const TuningCandidate& candidate = result.search.candidates[i];
    const std::string distance =
        candidate.distance ? fmt::format("{:.4g}", *candidate.distance) : fmt::format("diverged ({} of {})", candidate.num_diverged, result.num_train);
    out += fmt::format("  {:>12.5g}  {:<12}{}{}\n", candidate.value, distance, result.search.best == i ? "  best" : "",
                       candidate.value == result.default_value ? "  default" : "");
  }
  const auto best = result.search.best_value();
  if (!best) return out + fmt::format("every {} made chains diverge\n\n", result.parameter);
  return out + fmt::format("{} = {:.5g} (default {:g}){}\n\n", result.parameter, *best, result.default_value, edge_warning(result.search));
}

std::string weight_lines(const TuneResult& result) {
  if (result.optimal_weights.empty()) return "";
  if (result.schedule.t.empty()) return "the guidance is negligible at every time: no weight ζ*(t)\n\n";
  constexpr std::size_t kLines = 9;
  std::string out = "ζ*(t), the weight that brings the guidance closest to the exact likelihood score\n";
  out += fmt::format("  {:>8}  {:>9}  {:>9}  {:>8}  {}\n", "t", "weight", "± se", "removes", "no weight repairs");
  const auto percent = [](const std::optional<double>& share) { return share ? fmt::format("{:.1f} %", 100.0 * *share) : std::string("-"); };
  const std::size_t last = result.optimal_weights.size() - 1;
  for (std::size_t line = 0; line < std::min(kLines, last + 1); ++line) {
    const OptimalWeight& weight = result.optimal_weights[line * last / std::max<std::size_t>(1, std::min(kLines, last + 1) - 1)];
    out += fmt::format("  {:>8.4g}  {:>9}  {:>9}  {:>8}  {}\n", weight.t, shown(weight.weight), shown(weight.weight_error),
                       percent(weight.removed), percent(weight.unrepairable));
  }
  const auto constant = [&](const char* of, const std::optional<TuningSearch>& search) {
    if (search && search->best) out += fmt::format("best constant on {}: {:.4g}{}\n", of, *search->best_value(), edge_warning(*search));
  };
  constant("ζ*(t)", result.schedule_search);
  constant("√ζ*(t)", result.tempered_search);
  return out + "\n";
}

std::string bound_table(const TuneResult& result) {
  if (result.path_bounds.empty()) return "";
  std::string out = fmt::format("  {:<17}  {:>10}  {:>10}  {}\n", "on unseen y", "weight", "bound/nat", fmt::format("best constant/this ({:.0f} %)", 100.0 * result.confidence));
  for (const PathBound& bound : result.path_bounds)
    out += fmt::format("  {:<17}  {:>10}  {:>10.4g}  {}\n", bound.name, bound.constant ? fmt::format("{:.4g}", *bound.constant) : std::string("ζ*(t)"), bound.mean,
                       shown(bound.over_constant));
  return "Girsanov's bound on KL(posterior, sampler), which ζ*(t) makes least\n" + out + "\n";
}

std::string tested_table(const TuneResult& result) {
  std::string out = fmt::format("  {:<17}  {:>10}  {:>10}  {:<22}  {}\n", "on unseen y", to_string(result.metric), "null bands",
                                fmt::format("default/this ({:.0f} %)", 100.0 * result.confidence), "tuned/this");
  for (const TestedSetting& setting : result.tested)
    out += fmt::format("  {:<17}  {:>10}  {:>10}  {:<22}  {}\n", setting.name, shown(setting.mean, "diverged"), shown(setting.in_bands),
                       shown(setting.improvement), shown(setting.over_tuned));
  if (const TestedSetting* best = result.recommended()) out += fmt::format("least on the training y, so what to take: {}\n", best->name);
  return out + "\n";
}

std::string remainder(const TuneResult& result) {
  std::string out = "what tuning cannot repair\n";
  for (const TestedSetting& setting : result.tested) {
    std::vector<std::string> failed;
    for (const Check& check : setting.checks)
      if (check.verdict == Verdict::fail) failed.push_back(check.id);
    out += fmt::format("  {:<17}  {} null bands from exact; under the first unseen y {}\n", setting.name, shown(setting.in_bands),
                       failed.empty() ? std::string("no check fails") : fmt::format("fails {}", fmt::join(failed, ", ")));
  }
  return out;
}

}  // namespace

std::string to_text(const TuneResult& result) {
  return tuning_header(result) + candidate_table(result) + weight_lines(result) + bound_table(result) + tested_table(result) + remainder(result);
}

}  // namespace fslens
