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
  std::optional<double> detectable;  ///< the smallest effect that would fail with 95 % probability at this number of particles
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
  std::optional<double> duplicates;                 ///< fraction that equals another sample
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

/// An error in posterior standard deviations at the last time: √max(0, SW2² − what chance gives)/√(Tr Cov/d), with a 95 % interval.
struct BudgetEntry {
  double value = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// Where the final error of a sampler comes from. Every row is the distance between two laws of final states that differ in one thing; rows do
/// not add up (they are distances, not variances). Absent: not measured, and `absent` says why.
struct ErrorBudget {
  std::optional<BudgetEntry> monte_carlo;     ///< between two exact samples of this size: the floor
  std::optional<BudgetEntry> finite_n;        ///< between the lens and that of its population (FiniteSampleError::sliced_w2)
  std::optional<BudgetEntry> discretisation;  ///< the exact score on this grid, started from exact draws, against exact draws
  std::optional<BudgetEntry> initialisation;  ///< the exact score from the sampler's own start against the same from exact draws
  std::optional<BudgetEntry> likelihood;      ///< the sampler on the exact denoiser against the exact score, same start and grid
  /// The sampler without a measurement against the prior's score, same start and grid: its schedule, its steps, its arithmetic.
  std::optional<BudgetEntry> dynamics;
  std::optional<BudgetEntry> prior;           ///< the sampler on its own denoiser against the same on the exact one
  std::optional<BudgetEntry> measurement;     ///< the posterior of y against that under the noise level that y asks for
  std::optional<BudgetEntry> total;           ///< the sampler against exact draws
  std::map<std::string, std::string> absent;  ///< row → why
  /// The largest row that is certainly not zero, of those that a sampler or problem can be blamed for; empty if there is none. `likelihood`
  /// holds whatever a sampler does wrong: it gives way to a `dynamics` of at least a quarter of its size.
  std::string largest;
};

/// Final errors when the exact score takes over from the sampler at t (hand-off), and when the sampler takes over from exact draws (entry).
struct SweepPoint {
  double t = 0.0;
  BudgetEntry hand_off;
  std::optional<BudgetEntry> entry;  ///< absent for recordings
};

/// Where along t the final error enters.
struct ErrorLocation {
  std::vector<SweepPoint> points;  ///< decreasing t
  std::size_t num_particles = 0;
  /// The exact score from exact draws, all the way: what the steps alone cost. It is in every hand-off, and not counted as entered.
  std::optional<BudgetEntry> exact_score;
  /// Times by which 10, 50 and 90 % of the squared final error beyond that have entered; absent where there is certainly none.
  std::optional<double> begin, half, end;
  std::string finding;  ///< one sentence
};

/// The bound on KL(exact posterior ‖ law of the chain) from the relative entropy of its path, in nats.
struct PathKlSummary {
  double total = 0.0;
  std::optional<double> standard_error;
  std::optional<double> initialisation, likelihood, discretisation;  ///< parts of the total, where they can be told apart
  std::optional<double> half_begin, half_end;  ///< between these times its middle half is made
  bool of_chain = false;  ///< of the chain's own steps; else of the same score under infinitely small steps
  bool is_bound = false;  ///< false: steps are too long for the expansion that it rests on, or not the chain's own
};

/// What the law of the chain is, without particles: d ≤ 2.
struct NoiseFreeLaw {
  std::vector<double> mode_weights;  ///< of the hard assignment at the last time
  double total_variation = 0.0;      ///< to the exact posterior there
  std::optional<double> kl;          ///< KL(exact posterior ‖ law) there; absent where tails are beyond the grid
  double error = 0.0;                ///< estimate of what the grid costs all of these
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
  std::vector<std::vector<double>> mode_weight_low, mode_weight_high;  ///< [T][K] bands of exact draws, over all modes, times and samplers
  std::vector<std::optional<double>> mode_departures;  ///< [K] the first time at which W_k is outside of its band; absent: never
  std::optional<PathKlSummary> path_kl;
  std::optional<NoiseFreeLaw> law;
  std::string law_absent;  ///< why there is no law for d ≤ 2, where there could have been one
  std::vector<Check> checks;
  ErrorBudget budget;
  std::optional<ErrorLocation> location;
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

/// A quantity of the lens with a 95 % interval over the choice of the atoms.
struct LensInterval {
  double value = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// Two ways, both cheap because the atoms stay and only ω changes:
///  - weighted bootstrap: ω_i ∝ ω_i g_i with g_i ~ Exp(1), Dirichlet weights on the atoms; percentile intervals of scalars;
///  - half splits: the posteriors of two random halves of the atoms. Their distance is twice that of the whole from the population, to
///    first order (each half has half the atoms, and both err).
/// Copies of an atom keep together. A smoothed lens is judged by the centres of its components: their kernels are the same.
struct FiniteSampleError {
  std::vector<LensInterval> mode_weights;  ///< Ω_k = Σ_{i∈k} ω_i
  LensInterval ess;
  LensInterval log_evidence;
  LensInterval total_variance;             ///< Tr Cov(x_0 | y)
  double mean_error = 0.0;                 ///< root mean square of ‖E_boot x_0 − E x_0‖, over √(Tr Cov)
  LensInterval sliced_w2;                  ///< ½ SW2 of half splits, over the final scale: root mean square, 2.5 % and 97.5 % quantiles
  std::optional<double> pareto_k;          ///< of the likelihoods at the prior's atoms: above 0.7 sums over them cannot be trusted
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
  std::optional<FiniteSampleError> finite_sample;  ///< absent where the prior is known completely
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
