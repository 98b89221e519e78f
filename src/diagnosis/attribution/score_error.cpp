#include "score_error.hpp"

namespace fslens {
namespace {

/// E‖s_approx − s_exact‖² over the draws.
double mean_square_error(const Matrix& score, const Matrix& exact) {
  double sum = 0.0;
  for (std::size_t j = 0; j < score.size(); ++j) {
    const double difference = score.values()[j] - exact.values()[j];
    sum += difference * difference;
  }
  return sum / static_cast<double>(score.rows());
}

std::vector<double> girsanov_kl(const NoiseSchedule& schedule, const std::vector<double>& times, const std::vector<double>& error) {
  std::vector<double> kl;
  double rate_before = 0.0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    const double rate = 0.5 * schedule.g2(times[i]) * error[i];
    kl.push_back(i == 0 ? 0.0 : kl.back() + 0.5 * (rate + rate_before) * (times[i - 1] - times[i]));
    rate_before = rate;
  }
  return kl;
}

}  // namespace

std::vector<ScoreError> score_errors(const Lens& lens, const std::vector<std::unique_ptr<Guidance>>& guidances,
                                     const std::vector<double>& times, const RandomStream& stream, Observer& observer) {
  constexpr std::size_t kDraws = 512;
  std::vector<ScoreError> out(guidances.size());
  if (guidances.empty()) return out;
  const auto denoiser = lens.denoiser(Measure::prior);
  for (std::size_t i = 0; i < times.size(); ++i) {
    report_progress(observer, "score error", i, times.size());
    const Matrix x = lens.sample(Measure::posterior, kDraws, times[i], stream).x;
    const LensFields exact = lens.fields(x, times[i]);
    for (std::size_t g = 0; g < guidances.size(); ++g) {
      Matrix score(x.rows(), x.cols());
      guidances[g]->score(*denoiser, lens.likelihood(), x, times[i], exact.denoiser_mean, score);
      out[g].error.push_back(mean_square_error(score, exact.likelihood_score));
    }
  }
  for (ScoreError& error : out) error.girsanov_kl = girsanov_kl(lens.schedule(), times, error.error);
  report_progress(observer, "score error", times.size(), times.size());
  return out;
}

}  // namespace fslens
