#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fslens/report/convergence_report.hpp"
#include "text_layout.hpp"

namespace fslens {
namespace {

constexpr std::size_t kNameWidth = 28;

/// At most four of the sizes, the first and the last among them.
std::vector<std::size_t> shown_sizes(std::size_t count) {
  constexpr std::size_t kShownSizes = 4;
  std::vector<std::size_t> out;
  const std::size_t shown = std::min(kShownSizes, count);
  for (std::size_t j = 0; j < shown; ++j) out.push_back(shown == 1 ? 0 : j * (count - 1) / (shown - 1));
  return out;
}

std::string statistic_name(const std::string& statistic, const std::optional<double>& t) {
  return t ? fmt::format("{}, t = {:.3g}", statistic, *t) : statistic;
}

std::string interval_text(const ConfidenceInterval& interval, const char* format) {
  return "[" + fmt::format(fmt::runtime(format), interval.low) + ", " + fmt::format(fmt::runtime(format), interval.high) + "]";
}

std::string summary(const Convergence& convergence, const Painter& paint) {
  std::string out = paint.bold(convergence.problem);
  if (!convergence.title.empty()) out += ": " + convergence.title;
  out += fmt::format("\n{} prior ({} component{}) in {} dimension{}, operator {}; exact posterior by {}, log evidence {:.4f}\n",
                     convergence.prior_kind, convergence.num_modes, convergence.num_modes == 1 ? "" : "s", convergence.dim,
                     convergence.dim == 1 ? "" : "s", convergence.forward_operator, convergence.exact_method, convergence.log_evidence);
  const auto [fewest, most] = std::ranges::minmax(convergence.repetitions);
  out += fmt::format("mean errors of {} repetitions; error ~ N^-rate, with its 95 % interval\n",
                     fewest == most ? fmt::format("{}", most) : fmt::format("{} to {}", fewest, most));
  return out;
}

std::string curve_line(const ErrorCurve& curve, const std::vector<std::size_t>& sizes, const Painter& paint) {
  std::string out = fmt::format("  {:<{}}", statistic_name(curve.statistic, curve.t), kNameWidth);
  for (const std::size_t j : sizes) out += fmt::format(" {:>9.2g}", curve.means[j]);
  if (curve.fit)
    out += fmt::format("   {:>5.3f} {:<16}", curve.fit->rate.value, interval_text(curve.fit->rate.interval(), "{:.3f}"));
  else
    out += fmt::format("   {:>5} {:<16}", "-", "");
  return out + (curve.note.empty() ? "" : paint.dim("  " + curve.note)) + "\n";
}

std::string lens_table(const Convergence& convergence, std::size_t lens, const Painter& paint) {
  const std::vector<std::size_t> sizes = shown_sizes(convergence.atoms.size());
  std::string head = fmt::format("\n{:<{}}", convergence.lenses[lens] + " lens", kNameWidth + 2);
  for (const std::size_t j : sizes) head += fmt::format(" {:>9}", fmt::format("N={}", convergence.atoms[j]));
  std::string out = paint.bold(head + "    rate") + "\n";
  for (const ErrorCurve& curve : convergence.curves)
    if (curve.lens == convergence.lenses[lens]) out += curve_line(curve, sizes, paint);
  std::string ess = fmt::format("  {:<{}}", "ESS of the weights", kNameWidth);
  for (const std::size_t j : sizes) ess += fmt::format(" {:>9.4g}", convergence.effective_sizes(lens, j));
  return out + paint.dim(ess) + "\n";
}

std::string factor_text(const ErrorRatio& ratio) {
  std::string out = fmt::format("{:.2f} {}", ratio.factor, interval_text(ratio.factor_interval, "{:.2f}"));
  if (ratio.atoms_factor)
    out += fmt::format(", worth {:.3g} times the atoms {}", *ratio.atoms_factor, interval_text(*ratio.atoms_interval, "{:.3g}"));
  return out;
}

/// All sizes together and the largest; each of them is in convergence.json.
std::string comparison_lines(const LensComparison& comparison) {
  std::string out = fmt::format("  {:<{}}  all N: {}", statistic_name(comparison.statistic, comparison.t), kNameWidth, factor_text(*comparison.overall));
  if (comparison.rate_gain)
    out += fmt::format("; rate {:+.3f} {}", comparison.rate_gain->value, interval_text(comparison.rate_gain->interval(), "{:+.3f}"));
  const ErrorRatio& last = comparison.ratios.back();
  return out + fmt::format("\n  {:<{}}  N={:.0f}: {}\n", "", kNameWidth, last.atoms, factor_text(last));
}

}  // namespace

std::string to_text(const Convergence& convergence, const TextOptions& options) {
  const Painter paint(options.color);
  std::string out = summary(convergence, paint);
  for (std::size_t m = 0; m < convergence.lenses.size(); ++m) out += lens_table(convergence, m, paint);
  std::string compared;
  for (const LensComparison& comparison : convergence.comparisons) {
    if (comparison.ratios.empty()) continue;
    if (comparison.lens != compared)
      out += "\n" + paint.bold(fmt::format("error of the {} lens over that of the {} lens, on the same atoms", convergence.lenses[0], comparison.lens)) + "\n";
    compared = comparison.lens;
    out += comparison_lines(comparison);
  }
  for (const AbsentStatistic& absent : convergence.absent) out += paint.dim(fmt::format("\nno {}: {}", absent.statistic, absent.reason));
  return out + paint.dim(fmt::format("\n({:.1f} s)", convergence.seconds)) + "\n";
}

std::string to_csv(const Convergence& convergence) {
  std::string out = "lens,statistic,t,atoms,repetition,error\n";
  for (const ErrorCurve& curve : convergence.curves)
    for (const ErrorLevel& level : curve.levels)
      for (std::size_t r = 0; r < level.errors.size(); ++r)
        out += fmt::format("{},{},{},{:.0f},{},{}\n", curve.lens, curve.statistic, curve.t ? fmt::format("{}", *curve.t) : "", level.size, r, level.errors[r]);
  return out;
}

}  // namespace fslens
