#include "test_quantities.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "fslens/metrics/tarp.hpp"

namespace fslens {
namespace {

constexpr std::size_t kFewCoordinates = 4;   // as many are looked at one by one; of more, projections
constexpr std::size_t kNumProjections = 3;
constexpr std::size_t kFewDimensions = 10;   // beyond, distances and densities are about the dimension more than about the law
constexpr std::size_t kManyDimensions = 100;  // beyond, balls about a point hold the truth whatever the draws are
constexpr std::size_t kPriorDraws = 512;

/// The coordinates, where they are few, or else the leading principal directions of a sample. @shape result [k, columns]
Matrix directions_of(ConstBatchView sample) {
  const std::size_t d = sample.cols();
  if (d <= kFewCoordinates) {
    Matrix identity(d, d);
    for (std::size_t j = 0; j < d; ++j) identity(j, j) = 1.0;
    return identity;
  }
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  RowMajor centred = Eigen::Map<const RowMajor>(sample.data(), static_cast<Eigen::Index>(sample.rows()), static_cast<Eigen::Index>(d));
  centred.rowwise() -= centred.colwise().mean().eval();
  // X Xᵀ v = λ v gives the principal direction Xᵀ v: as large as the sample, whatever d.
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(centred * centred.transpose());
  Matrix out(kNumProjections, d);
  for (std::size_t k = 0; k < kNumProjections; ++k) {
    const Eigen::VectorXd direction = (centred.transpose() * solver.eigenvectors().col(centred.rows() - 1 - static_cast<Eigen::Index>(k))).normalized();
    for (std::size_t j = 0; j < d; ++j) out(k, j) = direction[static_cast<Eigen::Index>(j)];
  }
  return out;
}

std::vector<double> standard_deviations(ConstBatchView sample) {
  const double count = static_cast<double>(sample.rows());
  std::vector<double> mean(sample.cols()), out(sample.cols());
  for (std::size_t b = 0; b < sample.rows(); ++b)
    for (std::size_t j = 0; j < sample.cols(); ++j) mean[j] += sample(b, j) / count;
  for (std::size_t b = 0; b < sample.rows(); ++b)
    for (std::size_t j = 0; j < sample.cols(); ++j) out[j] += (sample(b, j) - mean[j]) * (sample(b, j) - mean[j]) / (count - 1.0);
  for (double& value : out) value = std::sqrt(value);
  return out;
}

double product(std::span<const double> a, std::span<const double> b) {
  double sum = 0.0;
  for (std::size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
  return sum;
}

/// x_0 as the state itself says: (x_t − b)/a.
Matrix rescaled(const NoiseSchedule& schedule, ConstBatchView x, double t) {
  Matrix out{x};
  for (double& value : out.values()) value = (value - schedule.shift(t)) / schedule.a(t);
  return out;
}

}  // namespace

TestQuantities::TestQuantities(const Problem& problem, double t, const RandomStream& stream) : t_(t) {
  const Lens& lens = *problem.lens;
  const Matrix states = lens.sample(Measure::prior, kPriorDraws, t, stream).x;
  scale_ = standard_deviations(states);
  state_directions_ = directions_of(states);
  Matrix images(kPriorDraws, lens.likelihood().output_dim());
  lens.likelihood().forward().apply(lens.sample(Measure::prior, kPriorDraws, 0.0, stream).x, images);
  measurement_directions_ = directions_of(images);
  add_coordinates();
  add_regions(problem);
  add_classifier(problem);
}

std::size_t TestQuantities::num_ranked() const {
  return static_cast<std::size_t>(std::ranges::count_if(statistics_, [](const CalibrationStatistic& statistic) {
    return statistic.validity != Validity::refused && statistic.id != kClassifier;
  }));
}

void TestQuantities::add_coordinates() {
  const bool all = state_directions_.rows() == state_directions_.cols();
  for (std::size_t k = 0; k < state_directions_.rows(); ++k)
    statistics_.push_back({all ? fmt::format("x_{}", k + 1) : fmt::format("pc_{}", k + 1),
                           all ? fmt::format("coordinate {} of the state", k + 1)
                               : fmt::format("the state along the prior's principal direction {}", k + 1),
                           Validity::valid, "", "errors that cancel in the average over y, and other directions", false});
  statistics_.push_back({"log_likelihood", "log p(y | x_t/a): how well the state fits the data", Validity::valid, "",
                         "whatever the operator does not measure", false});
}

void TestQuantities::add_regions(const Problem& problem) {
  CalibrationStatistic hpd{"hpd", "regions of highest posterior density", Validity::valid, "",
                           "errors that keep the law of log p(x | y), such as a missing mode as dense as those that are there", true};
  CalibrationStatistic tarp{"tarp", "balls about a draw of the prior, in units of the prior's standard deviations", Validity::valid, "",
                            "errors that cancel in the average over y: draws of the prior pass", true};
  const std::size_t d = problem.lens->dim();
  if (d > kFewDimensions) {
    hpd.validity = tarp.validity = Validity::marked;
    hpd.reason = fmt::format("in {} dimensions log p_t(x | y) is about the noise of the last steps in all of them", d);
    tarp.reason = fmt::format("in {} dimensions all points lie almost equally far from the reference: little power", d);
  }
  if (d > kManyDimensions) {
    tarp.validity = Validity::refused;
    tarp.reason = fmt::format("in {} dimensions all points lie equally far from the reference: it would pass nearly anything", d);
  }
  if (!problem.is_population) {
    hpd.validity = Validity::marked;
    hpd.reason = "the truth is not among the atoms, and the density of atoms at this t is about them and not about their population";
  }
  statistics_.push_back(std::move(hpd));
  statistics_.push_back(std::move(tarp));
}

void TestQuantities::add_classifier(const Problem& problem) {
  CalibrationStatistic c2st{kClassifier, "can a classifier (k nearest neighbours) tell (y, truth) from (y, draw)?", Validity::marked,
                            "it has a p-value and a bound on the total variation, not a deviation of ranks: shown, not judged",
                            "differences that are small against the distance between neighbours", false};
  const std::size_t features = state_directions_.rows() + measurement_directions_.rows();
  if (problem.lens->dim() > kFewCoordinates || problem.likelihood->output_dim() > kFewCoordinates)
    c2st.reason += fmt::format("; it sees {} projections of state and measurement, no more", features);
  statistics_.push_back(std::move(c2st));
}

Matrix TestQuantities::values(const SimulatedProblem& simulated, ConstBatchView x, std::span<const double> reference) const {
  const Lens& lens = *simulated.problem.lens;
  Matrix out(num_ranked(), x.rows());
  std::size_t q = 0;
  for (; q < state_directions_.rows(); ++q)
    for (std::size_t b = 0; b < x.rows(); ++b) out(q, b) = product(state_directions_.row(q), x.row(b));
  std::ranges::copy(lens.likelihood().log_likelihood(rescaled(lens.schedule(), x, t_)), out.row(q++).begin());
  const std::vector<double> density = lens.fields(x, t_).log_posterior_density;
  for (std::size_t b = 0; b < x.rows(); ++b) out(q, b) = -density[b];
  if (++q < num_ranked()) std::ranges::copy(standardised_distances(x, reference, scale_), out.row(q).begin());
  return out;
}

std::vector<double> TestQuantities::features(const SimulatedProblem& simulated, std::span<const double> x) const {
  std::vector<double> out;
  for (std::size_t k = 0; k < state_directions_.rows(); ++k) out.push_back(product(state_directions_.row(k), x));
  for (std::size_t k = 0; k < measurement_directions_.rows(); ++k)
    out.push_back(product(measurement_directions_.row(k), simulated.problem.likelihood->y()));
  return out;
}

}  // namespace fslens
