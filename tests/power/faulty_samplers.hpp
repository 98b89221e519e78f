// Denoisers and samplers with one thing wrong.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "fslens/diagnosis/contestant.hpp"
#include "fslens/diffusion/denoiser.hpp"
#include "fslens/samplers/sampler.hpp"

namespace fslens::test {

/// A denoiser whose means somebody changes, or that is asked at another time, or believes in another schedule.
class AlteredDenoiser final : public Denoiser {
 public:
  using Means = std::function<void(ConstBatchView x, double t, BatchView mean)>;
  using Time = std::function<double(double t)>;
  explicit AlteredDenoiser(std::shared_ptr<const Denoiser> inner) : inner_(std::move(inner)), schedule_(inner_->schedule()) {}

  AlteredDenoiser& with_means(Means change) { return change_ = std::move(change), *this; }
  AlteredDenoiser& at_time(Time time) { return time_ = std::move(time), *this; }
  AlteredDenoiser& with_schedule(NoiseSchedule schedule) { return schedule_ = std::move(schedule), *this; }

  std::size_t dim() const override { return inner_->dim(); }
  const NoiseSchedule& schedule() const override { return schedule_; }
  void denoise(ConstBatchView x, double t, BatchView mean) const override;
  void covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v, BatchView product) const override;

 private:
  std::shared_ptr<const Denoiser> inner_;
  NoiseSchedule schedule_;
  Means change_;
  Time time_;
};

/// Answers with what it was asked for the time before: x̂_0 of the last step.
class StaleDenoiser final : public Denoiser {
 public:
  explicit StaleDenoiser(std::shared_ptr<const Denoiser> inner) : inner_(std::move(inner)) {}
  std::size_t dim() const override { return inner_->dim(); }
  const NoiseSchedule& schedule() const override { return inner_->schedule(); }
  std::shared_ptr<const Denoiser> for_other_particles() const override { return std::make_shared<StaleDenoiser>(inner_); }
  void denoise(ConstBatchView x, double t, BatchView mean) const override;
  void covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v, BatchView product) const override;

 private:
  std::shared_ptr<const Denoiser> inner_;
  mutable Matrix last_;  // one block of particles uses one of these, step after step
};

/// m_prior + c (m_posterior − m_prior): the exact likelihood score, c times.
std::shared_ptr<const Denoiser> with_scaled_guidance(std::shared_ptr<const Denoiser> posterior, std::shared_ptr<const Denoiser> prior, double c);

/// A sampler that does something to the states after each step of another.
class Tampered final : public PosteriorSampler {
 public:
  using After = std::function<void(BatchView x, double t, double u)>;
  Tampered(std::shared_ptr<const PosteriorSampler> sampler, After after) : sampler_(std::move(sampler)), after_(std::move(after)) {}
  std::string name() const override { return "tampered"; }
  void step(BatchView x, double t, double u, std::uint64_t step, const RandomStream& stream) const override {
    sampler_->step(x, t, u, step, stream);
    after_(x, t, u);
  }
  double evaluations_per_step() const override { return sampler_->evaluations_per_step(); }

 private:
  std::shared_ptr<const PosteriorSampler> sampler_;
  After after_;
};

// Contestants: the exact score under the problem's integrator, with a fault. All but the likelihood's are in `unguided` too.

Contestant chain_of(const Problem& problem, std::shared_ptr<const Denoiser> posterior, std::shared_ptr<const Denoiser> prior);
Contestant unaltered(const Problem& problem);
/// Both denoisers altered in the same way.
Contestant altered_chain(const Problem& problem, const std::function<std::shared_ptr<const Denoiser>(std::shared_ptr<const Denoiser>)>& alter);
Contestant tampered(const Problem& problem, const Tampered::After& after);
/// The posterior that a sampler believes in when it is given the likelihood of another problem, with this problem's y.
Contestant with_likelihood(const Problem& problem, const Problem& believed);
Contestant with_guidance(const Problem& problem, double c);
/// The schedule of the steps is not that of the denoiser.
Contestant with_schedule(const Problem& problem, const NoiseSchedule& schedule);
Contestant with_stale_denoiser(const Problem& problem);

/// The nearest number of IEEE 754 half precision (11 significant bits; no underflow, which plays no part here).
double rounded_to_half(double value);

}  // namespace fslens::test
