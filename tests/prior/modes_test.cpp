// Partitions of a prior's components into modes.
#include "fslens/prior/modes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "fslens/core/error.hpp"
#include "fslens/prior/empirical_prior.hpp"
#include "fslens/prior/gaussian_mixture.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {
namespace {

bool unique(const std::vector<std::string>& labels) {
  return std::set<std::string>(labels.begin(), labels.end()).size() == labels.size();
}

TEST(Modes, FromLabelsComeInIncreasingOrderOfTheLabel) {
  const ModePartition modes = modes_from_labels({7, -2, 7, 10, -2});
  EXPECT_EQ(modes.labels, (std::vector<std::string>{"-2", "7", "10"}));
  EXPECT_EQ(modes.mode_of_component, (std::vector<std::size_t>{1, 0, 1, 2, 0}));
  EXPECT_EQ(modes.num_modes(), 3u);
}

TEST(Modes, WeightsAddUpOverComponents) {
  const ModePartition modes = modes_from_labels({1, 0, 1});
  const std::vector<double> log_weights{std::log(0.5), std::log(0.2), -std::numeric_limits<double>::infinity()};
  const std::vector<double> weights = modes.weights(log_weights);
  ASSERT_EQ(weights.size(), 2u);
  EXPECT_NEAR(weights[0], 0.2, 1e-15);
  EXPECT_NEAR(weights[1], 0.5, 1e-15);
}

TEST(Modes, FromComponentsAreNamedByValueInOneDimensionElseByNumber) {
  const ModePartition line = modes_from_components(Matrix(3, 1, std::vector<double>{-1.8, 0.2, 2.2}));
  EXPECT_EQ(line.labels, (std::vector<std::string>{"-1.8", "0.2", "2.2"}));
  EXPECT_EQ(line.mode_of_component, (std::vector<std::size_t>{0, 1, 2}));
  const ModePartition plane = modes_from_components(Matrix(2, 2));
  EXPECT_EQ(plane.labels, (std::vector<std::string>{"0", "1"}));
}

TEST(Modes, LabelsStayUniqueWhereComponentsPrintAlike) {
  const ModePartition modes = modes_from_components(Matrix(3, 1, std::vector<double>{1.0, 1.00001, 1.0}));
  EXPECT_EQ(modes.num_modes(), 3u);
  EXPECT_TRUE(unique(modes.labels)) << modes.labels[0] << ", " << modes.labels[1] << ", " << modes.labels[2];
}

/// `clusters` clusters of `each` atoms; the centres lie `apart` apart on the first axis, the atoms within 0.1.
struct Planted {
  Matrix atoms;
  std::vector<std::size_t> cluster;
  std::shared_ptr<const EmpiricalPrior> prior;

  Planted(std::size_t clusters, std::size_t each, std::size_t dim, double apart, std::uint64_t seed)
      : atoms(clusters * each, dim) {
    const RandomStream stream(seed);
    for (std::size_t i = 0; i < atoms.rows(); ++i) {
      cluster.push_back((i * 5) % clusters);
      for (std::size_t k = 0; k < dim; ++k)
        atoms(i, k) = (k == 0 ? apart * static_cast<double>(cluster[i]) : 0.0) + 0.1 * stream.normal(0, i, k);
    }
    prior = std::make_shared<EmpiricalPrior>(
        AtomTable(std::vector<double>(atoms.values().begin(), atoms.values().end()), atoms.rows(), dim));
  }
};

void expect_partition(const ModePartition& modes, const std::vector<std::size_t>& cluster, std::size_t clusters) {
  ASSERT_EQ(modes.num_modes(), clusters);
  ASSERT_EQ(modes.mode_of_component.size(), cluster.size());
  EXPECT_TRUE(unique(modes.labels));
  for (std::size_t i = 0; i < cluster.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_EQ(modes.mode_of_component[i] == modes.mode_of_component[j], cluster[i] == cluster[j]) << i << ", " << j;
}

TEST(MeanShift, FindsThePlantedClustersUnderEverySchedule) {
  const std::vector<NoiseSchedule> schedules = {NoiseSchedule::vp_linear(), NoiseSchedule::ve(), NoiseSchedule::flow(),
                                                NoiseSchedule::ou({.sigma = 1.0, .mean = 3.0})};
  SilentObserver observer;
  for (const std::size_t dim : {1u, 2u, 6u}) {
    const Planted planted(3, 17, dim, 4.0, 40 + dim);
    for (const NoiseSchedule& schedule : schedules) {
      SCOPED_TRACE(testing::Message() << schedule.name() << " d " << dim);
      const EmpiricalDenoiser denoiser(planted.prior, schedule, {kDoubleTolerance});
      const double t = schedule.time_of_log_snr(0.6, 1e-6, schedule.t_max());  // bandwidth s/a = 0.74
      expect_partition(modes_by_mean_shift(denoiser, planted.atoms, {.t = t}, observer), planted.cluster, 3);
    }
  }
}

TEST(MeanShift, ABandwidthAboveTheDistanceMergesAll) {
  const Planted planted(3, 17, 2, 4.0, 40);
  SilentObserver observer;
  const NoiseSchedule schedule = NoiseSchedule::vp_linear();
  const EmpiricalDenoiser denoiser(planted.prior, schedule, {kDoubleTolerance});
  const double t = schedule.time_of_log_snr(-4.0, 1e-6, 1.0);  // bandwidth s/a = 7.4
  EXPECT_EQ(modes_by_mean_shift(denoiser, planted.atoms, {.t = t}, observer).num_modes(), 1u);
}

TEST(MeanShift, WorksOnTheMeansOfAMixture) {
  Matrix means(4, 1, std::vector<double>{-5.0, -4.9, 5.0, 5.1});
  const auto mixture = std::make_shared<GaussianMixture>(means, std::vector<Matrix>(4, Matrix(1, 1, 0.04)));
  SilentObserver observer;
  const GaussianMixtureDenoiser denoiser(mixture, NoiseSchedule::vp_linear());
  const ModePartition modes = modes_by_mean_shift(denoiser, means, {.t = 0.3}, observer);
  EXPECT_EQ(modes.mode_of_component, (std::vector<std::size_t>{0, 0, 1, 1}));
}

// Three attractors that all print as "100" with three digits.
TEST(MeanShift, LabelsStayUniqueWhereAttractorsPrintAlike) {
  const Matrix atoms(3, 1, std::vector<double>{100.0, 100.1, 100.2});
  const auto prior = std::make_shared<EmpiricalPrior>(AtomTable(std::vector<double>{100.0, 100.1, 100.2}, 3, 1));
  SilentObserver observer;
  const NoiseSchedule schedule = NoiseSchedule::ve();
  const EmpiricalDenoiser denoiser(prior, schedule, {kDoubleTolerance});
  const double t = schedule.time_of_log_snr(8.0, 1e-6, 1.0);  // bandwidth 0.018
  const ModePartition modes = modes_by_mean_shift(denoiser, atoms, {.t = t}, observer);
  ASSERT_EQ(modes.num_modes(), 3u);
  EXPECT_TRUE(unique(modes.labels)) << modes.labels[0] << ", " << modes.labels[1] << ", " << modes.labels[2];
}

struct Impatient final : Observer {
  int calls = 0;
  void progress(std::string_view stage, std::size_t done, std::size_t total) override {
    EXPECT_EQ(stage, "mean shift");
    EXPECT_LE(done, total);
    ++calls;
  }
  bool interrupted() override { return calls >= 2; }
};

TEST(MeanShift, StopsWhereItsObserverAsks) {
  const Planted planted(3, 17, 2, 4.0, 40);
  Impatient observer;
  const EmpiricalDenoiser denoiser(planted.prior, NoiseSchedule::vp_linear(), {kDoubleTolerance});
  EXPECT_THROW(modes_by_mean_shift(denoiser, planted.atoms, {}, observer), Interrupted);
  EXPECT_EQ(observer.calls, 2);
}

}  // namespace
}  // namespace fslens
