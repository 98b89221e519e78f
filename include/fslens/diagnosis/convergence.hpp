// How fast lenses of N atoms converge to the exact posterior of the prior that the atoms are drawn from.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fslens/core/error.hpp"
#include "fslens/core/observer.hpp"
#include "fslens/diagnosis/analytic_problem.hpp"
#include "fslens/metrics/power_law.hpp"
#include "fslens/prior/empirical_prior.hpp"

namespace fslens {

/// The posterior that N atoms imply.
struct AtomsLens {
  std::shared_ptr<const Lens> lens;        ///< null if there is none: what it would be asked is then computed from the laws
  std::vector<double> weights;             ///< ω_i, the posterior weight of each atom [N]
  double log_evidence = 0.0;
  std::vector<GaussianComponents> law;     ///< p(x_0 | y)
  std::vector<GaussianComponents> points;  ///< what p_t(x | y) is made from instead of the law, where that is a quadrature's nodes; else empty
};

/// A lens of these atoms exists, but its kernels are narrower than the finest grid that can be afforded.
class UnresolvedLens : public Error {
 public:
  using Error::Error;
};

/// A way of making a lens from atoms: what is measured.
struct LensMethod {
  std::string name;  ///< "raw"
  /// @param exact the exact posterior, for the nodes of its quadrature
  std::function<AtomsLens(std::shared_ptr<const EmpiricalPrior>, const ExactPosterior& exact)> make;
};

/// FiniteSampleLens: p(x_0 | y) = Σ ω_i δ(x_i).
LensMethod raw_lens_method(const AnalyticProblem& problem);
/// "smoothed": an isotropic kernel whose bandwidth is chosen by leave-one-out likelihood, for each set of atoms anew. A SmoothedLens under affine
/// operators; under others p(x_0 | y) at the nodes of the exact posterior's quadrature, by which the smoothed prior is integrated to 1e-6.
LensMethod smoothed_lens_method(const AnalyticProblem& problem);
/// "modewise": every mode of the atoms has a kernel that keeps the mode's mean and covariance: the fitted Gaussian where the mode cannot be told from
/// one, else so narrow that what it changes is small against sampling noise. Exact under affine operators, by quadrature under others.
LensMethod modewise_lens_method(const AnalyticProblem& problem);
/// The three of them.
std::vector<LensMethod> lens_methods(const AnalyticProblem& problem);

struct ConvergenceOptions {
  std::vector<std::size_t> atoms = {100, 316, 1000, 3162, 10000, 31623, 100000};  ///< ascending, at least 2 sizes, each ≥ 2
  std::size_t repetitions = 0;  ///< at each size, ≥ 2; 0: 32, above 1,600 atoms fewer, 5 at least
  std::vector<double> times;    ///< in (0, t_max]; empty: default_convergence_times
};

/// Those with log(a²/s²) = 0, 2.5, 5 (s/a = 1, 0.29, 0.08), as far as the schedule reaches them.
std::vector<double> default_convergence_times(const NoiseSchedule& schedule, double t_min, double t_max);

/// One statistic of one lens at one time, against N.
struct ErrorCurve {
  std::string lens;
  std::string statistic;        ///< "total-variation" | "score" | "sliced-w2" | "mean" | "covariance" | "log-evidence" | "mode-weights"
  std::optional<double> t;      ///< absent: of x_0
  std::vector<ErrorLevel> levels;
  std::vector<double> means;    ///< over the repetitions of each level
  double floor = 0.0;           ///< the error of the exact side itself
  std::optional<PowerLawFit> fit;
  double fitted_from = 0.0;     ///< the fewest and the most atoms of the levels that were fitted
  double fitted_to = 0.0;
  std::string note;             ///< what was left out of the fit, and why; or why there is none
};

/// How much smaller the error of one lens is than that of the raw lens of the same atoms.
struct ErrorRatio {
  double atoms = 0.0;
  double factor = 0.0;                      ///< exp(mean log(raw error / error))
  ConfidenceInterval factor_interval;
  std::optional<double> atoms_factor;       ///< factor^(1/r): how many times more atoms the raw lens would need; r its rate
  std::optional<ConfidenceInterval> atoms_interval;
};
struct LensComparison {
  std::string lens;
  std::string statistic;
  std::optional<double> t;
  std::vector<ErrorRatio> ratios;  ///< one a size
  /// Over all sizes with errors that can be compared, every size counting alike, from repetitions on the same atoms.
  std::optional<ErrorRatio> overall;   ///< its `atoms` is 0
  std::optional<Estimate> rate_gain;   ///< the rate of this lens less that of the first: of log(first error / error) against log N
};

struct AbsentStatistic {
  std::string statistic;
  std::string reason;
};

struct Convergence {
  std::string problem, title, prior_kind, forward_operator;
  std::size_t dim = 0;
  std::size_t num_modes = 0;
  std::string exact_method;  ///< of the exact posterior
  double log_evidence = 0.0;
  std::uint64_t seed = 0;
  std::vector<double> times;
  std::vector<std::size_t> atoms, repetitions;
  std::vector<std::string> lenses;
  Matrix effective_sizes;  ///< mean ESS of ω [lens, size]
  std::vector<ErrorCurve> curves;
  std::vector<LensComparison> comparisons;  ///< of every lens but the first with the first
  std::vector<AbsentStatistic> absent;
  double seconds = 0.0;
};

/// For every size and repetition: atoms from the prior, the lens of each method on these same atoms, its errors. Then the rates.
/// @throws UsageError naming the option that does not fit; InvalidArgument as exact_posterior; Interrupted
Convergence measure_convergence(const AnalyticProblem& problem, const std::vector<LensMethod>& methods,
                                const ConvergenceOptions& options, Observer& observer);

}  // namespace fslens
