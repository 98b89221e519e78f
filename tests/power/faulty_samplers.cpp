#include "power/faulty_samplers.hpp"

#include <algorithm>
#include <cmath>

#include "fslens/samplers/registry.hpp"

namespace fslens::test {

void AlteredDenoiser::denoise(ConstBatchView x, double t, BatchView mean) const {
  inner_->denoise(x, time_ ? time_(t) : t, mean);
  if (change_) change_(x, t, mean);
}

void AlteredDenoiser::covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v, BatchView product) const {
  inner_->covariance_product(x, time_ ? time_(t) : t, mean, v, product);
}

void StaleDenoiser::denoise(ConstBatchView x, double t, BatchView mean) const {
  Matrix now(x.rows(), x.cols());
  inner_->denoise(x, t, now);
  const Matrix& answer = last_.rows() == x.rows() ? last_ : now;
  for (std::size_t b = 0; b < x.rows(); ++b) std::ranges::copy(answer.row(b), mean.row(b).begin());
  last_ = std::move(now);
}

void StaleDenoiser::covariance_product(ConstBatchView x, double t, ConstBatchView mean, ConstBatchView v, BatchView product) const {
  inner_->covariance_product(x, t, mean, v, product);
}

std::shared_ptr<const Denoiser> with_scaled_guidance(std::shared_ptr<const Denoiser> posterior, std::shared_ptr<const Denoiser> prior, double c) {
  auto out = std::make_shared<AlteredDenoiser>(std::move(posterior));
  out->with_means([prior = std::move(prior), c](ConstBatchView x, double t, BatchView mean) {
    Matrix unguided(x.rows(), x.cols());
    prior->denoise(x, t, unguided);
    for (std::size_t b = 0; b < x.rows(); ++b)
      for (std::size_t k = 0; k < x.cols(); ++k) mean(b, k) = unguided(b, k) + c * (mean(b, k) - unguided(b, k));
  });
  return out;
}

Contestant chain_of(const Problem& problem, std::shared_ptr<const Denoiser> posterior, std::shared_ptr<const Denoiser> prior) {
  SamplerContext context = sampler_context(problem);
  Contestant out;
  out.integrator = problem.integrator;
  context.denoiser = prior;
  context.posterior_denoiser = std::move(posterior);
  out.sampler = make_sampler({"lens-sde", {}}, context);
  context.posterior_denoiser = std::move(prior);
  out.unguided = make_sampler({"lens-sde", {}}, context);
  return out;
}

Contestant altered_chain(const Problem& problem, const std::function<std::shared_ptr<const Denoiser>(std::shared_ptr<const Denoiser>)>& alter) {
  return chain_of(problem, alter(problem.lens->denoiser(Measure::posterior)), alter(problem.lens->denoiser(Measure::prior)));
}

Contestant unaltered(const Problem& problem) {
  return chain_of(problem, problem.lens->denoiser(Measure::posterior), problem.lens->denoiser(Measure::prior));
}

Contestant tampered(const Problem& problem, const Tampered::After& after) {
  Contestant out = unaltered(problem);
  out.sampler = std::make_shared<Tampered>(out.sampler, after);
  out.unguided = std::make_shared<Tampered>(out.unguided, after);
  return out;
}

Contestant with_likelihood(const Problem& problem, const Problem& believed) {
  const auto likelihood = std::make_shared<Likelihood>(believed.likelihood->forward_ptr(), believed.likelihood->noise(),
                                                       std::vector<double>(problem.likelihood->y().begin(), problem.likelihood->y().end()));
  return chain_of(problem, problem.lens->remeasured(likelihood)->denoiser(Measure::posterior), problem.lens->denoiser(Measure::prior));
}

Contestant with_guidance(const Problem& problem, double c) {
  const auto prior = problem.lens->denoiser(Measure::prior);
  return chain_of(problem, with_scaled_guidance(problem.lens->denoiser(Measure::posterior), prior, c), prior);
}

Contestant with_schedule(const Problem& problem, const NoiseSchedule& schedule) {
  return altered_chain(problem, [&](std::shared_ptr<const Denoiser> denoiser) {
    auto altered = std::make_shared<AlteredDenoiser>(std::move(denoiser));
    altered->with_schedule(schedule);
    return altered;
  });
}

Contestant with_stale_denoiser(const Problem& problem) {
  return altered_chain(problem, [](std::shared_ptr<const Denoiser> denoiser) { return std::make_shared<StaleDenoiser>(std::move(denoiser)); });
}

double rounded_to_half(double value) {
  constexpr int kSignificantBits = 11;
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(mantissa, kSignificantBits)), exponent - kSignificantBits);
}

}  // namespace fslens::test
