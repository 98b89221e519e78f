// What exact draws of the posterior look like at the times that are judged, and how much they vary by chance.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "fslens/core/observer.hpp"
#include "fslens/diagnosis/squared_deviations.hpp"
#include "fslens/lens/lens.hpp"
#include "fslens/metrics/energy_distance.hpp"
#include "fslens/metrics/mmd.hpp"
#include "fslens/metrics/null_band.hpp"
#include "fslens/metrics/sliced_wasserstein.hpp"

namespace fslens {

/// Energy distance to exact x_0 of each of up to kStopGroups groups of particles: means are unbiased, and errors of
/// differences between times follow from the groups, since a group is the same particles at every time.
using StopErrors = std::vector<double>;
inline constexpr std::size_t kStopGroups = 50;
/// @shape x̂_0 [B, d]. Groups have at least 10 particles.
StopErrors stop_errors(const EnergySample& exact, ConstBatchView clean);

/// Bins of a law on d ≤ 2 and its probability of each, by quadrature of the exact posterior density.
struct BinnedLaw {
  std::vector<double> edges[2];       ///< the second is empty for d = 1
  std::vector<double> probabilities;  ///< row-major
};

/// The exact posterior at one judged time. t = 0 is x_0 itself.
struct TimeReference {
  double t = 0.0;
  double total_variance = 0.0;               ///< Tr Cov
  VarianceLaw total_variance_law;            ///< of its estimate from B exact draws
  std::vector<double> direction_variances;   ///< along the principal directions
  std::vector<VarianceLaw> direction_variance_laws;
  std::optional<ProjectedSample> sample;     ///< B exact draws
  NullBand sliced_w2;                        ///< SW2² of R further samples of B against `sample`
  std::optional<NullBand> mode_tv;           ///< TV of W(t) to ω over resampled exact draws (t > 0)
  std::vector<double> mode_weight_sd;        ///< sd of each mode's W_k(t) over the same; empty at t = 0
  std::optional<BinnedLaw> law;              ///< d ≤ 2, t > 0
  std::optional<NullBand> law_tv;            ///< TV of R histograms of B exact draws to it
  StopErrors stop_rescaled;                  ///< errors of stopping here, for exact draws that share x_0 and ε at all times
  StopErrors stop_denoised;                  ///< empty at t = 0
};

/// The exact posterior at the last judged time, for questions about final samples.
struct FinalReference {
  std::vector<double> mode_target;    ///< probability that an exact draw is assigned to each mode
  NullBand mode_tv;                   ///< TV of B hard assignments to it
  std::vector<bool> atom_excluded;    ///< [N]: not in the smallest set that holds 99.9 % of ω; empty without atoms
  // How often, among num_null_draws exact draws, …
  std::size_t num_null_draws = 0;
  std::size_t at_excluded_atoms = 0;  ///< … one is nearest to an excluded atom
  std::size_t in_excluded_modes = 0;  ///< … falls into a mode of posterior weight < 1e-3
  double misfit_quantile = 0.0;       ///< 99.9 % quantile of −2 log p(y | x_0 = x/a) over exact draws
  double support_quantile = 0.0;      ///< 0.1 % quantile of log p_t(x) over prior draws of noise variance 1.5 s²
  std::size_t fit_off_support = 0;    ///< … counts as a likelihood hallucination
  std::size_t diverged = 0;           ///< … and as diverged
  std::size_t repeated = 0;           ///< how many of num_particles are copies, when their numbers are kept in single precision
  Matrix draws;                       ///< exact draws [≤ kPairwiseCap, d], for pairwise statistics
  std::optional<EnergySample> energy_sample;
  NullBand energy;
  std::optional<MmdSample> mmd_sample;
  std::optional<NullBand> mmd;
  double mean_distance = 0.0;         ///< E‖X − X'‖ of exact draws at the last time
  double scale = 0.0;                 ///< √(Tr Cov / d) at the last time
};

/// Pairwise statistics use at most this many particles: they cost O(B² d).
inline constexpr std::size_t kPairwiseCap = 512;
/// The data exclude a mode whose posterior weight is below this.
inline constexpr double kExcludedModeWeight = 1e-3;
/// Repetitions of every null.
inline constexpr std::size_t kNullRepetitions = 100;

/// Exact reference for B particles at decreasing times. Computed once a run and shared by all its samplers.
class ExactReference {
 public:
  /// @param times decreasing; 0 only as the last
  ExactReference(std::shared_ptr<const Lens> lens, const ModePartition& modes, std::vector<double> times,
                 std::size_t num_particles, const RandomStream& stream, Observer& observer);

  const Lens& lens() const { return *lens_; }
  const ModePartition& modes() const { return modes_; }
  std::size_t num_particles() const { return num_particles_; }
  const std::vector<double>& times() const { return times_; }
  const SlicedProjections& projections() const { return projections_; }
  const Matrix& principal_directions() const { return directions_; }  ///< [min(3, d), d], of Cov(x_0 | y)
  const EnergySample& clean_draws() const { return *clean_draws_; }   ///< exact x_0 [≤ kPairwiseCap, d]
  const std::vector<double>& mode_weights() const { return mode_weights_; }  ///< Ω_k = Σ_{i∈k} ω_i
  const TimeReference& at(std::size_t index) const { return references_[index]; }
  const FinalReference& final() const { return final_; }

 private:
  void find_principal_directions();
  void draw_references(Observer& observer);
  void draw_nulls(Observer& observer);
  void null_repetition(std::size_t repetition, std::vector<Matrix>& values) const;
  void make_mode_null(TimeReference& reference, const Matrix& pool) const;
  void bin_law(TimeReference& reference, ConstBatchView pool) const;
  void make_final();
  void make_hallucination_rates(const Draws& pool);
  void make_pairwise_nulls();

  std::shared_ptr<const Lens> lens_;
  ModePartition modes_;
  std::vector<double> times_;
  std::size_t num_particles_;
  RandomStream stream_;
  SlicedProjections projections_;
  Matrix directions_;
  double clean_variance_ = 0.0;
  std::optional<SquaredDeviations> deviations_;
  std::vector<double> clean_direction_variances_;
  std::optional<EnergySample> clean_draws_;
  std::vector<double> mode_weights_;
  std::vector<TimeReference> references_;
  FinalReference final_;
};

/// x̂_0 = (x − b)/a, what a user gets who stops at t. @shape [B, d]
Matrix rescaled_to_clean(const NoiseSchedule& schedule, ConstBatchView x, double t);
/// The first `count` rows. @shape [min(count, B), d]
Matrix first_rows(ConstBatchView x, std::size_t count);

}  // namespace fslens
