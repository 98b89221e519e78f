#include "score_error.hpp"

namespace fslens {

ScoreError score_error(const Lens& lens, const Guidance& guidance, const std::vector<double>& times, const RandomStream& stream,
                       Observer& observer) {
  constexpr std::size_t kDraws = 512;
  const auto denoiser = lens.denoiser(Measure::prior);
  ScoreError out;
  double rate_before = 0.0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    report_progress(observer, "score error", i, times.size());
    const Matrix x = lens.sample(Measure::posterior, kDraws, times[i], stream).x;
    const LensFields exact = lens.fields(x, times[i]);
    Matrix score(x.rows(), x.cols());
    guidance.score(*denoiser, lens.likelihood(), x, times[i], exact.denoiser_mean, score);
    double sum = 0.0;
    for (std::size_t j = 0; j < score.size(); ++j) {
      const double difference = score.values()[j] - exact.likelihood_score.values()[j];
      sum += difference * difference;
    }
    out.error.push_back(sum / static_cast<double>(kDraws));
    const double rate = 0.5 * lens.schedule().g2(times[i]) * out.error.back();
    out.path_kl.push_back(i == 0 ? 0.0 : out.path_kl.back() + 0.5 * (rate + rate_before) * (times[i - 1] - times[i]));
    rate_before = rate;
  }
  report_progress(observer, "score error", times.size(), times.size());
  return out;
}

}  // namespace fslens
