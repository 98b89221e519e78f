#include "fslens/guidance/scheduled_guidance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "fslens/core/error.hpp"

namespace fslens {

double WeightSchedule::at(const NoiseSchedule& noise, double time) const {
  const bool ascending = t.front() < t.back();
  // The first given time that is not passed yet when time runs the way that the list does.
  const auto next = std::ranges::find_if(t, [&](double given) { return ascending ? given >= time : given <= time; });
  const auto i = static_cast<std::size_t>(next - t.begin());
  if (i == t.size()) return weight.back();
  if (i == 0 || t[i] == time) return weight[i];
  noise.require_time("weight schedule: t", std::max(t[i - 1], t[i]));
  const double before = noise.log_snr(t[i - 1]), after = noise.log_snr(t[i]);
  const double share = (noise.log_snr(time) - before) / (after - before);
  return weight[i - 1] + share * (weight[i] - weight[i - 1]);
}

void require_valid(const WeightSchedule& schedule) {
  const std::vector<double>& t = schedule.t;
  require(!t.empty(), "weight schedule: t", "no times", "must hold at least one");
  require_size("weight schedule: weight", schedule.weight.size(), t.size(), "the times");
  require_finite("weight schedule: t", t);
  require_finite("weight schedule: weight", schedule.weight);
  const bool ascending = t.front() < t.back();
  for (std::size_t i = 0; i < t.size(); ++i) {
    require_positive(fmt::format("weight schedule: t[{}]", i), t[i]);
    require(i == 0 || (ascending ? t[i - 1] < t[i] : t[i - 1] > t[i]), fmt::format("weight schedule: t[{}]", i), fmt::format("{}", t[i]),
            "must continue a strictly ascending or strictly descending list");
  }
}

ScheduledGuidance::ScheduledGuidance(std::shared_ptr<const Guidance> guidance, double factor, WeightSchedule schedule)
    : guidance_(std::move(guidance)), factor_(factor), schedule_(std::move(schedule)) {
  require(guidance_ != nullptr, "scheduled guidance: guidance", "null", "must be given");
  require(std::isfinite(factor_), name() + ": scale", fmt::format("{}", factor_), "must be finite");
  if (!schedule_.t.empty() || !schedule_.weight.empty()) require_valid(schedule_);
}

std::shared_ptr<const Guidance> ScheduledGuidance::for_other_particles() const {
  auto guidance = guidance_->for_other_particles();
  return guidance ? std::make_shared<ScheduledGuidance>(std::move(guidance), factor_, schedule_) : nullptr;
}

double ScheduledGuidance::weight(const NoiseSchedule& noise, double t) const {
  return schedule_.t.empty() ? factor_ : factor_ * schedule_.at(noise, t);
}

void ScheduledGuidance::score(const Denoiser& denoiser, const Likelihood& likelihood, ConstBatchView x, double t, ConstBatchView mean,
                              BatchView score) const {
  guidance_->score(denoiser, likelihood, x, t, mean, score);
  const double c = weight(denoiser.schedule(), t);
  for (std::size_t b = 0; b < score.rows(); ++b)
    for (double& value : score.row(b)) value *= c;
}

std::optional<Guidance::ResidualWeight> ScheduledGuidance::residual_weight(const Denoiser& denoiser, const Likelihood& likelihood,
                                                                           double t) const {
  auto weighed = guidance_->residual_weight(denoiser, likelihood, t);
  if (!weighed) return std::nullopt;
  weighed->apply = [apply = std::move(weighed->apply), c = weight(denoiser.schedule(), t)](ConstBatchView projected, Matrix& residual) {
    apply(projected, residual);
    for (double& value : residual.values()) value *= c;
  };
  return weighed;
}

std::optional<std::vector<double>> ScheduledGuidance::log_likelihood(const Denoiser&, const Likelihood&, ConstBatchView, double,
                                                                     ConstBatchView) const {
  return std::nullopt;
}

}  // namespace fslens
