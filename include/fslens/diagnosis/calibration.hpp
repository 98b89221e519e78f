// Calibration: over many simulated measurements, do a sampler's draws hold the truth as often as they say?
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/core/observer.hpp"
#include "fslens/diagnosis/diagnosis.hpp"
#include "fslens/diagnosis/problem.hpp"
#include "fslens/metrics/classifier_two_sample.hpp"
#include "fslens/metrics/credible_coverage.hpp"
#include "fslens/metrics/simulation_based_calibration.hpp"

namespace fslens {

struct CalibrateOptions {
  std::vector<SamplerSpec> samplers;  ///< beside `exact`, the control, which always runs
  std::size_t replicates = 3000;      ///< R simulated measurements, ≥ 50
  std::size_t draws = 99;             ///< L of each sampler for each measurement, ≥ 9; ranks are 0 … L
  double false_alarm_rate = 0.01;     ///< that any statistic of a calibrated sampler fails, over all samplers and statistics
};

/// How much a statistic may be made of for this problem.
enum class Validity {
  valid,   ///< exact draws have uniform ranks; it takes part in the verdict
  marked,  ///< computed and shown with the reason why it does not take part
  refused  ///< not computed, for the reason given
};
std::string to_string(Validity validity);  ///< "valid", "marked", "refused"

/// What is asked of the draws: a test quantity whose rank is taken, or the classifier.
struct CalibrationStatistic {
  std::string id;          ///< "x_1", "pc_1", "log_likelihood", "hpd", "tarp", "c2st"
  std::string meaning;
  Validity validity = Validity::valid;
  std::string reason;      ///< why it is marked or refused
  std::string blind_to;    ///< what it cannot see even where it is valid
  bool is_region = false;  ///< ranks count the draws inside of a region that reaches to the truth (hpd, tarp)
};

/// A number with an interval.
struct Deviation {
  double effect = 0.0;  ///< the null removed, ≥ 0
  double low = 0.0;     ///< simultaneous over samplers and statistics
  double high = 0.0;    ///< 99 %, for this statistic alone
  double null = 0.0;    ///< what chance alone gives: its median
};

/// The ranks of the truths among a sampler's draws for one test quantity, and what they say.
struct RankResult {
  std::string statistic;
  std::vector<std::size_t> ranks;     ///< of the replicates that have one, in their order
  RankUniformity uniformity;
  CoverageCurve coverage;             ///< of central intervals; of regions where the statistic is one
  Deviation deviation;                ///< of the rank ECDF from uniform, the largest over all ranks
  Verdict verdict = Verdict::not_run; ///< of the deviation against the margin, were it judged alone
  std::optional<Deviation> from_control;  ///< of the rank ECDF from that of the exact draws, nothing removed; absent for the control
};

struct SamplerCalibration {
  std::string name;
  std::map<std::string, std::string> options;
  std::string status = "ok";  ///< "ok" or "diverged"
  std::string message;
  std::size_t num_unranked = 0;  ///< replicates without a rank, of the statistic that lacks most: a draw, or its test quantity, is not finite
  double seconds = 0.0;          ///< of drawing, all threads together
  std::vector<RankResult> ranks;
  std::optional<ClassifierTwoSample> c2st;
  Check check;  ///< id "calibration"
};

struct CalibrationReport {
  std::string problem;
  std::string title;
  std::string prior_kind;
  std::size_t num_atoms = 0;  ///< atoms, or components of a mixture
  std::size_t dim = 0;
  std::size_t num_measurements = 0;
  std::size_t replicates = 0;
  std::size_t draws = 0;
  double t = 0.0;         ///< the samplers' last time: truths are noised to it, so that exact draws of p_t(x | y) are exactly calibrated
  bool left_out = false;  ///< the truth was taken from the atoms: exact draws are calibrated as far as the atoms stand for the population
  double false_alarm_rate = 0.0;
  double detectable = 0.0;     ///< a deviation this large fails in at least 95 % of runs
  std::optional<std::size_t> replicates_to_pass;  ///< so many pass a calibrated sampler in most runs; absent for a margin of 0
  std::vector<double> rank_cumulative;   ///< i/(L + 1), i = 1 … L, where ECDFs are given
  EcdfBand rank_band;
  CoverageLevels central, nested;        ///< the levels of coverage, with their bands
  std::vector<CalibrationStatistic> statistics;
  std::vector<SamplerCalibration> samplers;  ///< the control first
  Verdict verdict = Verdict::not_run;
  double seconds = 0.0;
};

/// Draws R truths and measurements, L draws of `exact` and of each sampler for each, and ranks the truths, noised to the samplers' last time.
/// The same bits for every number of threads. @throws UsageError on names, InvalidArgument on values, Interrupted
/// @cost R · L particles through each sampler, and R lenses
CalibrationReport calibrate(const Problem& problem, const CalibrateOptions& options, Observer& observer);

}  // namespace fslens
