#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "fslens/report/report.hpp"
#include "text_layout.hpp"

namespace fslens {
namespace {

/// Columns of the table: check ids and what stands above them.
const std::vector<std::pair<std::string, std::string>>& columns() {
  static const std::vector<std::pair<std::string, std::string>> list = {
      {"spread", "spread"},           {"mode-weights", "modes"},      {"prior-hallucination", "prior-hal."},
      {"likelihood-hallucination", "lik.-hal."}, {"divergence", "diverg."}, {"early-stopping", "stopping"},
      {"distance", "distance"},       {"measurement-fit", "y fits"},  {"lens-resolution", "lens"}};
  return list;
}

const Check* find_check(const SamplerDiagnosis& sampler, const std::string& id) {
  const auto found = std::ranges::find(sampler.checks, id, &Check::id);
  return found == sampler.checks.end() ? nullptr : &*found;
}

std::string header(const Diagnosis& diagnosis, const Painter& paint, std::size_t width) {
  const LensSummary& lens = diagnosis.lens;
  std::string out = paint.bold(diagnosis.problem);
  if (!diagnosis.title.empty()) out += ": " + diagnosis.title;
  out += "\n";
  const std::string prior =
      lens.prior_kind == "atoms" ? fmt::format("{} atoms in {} dimensions", lens.num_atoms, lens.dim)
                                 : fmt::format("{} prior ({} component{}) in {} dimension{}", lens.prior_kind, lens.num_atoms,
                                               lens.num_atoms == 1 ? "" : "s", lens.dim, lens.dim == 1 ? "" : "s");
  out += fmt::format("{}, {} measurement{}; ESS {:.1f}, log evidence {:.3f}\n", prior, lens.num_measurements,
                     lens.num_measurements == 1 ? "" : "s", lens.ess, lens.log_evidence);
  if (const auto& s = lens.smoothing)
    out += wrapped(fmt::format("{}{} kernel, bandwidth {:.3g}{}{}; the raw lens has ESS {:.1f}, log evidence {:.3f}",
                               s->automatic ? "the raw lens has collapsed, judged under the smoothed lens: " : "smoothed lens: ", s->kernel,
                               s->bandwidth, s->by_leave_one_out ? " by leave-one-out" : "",
                               s->copies > 0 ? fmt::format(", {} jittered copies of each atom", s->copies) : "", s->raw_ess,
                               s->raw_log_evidence), width, "");
  if (const auto& f = lens.finite_sample)
    out += wrapped(fmt::format("finite N (95 %): ESS [{:.1f}, {:.1f}], log evidence [{:.2f}, {:.2f}], posterior within {:.2f} posterior sd{}", f->ess.low,
                               f->ess.high, f->log_evidence.low, f->log_evidence.high, f->sliced_w2.high,
                               f->pareto_k ? fmt::format("; Pareto k {:.2f}{}", *f->pareto_k, *f->pareto_k > 0.7 ? " (above 0.7: few atoms carry the evidence)" : "") : ""),
                   width, "");
  std::vector<ModeSummary> modes = lens.modes;
  std::ranges::stable_sort(modes, [](const auto& a, const auto& b) { return a.posterior_weight > b.posterior_weight; });
  std::string weights = "exact mode weights:";
  constexpr std::size_t kShown = 6;
  for (std::size_t k = 0; k < std::min(kShown, modes.size()); ++k)
    weights += fmt::format(" {} = {:.3f}{}", modes[k].label, modes[k].posterior_weight, k + 1 < std::min(kShown, modes.size()) ? "," : "");
  if (modes.size() > kShown) weights += fmt::format(", {} more", modes.size() - kShown);
  return out + wrapped(weights, width, "") + "\n";
}

std::string table(const Diagnosis& diagnosis, const Painter& paint) {
  std::size_t name_width = 7;
  for (const SamplerDiagnosis& sampler : diagnosis.samplers) name_width = std::max(name_width, sampler.name.size());
  std::string out = fmt::format("  {:<{}}", "sampler", name_width);
  for (const auto& column : columns()) out += fmt::format(" {:>10}", column.second);
  out = paint.bold(out + "   verdict") + "\n";
  for (const SamplerDiagnosis& sampler : diagnosis.samplers) {
    out += fmt::format("  {:<{}}", sampler.name, name_width);
    for (const auto& column : columns()) {
      const Check* check = find_check(sampler, column.first);
      const Verdict verdict = check == nullptr ? Verdict::not_run : check->verdict;
      out += " " + paint.verdict(verdict, fmt::format("{:>10}", symbol(verdict)));
    }
    out += "   " + paint.verdict(sampler.verdict, to_string(sampler.verdict)) + "\n";
  }
  out += paint.dim("  ok: pass   FAIL: beyond its margin   ?: inconclusive   -: not run\n");
  return out;
}

std::string effect_text(const Check& check) {
  if (!check.effect) return "";
  std::string out = fmt::format("effect {:.3g}", *check.effect);
  if (check.low && check.high) out += fmt::format(" [{:.3g}, {:.3g}]", *check.low, *check.high);
  return out + fmt::format(", margin {:.3g}", check.margin);
}

/// The failed check whose effect is furthest beyond its margin: its advice speaks for the sampler.
const Check* worst_failure(const SamplerDiagnosis& sampler) {
  const Check* worst_check = nullptr;
  double worst_ratio = 0.0;
  for (const Check& check : sampler.checks) {
    if (check.verdict != Verdict::fail || !check.low) continue;
    const double ratio = check.margin > 0.0 ? *check.low / check.margin : std::numeric_limits<double>::infinity();
    if (worst_check == nullptr || ratio > worst_ratio) {
      worst_check = &check;
      worst_ratio = ratio;
    }
  }
  return worst_check;
}

/// The rows of a budget, the largest marked: "likelihood 0.31 [0.29, 0.33], discretisation 0.02 [0, 0.04]".
std::string budget_text(const SamplerDiagnosis& sampler, const Painter& paint, const TextOptions& options) {
  const ErrorBudget& budget = sampler.budget;
  const std::pair<const char*, const std::optional<BudgetEntry>&> rows[] = {
      {"likelihood", budget.likelihood},   {"discretisation", budget.discretisation}, {"initialisation", budget.initialisation},
      {"dynamics", budget.dynamics},       {"prior", budget.prior},                   {"measurement", budget.measurement},
      {"finite N", budget.finite_n},       {"Monte Carlo", budget.monte_carlo}};
  if (!budget.total) return "";
  std::string text = fmt::format("final error {:.2f} posterior sd [{:.2f}, {:.2f}]; whose:", budget.total->value, budget.total->low, budget.total->high);
  for (const auto& [name, entry] : rows)
    if (entry) text += fmt::format(" {} {:.2f} [{:.2f}, {:.2f}],", name, entry->value, entry->low, entry->high);
  text.back() = '.';
  std::string out = wrapped(text, options.width, "    ");
  if (!budget.largest.empty()) out += "    " + paint.bold("largest: " + budget.largest) + "\n";
  if (sampler.location && sampler.location->half)
    out += wrapped("where: " + sampler.location->finding + ".", options.width, "    ");
  return out;
}

std::string check_text(const Check& check, bool with_advice, const Painter& paint, const TextOptions& options) {
  const std::string measured = effect_text(check);
  std::string out = "    " + paint.verdict(check.verdict, fmt::format("{:<4} {}", symbol(check.verdict), check.id));
  out += measured.empty() ? "\n" : paint.dim("  " + measured) + "\n";
  out += wrapped(check.finding, options.width, "         ");
  if (with_advice && !check.advice.empty()) out += wrapped(check.advice, options.width, "         ");
  return out;
}

/// When the error is made: the path's KL beside what came of it.
std::string path_text(const SamplerDiagnosis& sampler) {
  if (!sampler.path_kl) return "";
  const PathKlSummary& path = *sampler.path_kl;
  std::string out = fmt::format("path KL {:.2g} ({})", path.total,
                                !path.of_chain ? "for infinitely small steps" : (path.is_bound ? "bound" : "estimate: steps too long for a bound"));
  if (sampler.law && sampler.law->kl) out += fmt::format(", obtained {:.2g}", *sampler.law->kl);
  if (path.half_begin && path.half_end) out += fmt::format("; half of it made between t = {:.2g} and {:.2g}", *path.half_begin, *path.half_end);
  if (path.discretisation) out += fmt::format("; {:.2g} of it by the steps with an exact score", *path.discretisation);
  return out + ".";
}

/// The modes whose weights leave their bands, the first ones first.
std::string departures_text(const SamplerDiagnosis& sampler, const std::vector<ModeSummary>& modes) {
  std::vector<std::pair<double, std::size_t>> left;
  for (std::size_t k = 0; k < std::min(modes.size(), sampler.mode_departures.size()); ++k)
    if (sampler.mode_departures[k]) left.emplace_back(-*sampler.mode_departures[k], k);
  if (left.empty()) return "";
  std::ranges::sort(left);
  constexpr std::size_t kShown = 4;
  std::string out = "Mode weights leave their bands:";
  for (std::size_t i = 0; i < std::min(kShown, left.size()); ++i)
    out += fmt::format("{} {} at t = {:.2g}", i == 0 ? "" : ",", modes[left[i].second].label, -left[i].first);
  return out + (left.size() > kShown ? fmt::format(", {} more later.", left.size() - kShown) : ".");
}

/// What did not pass. Each failure's own advice is in the full form; the short one gives that of the worst.
std::string details(const SamplerDiagnosis& sampler, const std::vector<ModeSummary>& modes, const Painter& paint,
                    const TextOptions& options) {
  std::string out;
  if (sampler.status != "ok") out += wrapped(sampler.message, options.width, "    ");
  const Check* worst_check = worst_failure(sampler);
  for (const Check& check : sampler.checks) {
    if (check.verdict == Verdict::pass && !options.full) continue;
    const bool with_advice = options.full || check.id == "lens-resolution" ||
                             (worst_check == nullptr && check.verdict == Verdict::inconclusive);
    out += check_text(check, with_advice, paint, options);
  }
  if (worst_check != nullptr && !options.full) out += wrapped(worst_check->advice, options.width, "    ");
  if (!out.empty() || options.full) out += budget_text(sampler, paint, options);
  if (out.empty()) return out;
  out += wrapped(departures_text(sampler, modes), options.width, "    ") + wrapped(path_text(sampler), options.width, "    ");
  return "  " + paint.bold(sampler.name) + "\n" + out;
}

}  // namespace

std::string to_text(const Diagnosis& diagnosis, const TextOptions& options) {
  const Painter paint(options.color);
  std::string out = header(diagnosis, paint, options.width) + table(diagnosis, paint);
  for (const SamplerDiagnosis& sampler : diagnosis.samplers) {
    const std::string text = details(sampler, diagnosis.lens.modes, paint, options);
    if (!text.empty()) out += "\n" + text;
  }
  out += fmt::format("\nverdict: {}", paint.verdict(diagnosis.verdict, to_string(diagnosis.verdict)));
  out += paint.dim(fmt::format("   ({:.0f} % family-wise false alarms; {:.1f} s)", 100.0 * diagnosis.false_alarm_rate, diagnosis.seconds));
  return out + "\n";
}

}  // namespace fslens
