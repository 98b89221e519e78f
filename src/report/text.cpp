#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include "fslens/report/report.hpp"
#include "painter.hpp"

namespace fslens {
namespace {

/// Columns of the table: check ids and what stands above them.
const std::vector<std::pair<std::string, std::string>>& columns() {
  static const std::vector<std::pair<std::string, std::string>> list = {
      {"spread", "spread"},           {"mode-weights", "modes"},      {"prior-hallucination", "prior-hal."},
      {"likelihood-hallucination", "lik.-hal."}, {"divergence", "diverg."}, {"early-stopping", "stopping"},
      {"distance", "distance"},       {"lens-resolution", "lens"}};
  return list;
}

/// Words to lines of at most `width` columns, each after `indent`.
std::string wrapped(const std::string& text, std::size_t width, const std::string& indent) {
  std::istringstream words(text);
  std::string out, line, word;
  while (words >> word) {
    if (!line.empty() && indent.size() + line.size() + 1 + word.size() > width) {
      out += indent + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return line.empty() ? out : out + indent + line + "\n";
}

const Check* find_check(const SamplerDiagnosis& sampler, const std::string& id) {
  const auto found = std::ranges::find(sampler.checks, id, &Check::id);
  return found == sampler.checks.end() ? nullptr : &*found;
}

std::string symbol(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass: return "ok";
    case Verdict::fail: return "FAIL";
    case Verdict::inconclusive: return "?";
    case Verdict::not_run: return "-";
  }
  return "";
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

std::string numbers(const Check& check) {
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

std::string check_text(const Check& check, bool with_advice, const Painter& paint, const TextOptions& options) {
  const std::string measured = numbers(check);
  std::string out = "    " + paint.verdict(check.verdict, fmt::format("{:<4} {}", symbol(check.verdict), check.id));
  out += measured.empty() ? "\n" : paint.dim("  " + measured) + "\n";
  out += wrapped(check.finding, options.width, "         ");
  if (with_advice && !check.advice.empty()) out += wrapped(check.advice, options.width, "         ");
  return out;
}

/// What did not pass. Each failure's own advice is in the full form; the short one gives that of the worst.
std::string details(const SamplerDiagnosis& sampler, const Painter& paint, const TextOptions& options) {
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
  if (out.empty()) return out;
  return "  " + paint.bold(sampler.name) + "\n" + out;
}

}  // namespace

std::string to_text(const Diagnosis& diagnosis, const TextOptions& options) {
  const Painter paint(options.color);
  std::string out = header(diagnosis, paint, options.width) + table(diagnosis, paint);
  for (const SamplerDiagnosis& sampler : diagnosis.samplers) {
    const std::string text = details(sampler, paint, options);
    if (!text.empty()) out += "\n" + text;
  }
  out += fmt::format("\nverdict: {}", paint.verdict(diagnosis.verdict, to_string(diagnosis.verdict)));
  out += paint.dim(fmt::format("   ({:.0f} % family-wise false alarms; {:.1f} s)", 100.0 * diagnosis.false_alarm_rate, diagnosis.seconds));
  return out + "\n";
}

}  // namespace fslens
