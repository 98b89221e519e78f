#include <fmt/format.h>

#include <algorithm>

#include "fslens/report/calibration_report.hpp"
#include "text_layout.hpp"

namespace fslens {
namespace {

constexpr std::size_t kCell = 15;

std::string plural(std::size_t count, const std::string& noun) { return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s"); }

std::string calibration_header(const CalibrationReport& report, const TextOptions& options, const Painter& paint) {
  std::string out = paint.bold(report.problem) + (report.title.empty() ? "" : ": " + report.title) + "\n";
  const std::string prior = report.prior_kind == "atoms" ? plural(report.num_atoms, "atom") + " in" : report.prior_kind + " prior in";
  out += fmt::format("{} {}, {}; {} simulated, {} draws of each sampler for each, at t = {:.3g}\n", prior, plural(report.dim, "dimension"),
                     plural(report.num_measurements, "measurement"), plural(report.replicates, "replicate"), report.draws, report.t);
  if (report.left_out)
    out += wrapped("The truth of each replicate is an atom and is left out: exact draws are calibrated only as far as the other atoms stand for it.",
                   options.width, "");
  return out + "\n";
}

std::string direction_word(Miscalibration direction, bool is_region) {
  switch (direction) {
    case Miscalibration::none: return "";
    case Miscalibration::over_confident: return is_region ? "mixed" : "narrow";
    case Miscalibration::under_confident: return is_region ? "mixed" : "wide";
    case Miscalibration::biased_low: return is_region ? "narrow" : "low";
    case Miscalibration::biased_high: return is_region ? "wide" : "high";
  }
  return "";
}

std::string cell(const CalibrationStatistic& statistic, const SamplerCalibration& sampler, const Painter& paint) {
  if (statistic.id == "c2st")
    return fmt::format("{:>{}}", sampler.c2st ? fmt::format("{:.3f} p {:.3f}", sampler.c2st->accuracy, sampler.c2st->p_value) : "-", kCell);
  const auto found = std::ranges::find(sampler.ranks, statistic.id, &RankResult::statistic);
  if (found == sampler.ranks.end()) return paint.dim(fmt::format("{:>{}}", "-", kCell));
  const std::string number = fmt::format("{:.3f}", found->uniformity.max_deviation);
  const std::string word = direction_word(found->uniformity.direction, statistic.is_region);
  if (statistic.validity == Validity::marked) return paint.dim(fmt::format("{:>{}}", fmt::format("{} ({})", word, number), kCell));
  return paint.verdict(found->verdict, fmt::format("{:>{}}", fmt::format("{} {}", word, number), kCell));
}

/// Central intervals of the first coordinate (or projection), nominally near 90 %.
std::string interval_coverage(const CalibrationReport& report, const SamplerCalibration& sampler) {
  if (sampler.ranks.empty()) return fmt::format("{:>10}", "-");
  return fmt::format("{:>8.1f} %", 100.0 * sampler.ranks.front().coverage.coverage[nearest_level(report.central, 0.9)]);
}

std::string calibration_table(const CalibrationReport& report, const Painter& paint) {
  std::size_t name_width = 7;
  for (const SamplerCalibration& sampler : report.samplers) name_width = std::max(name_width, sampler.name.size());
  const double level = report.central.level[nearest_level(report.central, 0.9)];
  std::string out = fmt::format("  {:<{}}", "sampler", name_width);
  for (const CalibrationStatistic& statistic : report.statistics) out += fmt::format(" {:>{}}", statistic.id, kCell);
  out = paint.bold(out + fmt::format(" {:>10}   verdict", fmt::format("{:.0f} % held", 100.0 * level))) + "\n";
  for (const SamplerCalibration& sampler : report.samplers) {
    out += fmt::format("  {:<{}}", sampler.name, name_width);
    for (const CalibrationStatistic& statistic : report.statistics) out += " " + cell(statistic, sampler, paint);
    out += fmt::format(" {}   {}\n", interval_coverage(report, sampler), paint.verdict(sampler.check.verdict, to_string(sampler.check.verdict)));
  }
  return out;
}

std::string legend(const CalibrationReport& report, const TextOptions& options, const Painter& paint) {
  const double margin = report.samplers.front().check.margin;
  std::string out = wrapped(
      fmt::format("Numbers: largest deviation of the truths' rank ECDF from uniform; margin {:.3g}. narrow: draws too narrow, over-confident; wide: too wide; "
                  "low, high: draws below, above the truth; mixed: regions wrong both ways. (In brackets): shown, not judged. c2st: accuracy (0.5 is equal) and "
                  "p-value. {:.0f} % held: truths within the central intervals of {}. A deviation of {:.3g} or more fails in at least 95 % of runs with this many "
                  "replicates.",
                  margin, 100.0 * report.central.level[nearest_level(report.central, 0.9)], report.statistics.front().id, report.detectable),
      options.width, "  ");
  out = paint.dim(out);
  for (const CalibrationStatistic& statistic : report.statistics) {
    if (statistic.validity != Validity::valid && (statistic.id != "c2st" || options.full))
      out += paint.dim(wrapped(fmt::format("{} is {}: {}.", statistic.id, to_string(statistic.validity), statistic.reason), options.width, "  "));
    if (options.full) out += paint.dim(wrapped(fmt::format("{}: {}; cannot see {}.", statistic.id, statistic.meaning, statistic.blind_to), options.width, "  "));
  }
  return out;
}

}  // namespace

std::string to_text(const CalibrationReport& report, const TextOptions& options) {
  const Painter paint(options.color);
  std::string out = calibration_header(report, options, paint) + calibration_table(report, paint) + legend(report, options, paint);
  for (const SamplerCalibration& sampler : report.samplers) {
    const Check& check = sampler.check;
    if (check.verdict == Verdict::pass && !options.full) continue;
    out += "\n  " + paint.bold(sampler.name) + "\n";
    if (check.effect && check.low && check.high)
      out += paint.dim(fmt::format("    effect {:.3g} [{:.3g}, {:.3g}], margin {:.3g}\n", *check.effect, *check.low, *check.high, check.margin));
    out += wrapped(check.finding + ".", options.width, "    ");
    if (!check.advice.empty()) out += wrapped(check.advice, options.width, "    ");
  }
  out += fmt::format("\nverdict: {}", paint.verdict(report.verdict, to_string(report.verdict)));
  out += paint.dim(fmt::format("   ({:.0f} % family-wise false alarms; {:.1f} s)", 100.0 * report.false_alarm_rate, report.seconds));
  return out + "\n";
}

}  // namespace fslens
