// What a diagnosis is: plain results, made by diagnose() and shown by report/.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fslens {

enum class Verdict { pass, fail, inconclusive, not_run };
std::string to_string(Verdict verdict);  ///< "pass", "fail", "inconclusive", "not-run"
Verdict parse_verdict(const std::string& text);

/// One question asked of one sampler.
///
/// `fail`: the whole interval of the effect lies beyond the margin; `pass`: the whole interval lies within it;
/// `inconclusive`: the interval straddles it; `not_run`: the data do not allow the question.
struct Check {
  std::string id;                  ///< "spread", "mode-weights", …
  Verdict verdict = Verdict::not_run;
  std::optional<double> effect;    ///< how far the sampler is from exact, null effect removed, ≥ 0
  std::optional<double> low;       ///< lower end of its interval, simultaneous over samplers, checks and times
  std::optional<double> high;      ///< upper end, 99 % for each check and time
  double margin = 0.0;             ///< what is tolerated
  std::optional<double> null;      ///< what exact draws give for the same statistic
  std::optional<double> worst_t;   ///< the diffusion time of the effect
  std::optional<double> first_t;   ///< the first time, along the run, at which the statistic leaves its null band
  std::string finding;             ///< one sentence: what was seen, in numbers
  std::string advice;              ///< cause and next step; empty on a pass
};

/// A statistic against diffusion time, with the band that exact draws give.
struct Curve {
  std::string name;
  std::vector<double> value;                     ///< [T]; NaN where undefined
  std::vector<double> null_low, null_mean, null_high;  ///< [T], or empty where there is no band
};

struct FinalStatistics {
  std::vector<double> mode_weights;
  std::optional<double> mode_weights_tv;
  std::optional<double> prior_hallucination;        ///< fraction in modes of posterior weight < 1e-3
  std::optional<double> prior_hallucination_atoms;  ///< fraction nearest to an atom outside the 99.9 % posterior set
  std::optional<double> likelihood_hallucination;
  std::optional<double> diverged;
  std::optional<double> spread_ratio;
  std::optional<double> sliced_w2;        ///< √max(0, SW2² − its null mean), in the units of x
  std::optional<double> energy;           ///< unbiased
  std::optional<double> mmd;              ///< MMD², unbiased
  std::optional<double> ksd;              ///< KSD², U-statistic
  std::optional<double> total_variation;  ///< d ≤ 2 only
  std::optional<double> early_stopping_slope;  ///< d(error)/d(log t) at the end, over the exact sampler's own
};

/// A number with the band of its null distribution and an interval.
struct FinalInterval {
  double value = 0.0;
  std::optional<double> low, high;  ///< 95 %
  std::optional<double> null_low, null_mean, null_high;
};

struct SamplerDiagnosis {
  std::string name;
  std::map<std::string, std::string> options;
  std::string status = "ok";  ///< "ok" or "diverged"
  std::string message;
  std::size_t num_particles = 0;
  double seconds = 0.0;
  Verdict verdict = Verdict::not_run;
  FinalStatistics final;
  std::map<std::string, FinalInterval> intervals;  ///< of the final statistics that have one, by name
  std::vector<double> t;
  std::vector<Curve> curves;
  std::vector<std::vector<double>> mode_weight_curves;  ///< [T][K] W_k(t)
  std::vector<Check> checks;
  std::optional<double> monte_carlo;  ///< √(mean SW2² between exact samples of this size): the floor of its final error
};

struct ModeSummary {
  std::size_t id = 0;
  std::string label;
  double prior_weight = 0.0;
  double posterior_weight = 0.0;
};

/// The atoms were smoothed: what with, and what the raw lens said.
struct SmoothingSummary {
  std::string kernel;              ///< "isotropic", "covariance"
  double bandwidth = 0.0;
  bool by_leave_one_out = false;
  bool automatic = false;          ///< not asked for: the raw lens had collapsed
  std::size_t copies = 0;          ///< jittered copies of each atom; 0: in closed form
  double raw_ess = 0.0;
  double raw_log_evidence = 0.0;
};

struct LensSummary {
  std::string prior_kind;  ///< "atoms", "gaussian", "gmm"
  std::size_t num_atoms = 0;
  std::size_t dim = 0;
  std::size_t num_measurements = 0;
  double ess = 0.0;
  double log_evidence = 0.0;
  std::vector<ModeSummary> modes;
  std::optional<SmoothingSummary> smoothing;
};

struct Diagnosis {
  std::string problem;
  std::string title;
  Verdict verdict = Verdict::not_run;
  LensSummary lens;
  std::vector<SamplerDiagnosis> samplers;
  double false_alarm_rate = 0.0;  ///< family-wise, over all samplers, checks and times
  double seconds = 0.0;
};

/// The worst of several: fail, then inconclusive, then not-run; pass only if all pass.
Verdict worst(const std::vector<Verdict>& verdicts);

}  // namespace fslens
