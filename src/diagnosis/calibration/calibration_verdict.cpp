#include "calibration_verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace fslens {
namespace {

constexpr const char* kCheck = "calibration";
constexpr double kBandConfidence = 0.99;
// Passing is an intersection–union test: each deviation is within the margin if it is when tested alone, at 99 % one-sided.
constexpr double kPassConfidence = 0.98;

std::size_t count_valid(const CalibrationReport& report) {
  return static_cast<std::size_t>(
      std::ranges::count_if(report.statistics, [](const CalibrationStatistic& s) { return s.validity == Validity::valid; }));
}

const CalibrationStatistic& statistic_of(const CalibrationReport& report, const RankResult& result) {
  return *std::ranges::find(report.statistics, result.statistic, &CalibrationStatistic::id);
}

/// With this confidence each lower end is below the true deviation: all of them, with that of the family (Bonferroni).
double failing_confidence(const CalibrationReport& report) {
  const double tests = static_cast<double>(report.samplers.size() * std::max<std::size_t>(1, count_valid(report)));
  return 1.0 - report.false_alarm_rate / tests;
}

/// Lower end by the Dvoretzky–Kiefer–Wolfowitz inequality, whatever the law of the ranks; upper end by exact intervals at each rank.
/// Replicates without ranks may have any: both ends give way by their share.
Deviation deviation_from_uniform(const RankUniformity& result, const UniformRanks& uniform, double confidence, double unranked_share) {
  const std::size_t ranked = uniform.num_replicates;
  Deviation out;
  out.null = uniform.deviation_median;
  out.effect = std::max(0.0, result.max_deviation - out.null);
  out.low = std::max(0.0, result.max_deviation - dkw_half_width(ranked, confidence) - unranked_share);
  for (std::size_t i = 0; i < result.ecdf.size(); ++i) {
    const auto below = static_cast<std::size_t>(std::llround(result.ecdf[i] * static_cast<double>(ranked)));
    const ConfidenceInterval interval = clopper_pearson(below, ranked, kPassConfidence);
    out.high = std::max({out.high, interval.high - uniform.cumulative[i], uniform.cumulative[i] - interval.low});
  }
  out.high = std::min(1.0, out.high + unranked_share);
  return out;
}

Verdict verdict_of(double low, double high, double margin) {
  if (low > margin) return Verdict::fail;
  return high <= margin ? Verdict::pass : Verdict::inconclusive;
}

/// Of two rank ECDFs from each other: each stays within its own DKW band.
Deviation deviation_between(const RankUniformity& sampler, std::size_t sampler_ranked, const RankUniformity& control,
                            std::size_t control_ranked, double confidence) {
  double largest = 0.0;
  for (std::size_t i = 0; i < sampler.ecdf.size(); ++i) largest = std::max(largest, std::abs(sampler.ecdf[i] - control.ecdf[i]));
  const auto width = [&](double level) { return dkw_half_width(sampler_ranked, 0.5 * (1.0 + level)) + dkw_half_width(control_ranked, 0.5 * (1.0 + level)); };
  return {largest, std::max(0.0, largest - width(confidence)), std::min(1.0, largest + width(0.99)), 0.0};
}

std::string percent(double share) { return fmt::format("{:.1f} %", 100.0 * share); }

/// Of a region, many draws inside of it means that it is too small: " is over-confident".
std::string direction_of(const RankUniformity& result, bool is_region) {
  if (result.direction == Miscalibration::none) return "";
  if (!is_region) return " is " + to_string(result.direction);
  if (result.direction == Miscalibration::biased_low) return " is over-confident";
  if (result.direction == Miscalibration::biased_high) return " is under-confident";
  return " is wrong at small and large levels in opposite ways";
}

/// "x_1 is over-confident: central 90 % intervals hold 61.2 % of the truths".
std::string finding_of(const CalibrationReport& report, const RankResult& result) {
  const bool is_region = statistic_of(report, result).is_region;
  const CoverageLevels& levels = is_region ? report.nested : report.central;
  const std::size_t k = nearest_level(levels, 0.9);
  const ConfidenceInterval& interval = result.coverage.interval[k];
  return fmt::format("{}{}: the {} {} of {} hold {} of the truths [{}, {}]", result.statistic, direction_of(result.uniformity, is_region), percent(levels.level[k]),
                     is_region ? "regions" : "central intervals", is_region ? result.statistic : "the draws", percent(result.coverage.coverage[k]),
                     percent(interval.low), percent(interval.high));
}

/// Too narrow is negative, as advise() has it.
double width_of(const RankResult& result, const CalibrationStatistic& statistic) {
  return statistic.is_region ? -result.uniformity.mean_offset : -result.uniformity.distance_offset;
}

void judge(const CalibrationReport& report, const SamplerTraits& traits, double margin, SamplerCalibration& sampler) {
  Check& check = sampler.check;
  check.id = kCheck;
  check.margin = margin;
  check.worst_t = report.t;
  const RankResult* worst = nullptr;
  double high = 0.0;
  for (const RankResult& result : sampler.ranks) {
    if (statistic_of(report, result).validity != Validity::valid) continue;
    const auto size = [](const RankResult& r) { return std::pair(r.deviation.low, r.deviation.effect); };
    if (worst == nullptr || size(result) > size(*worst)) worst = &result;
    high = std::max(high, result.deviation.high);
  }
  const ConfidenceInterval unranked = clopper_pearson(sampler.num_unranked, report.replicates, failing_confidence(report));
  if (unranked.low > margin || worst == nullptr) {
    check.verdict = Verdict::fail;
    check.effect = static_cast<double>(sampler.num_unranked) / static_cast<double>(report.replicates);
    check.low = unranked.low, check.high = unranked.high;
    check.finding = fmt::format("{} of the measurements have draws that are not finite, or too far out to have a likelihood", percent(*check.effect));
    check.advice = advise("divergence", traits, 0.0, report.t);
    return;
  }
  check.effect = worst->deviation.effect;
  check.low = worst->deviation.low;
  check.high = high;
  check.null = worst->deviation.null;
  check.verdict = verdict_of(*check.low, high, margin);
  check.finding = finding_of(report, *worst);
  std::string others;
  for (const RankResult& result : sampler.ranks)
    if (&result != worst && !result.uniformity.within_band && statistic_of(report, result).validity == Validity::valid)
      others += (others.empty() ? "; also beyond what chance gives: " : ", ") + result.statistic +
                direction_of(result.uniformity, statistic_of(report, result).is_region);
  check.finding += others;
  if (check.verdict == Verdict::fail) check.advice = advise(kCheck, traits, width_of(*worst, statistic_of(report, *worst)), report.t);
  if (check.verdict == Verdict::inconclusive)
    check.advice = fmt::format("The interval [{:.3g}, {:.3g}] straddles the margin {:.3g}: use more replicates{}.", *check.low, high, margin,
                               report.replicates_to_pass ? fmt::format(" ({} pass a calibrated sampler in most runs)", *report.replicates_to_pass) : "");
}

/// A sampler cannot be blamed for what exact draws do too.
void defer_to_control(const CalibrationReport& report, const SamplerCalibration& control, SamplerCalibration& sampler) {
  const RankResult* worst = nullptr;
  for (const RankResult& result : sampler.ranks)
    if (result.from_control && (worst == nullptr || result.from_control->low > worst->from_control->low)) worst = &result;
  sampler.check.verdict = Verdict::inconclusive;
  sampler.check.finding += fmt::format("; but exact draws are not calibrated either ({})", control.check.finding);
  if (worst != nullptr)
    sampler.check.finding += fmt::format("; its ranks of {} are {:.3g} from those of exact draws, at least {:.3g}", worst->statistic,
                                         worst->from_control->effect, worst->from_control->low);
  sampler.check.advice = report.left_out ? "Cause: so few atoms do not stand for their population. Use more atoms or a larger sigma; what "
                                           "counts is the comparison with the exact draws."
                                         : "Repeat with another --seed: the control failed.";
}

RankResult rank_result(const CalibrationReport& report, const CalibrationStatistic& statistic, std::vector<std::size_t> ranks,
                       const UniformRanks& uniform, double margin) {
  RankResult out;
  out.statistic = statistic.id;
  out.uniformity = rank_uniformity(ranks, uniform);
  out.coverage = credible_coverage(ranks, statistic.is_region ? report.nested : report.central);
  out.deviation = deviation_from_uniform(out.uniformity, uniform, failing_confidence(report),
                                         1.0 - static_cast<double>(ranks.size()) / static_cast<double>(report.replicates));
  out.verdict = verdict_of(out.deviation.low, out.deviation.high, margin);
  out.ranks = std::move(ranks);
  return out;
}

void describe_power(double margin, CalibrationReport& report) {
  const double root = std::sqrt(static_cast<double>(report.replicates));
  // Where the largest deviation is, the ECDF has a standard deviation of at most ½/√R.
  report.detectable = margin + dkw_half_width(report.replicates, failing_confidence(report)) + 0.5 * normal_quantile(0.95) / root;
  // The 97 % quantile of √R max|F̂ − F| of uniform ranks (Kolmogorov's law), and half of the 99 % normal quantile for the interval.
  constexpr double kKolmogorov = 1.4488;
  if (margin > 0.0)
    report.replicates_to_pass = static_cast<std::size_t>(std::ceil(std::pow((kKolmogorov + 0.5 * normal_quantile(0.99)) / margin, 2.0)));
}

}  // namespace

void judge_calibration(const std::vector<RankTable>& tables, const std::vector<SamplerTraits>& traits, double margin,
                       CalibrationReport& report) {
  report.central = CoverageLevels::central(report.replicates, report.draws, kBandConfidence);
  report.nested = CoverageLevels::nested(report.replicates, report.draws, kBandConfidence);
  std::map<std::size_t, UniformRanks> uniform;  // by the number of replicates that have ranks
  const auto uniform_for = [&](std::size_t ranked) -> const UniformRanks& {
    return uniform.try_emplace(ranked, ranked, report.draws, kBandConfidence).first->second;
  };
  report.rank_cumulative = uniform_for(report.replicates).cumulative;
  report.rank_band = uniform_for(report.replicates).band;
  describe_power(margin, report);
  std::vector<Verdict> verdicts;
  for (std::size_t i = 0; i < report.samplers.size(); ++i) {
    SamplerCalibration& sampler = report.samplers[i];
    for (std::size_t q = 0; q < tables[i].of.size(); ++q) {
      std::vector<std::size_t> ranks;
      for (const std::optional<std::size_t>& rank : tables[i].of[q])
        if (rank) ranks.push_back(*rank);
      sampler.num_unranked = std::max(sampler.num_unranked, report.replicates - ranks.size());
      if (ranks.empty()) continue;
      const UniformRanks& reference = uniform_for(ranks.size());
      RankResult result = rank_result(report, report.statistics[q], std::move(ranks), reference, margin);
      const std::vector<RankResult>& exact = report.samplers.front().ranks;
      const auto control = std::ranges::find(exact, result.statistic, &RankResult::statistic);
      if (i > 0 && control != exact.end())
        result.from_control = deviation_between(result.uniformity, result.ranks.size(), control->uniformity, control->ranks.size(),
                                                failing_confidence(report));
      sampler.ranks.push_back(std::move(result));
    }
    if (sampler.num_unranked > 0) {
      sampler.status = "diverged";
      sampler.message = fmt::format("{} of {} measurements have draws that are not finite, or too far out to have a likelihood", sampler.num_unranked, report.replicates);
    }
    judge(report, traits[i], margin, sampler);
  }
  SamplerCalibration& control = report.samplers.front();
  const bool uncalibrated = control.check.verdict == Verdict::fail;
  if (uncalibrated && report.left_out) {
    control.check.verdict = Verdict::inconclusive;
    control.check.advice =
        "Cause: the atoms stand for a larger population, and the truth is left out of them: so few do not hold it as often as they "
        "say. Use more atoms or a larger sigma; if the atoms are the whole prior, say prior.complete = true.";
  }
  for (SamplerCalibration& sampler : report.samplers) {
    if (&sampler != &control && uncalibrated) defer_to_control(report, control, sampler);
    verdicts.push_back(sampler.check.verdict);
  }
  report.verdict = worst(verdicts);
}

}  // namespace fslens
