// The lens: the exact posterior of a prior at every diffusion time.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/diffusion/denoiser.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/measurement/likelihood.hpp"
#include "fslens/prior/modes.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {

/// The exact fields of prior and posterior at states x_t = x, row by row. mathematics.md, section 2.
struct LensFields {
  Matrix denoiser_mean;                             ///< m = E[x_0 | x_t] [B, d]
  std::vector<double> denoiser_variance;            ///< Tr C [B]
  Matrix prior_score;                               ///< ∇ log p_t(x) = (a m + b − x)/s² [B, d]
  std::vector<double> log_prior_density;            ///< log p_t(x) [B]
  Matrix posterior_denoiser_mean;                   ///< m̃ = E[x_0 | x_t, y] [B, d]
  std::vector<double> posterior_denoiser_variance;  ///< Tr C̃ [B]
  Matrix posterior_score;                           ///< ∇ log p_t(x | y) [B, d]
  std::vector<double> log_posterior_density;        ///< log p_t(x | y) [B]
  Matrix likelihood_score;                          ///< (a/s²)(m̃ − m) [B, d]
  std::vector<double> log_likelihood;               ///< log p_t(y | x) [B]

  // Proven bounds on the error of each field, rounding and everything skipped: of vectors ‖computed − exact‖₂, else the absolute
  // value. Exact is what follows from a(t), s²(t), b(t), log π_i and log p(y | x_i) as float64 holds them. Empty where the lens has
  // no such proof; infinite where the proof fails.
  std::vector<double> denoiser_mean_error;                ///< [B], as all that follow
  std::vector<double> denoiser_variance_error;
  std::vector<double> prior_score_error;
  std::vector<double> log_prior_density_error;
  std::vector<double> posterior_denoiser_mean_error;
  std::vector<double> posterior_denoiser_variance_error;
  std::vector<double> posterior_score_error;
  std::vector<double> log_posterior_density_error;
  std::vector<double> likelihood_score_error;
  std::vector<double> log_likelihood_error;
};

/// Which of the two distributions of x_0 is meant.
enum class Measure { prior, posterior };

/// Draws with the component (atom, or Gaussian of a mixture) that each came from.
struct Draws {
  Matrix x;                           ///< [B, d]
  std::vector<std::size_t> component; ///< [B]
};

/// Mean and covariance of p_t(x | y) (or p_t(x)).
struct Moments {
  std::vector<double> mean;  ///< a E[x_0] + b [d]
  Matrix covariance;         ///< a² Cov[x_0] + s² I [d, d]
};

/// The judge: the exact posterior p_t(x | y) at every diffusion time t, for a prior whose components (atoms, or the
/// Gaussians of a mixture) make it computable. All calls are const, batched, and parallel inside.
class Lens {
 public:
  Lens(NoiseSchedule schedule, std::shared_ptr<const Likelihood> likelihood)
      : schedule_(std::move(schedule)), likelihood_(std::move(likelihood)) {}
  virtual ~Lens() = default;

  const NoiseSchedule& schedule() const { return schedule_; }
  const Likelihood& likelihood() const { return *likelihood_; }
  std::size_t dim() const { return likelihood_->input_dim(); }
  virtual std::size_t num_components() const = 0;
  /// out ← the mean of component i of the prior: an atom, or the mean of a Gaussian. @shape out [d]
  virtual void copy_component(std::size_t i, std::span<double> out) const = 0;
  /// out ← the mean of component i of the posterior: the atom again, or the Gaussian's mean once y is known. @shape out [d]
  virtual void copy_posterior_component(std::size_t i, std::span<double> out) const { copy_component(i, out); }
  /// Tr of the covariance that every component of the posterior has: 0 for atoms. Of a mixture the mean over its weights.
  virtual double component_variance() const { return 0.0; }
  virtual bool has_atoms() const = 0;  ///< components are atoms: nearest-atom statistics make sense

  /// log π_i and log ω_i = log π_i + ℓ_i − log p(y), each summing to 1. [num_components]
  std::span<const double> log_weights(Measure measure) const {
    return measure == Measure::prior ? log_prior_weights_ : log_posterior_weights_;
  }
  double log_evidence() const { return log_evidence_; }  ///< log p(y), normalised in y
  double effective_sample_size() const;                   ///< ESS = 1/Σ ω_i²

  virtual LensFields fields(ConstBatchView x, double t) const = 0;
  /// log p_t(x) alone. [B]
  virtual std::vector<double> log_prior_density(ConstBatchView x, double t) const = 0;
  /// log p_t(x | y) alone: of fields, unless a lens has it cheaper. [B]
  virtual std::vector<double> log_posterior_density(ConstBatchView x, double t) const { return fields(x, t).log_posterior_density; }
  /// Posterior (or prior) responsibility of each mode, Σ_{i∈k} w̃_i(x, t). @shape result [B, K]
  virtual Matrix mode_responsibilities(ConstBatchView x, double t, const ModePartition& modes, Measure measure) const = 0;
  /// The component that each state belongs to: the nearest atom to x/a, or the largest prior responsibility.
  /// num_components() for a state that is not finite. [B]
  virtual std::vector<std::size_t> assign(ConstBatchView x, double t) const = 0;

  /// Exact draws, no SDE: a component from its weights, then x_t = a x_0 + b + s ε; t = 0 gives x_0. Particle b uses the
  /// numbers of (step, b), so draws at several t with one step share their x_0.
  Draws sample(Measure measure, std::size_t count, double t, const RandomStream& stream, std::uint64_t step = 0) const;
  /// Exact moments at t (t = 0: of x_0).
  Moments moments(Measure measure, double t) const;
  /// The denoiser of p_t(x) or of p_t(x | y): what a sampler may be given. It computes as the lens itself does.
  virtual std::shared_ptr<const Denoiser> denoiser(Measure measure) const = 0;
  /// The same with options of its own. That of a lens with exact_scan skips nothing either.
  virtual std::shared_ptr<const Denoiser> denoiser(Measure measure, AssignmentOptions options) const = 0;
  /// The same prior seen through another measurement. `left_out`: a component that the prior then lacks, as when y was made from it.
  /// @throws InvalidArgument as the constructor, and if there is no such component or it is the only one
  virtual std::shared_ptr<const Lens> remeasured(std::shared_ptr<const Likelihood> likelihood,
                                                 std::optional<std::size_t> left_out = std::nullopt) const = 0;

  /// log p(y_r) if the noise had covariance κ_k² Σ_n, the components left_out[r] being missing from the prior (kNoComponent: none is).
  /// Column κ = 1 without a component left out holds what log_evidence() would be for that y. @shape y [R, m], left_out [R], result [R, K]
  /// @throws InvalidArgument on wrong shapes or a scale ≤ 0   @cost R K num_components m, and the operator at every component
  Matrix log_evidences(ConstBatchView y, std::span<const double> noise_scales, std::span<const std::size_t> left_out) const;
  static constexpr std::size_t kNoComponent = static_cast<std::size_t>(-1);

 protected:
  virtual Matrix scaled_log_evidences(ConstBatchView y, std::span<const double> noise_scales,
                                      std::span<const std::size_t> left_out) const = 0;
  virtual Draws sample_clean(Measure measure, std::size_t count, const RandomStream& stream, std::uint64_t step) const = 0;
  virtual Moments clean_moments(Measure measure) const = 0;
  /// Scores from means: the identities of Tweedie.
  void fill_scores(ConstBatchView x, double t, LensFields& fields) const;
  /// From what two mixtures, prior and posterior, know at (x, t): log_density, mean and variance.
  template <class MixtureFields>
  LensFields fields_of(MixtureFields prior, MixtureFields posterior, ConstBatchView x, double t) const {
    LensFields out;
    out.denoiser_mean = std::move(prior.mean);
    out.denoiser_variance = std::move(prior.variance);
    out.log_prior_density = std::move(prior.log_density);
    out.posterior_denoiser_mean = std::move(posterior.mean);
    out.posterior_denoiser_variance = std::move(posterior.variance);
    out.log_posterior_density = std::move(posterior.log_density);
    for (std::size_t b = 0; b < x.rows(); ++b)
      out.log_likelihood.push_back(out.log_posterior_density[b] - out.log_prior_density[b] + log_evidence_);
    fill_scores(x, t, out);
    return out;
  }

  NoiseSchedule schedule_;
  std::shared_ptr<const Likelihood> likelihood_;
  std::vector<double> log_prior_weights_;
  std::vector<double> log_posterior_weights_;
  double log_evidence_ = 0.0;
};

}  // namespace fslens
