// What is remembered of a row's probe, and that it never decides more than how a row is computed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/kernels/trajectory_memory.hpp"
#include "fslens/rng/stream.hpp"
#include "row_looks.hpp"

namespace fslens {
namespace {

using namespace kernels;

struct Rows {
  static constexpr std::size_t kAtoms = 700, kDim = 48, kRows = 40;
  AtomTable atoms = make_atoms();
  std::vector<double> prior = std::vector<double>(kAtoms, -std::log(double{kAtoms})), tilted = prior;
  Matrix x{kRows, kDim};
  SoftAssignmentRequest request;

  static AtomTable make_atoms() {
    const RandomStream stream(3);
    std::vector<double> values(kAtoms * kDim);
    for (std::size_t i = 0; i < kAtoms; ++i)
      for (std::size_t k = 0; k < kDim; ++k) values[i * kDim + k] = std::sin(double(k * (i % 5 + 1))) + 0.3 * stream.normal(0, i, k);
    return AtomTable(values, kAtoms, kDim);
  }

  Rows() {
    const RandomStream stream(4);
    for (std::size_t i = 0; i < kAtoms; ++i) tilted[i] -= 3.0 * std::abs(stream.normal(0, i));
    request.atoms = &atoms;
    request.log_weights = {prior, tilted};
    request.tolerance = kSingleTolerance;
  }

  /// States about other atoms for another `draw`.
  void move_to(double s2, std::size_t draw) {
    const RandomStream stream(5 + draw);
    std::vector<double> atom(kDim);
    for (std::size_t b = 0; b < kRows; ++b) {
      atoms.copy_atom((b * 31 + 97 * draw) % kAtoms, atom);
      for (std::size_t k = 0; k < kDim; ++k) x(b, k) = std::sqrt(1.0 - s2) * atom[k] + std::sqrt(s2) * stream.normal(0, b, k);
    }
    request.x = x, request.a = std::sqrt(1.0 - s2), request.s2 = s2;
  }
};

std::vector<std::size_t> all_rows() {
  std::vector<std::size_t> all(Rows::kRows);
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

TEST(RowLooks, TellWhatTheProbeSaid) {
  Rows rows;
  rows.move_to(0.5, 0);
  const Probe probe = probe_atoms(rows.request, all_rows(), integer_product_plain);
  RowLooks looks;
  looks.prepare(Rows::kRows);
  Probe recalled;
  EXPECT_FALSE(looks.recall(rows.request, 3, recalled)) << "nothing was kept";
  for (const std::size_t b : all_rows()) looks.keep(rows.request, b, probe, b);
  for (const std::size_t b : all_rows()) ASSERT_TRUE(looks.recall(rows.request, b, recalled)) << b;
  for (const std::size_t b : all_rows()) {
    for (std::size_t m = 0; m < 2; ++m) {
      // The probe rounds to two digits.
      EXPECT_NEAR(recalled.reference[m][b], probe.reference[m][b], 0.05) << b;
      EXPECT_NEAR(recalled.reference[m][b] - recalled.log_mean[m][b], probe.reference[m][b] - probe.log_mean[m][b], 1e-9) << b;
      EXPECT_EQ(recalled.crowding[m][b], probe.crowding[m][b]);
      EXPECT_EQ(recalled.atom[m][b], probe.atom[m][b]);
    }
    EXPECT_EQ(recalled.variance[b], probe.variance[b]);
    EXPECT_EQ(recalled.live_share[b], probe.live_share[b]);
  }
  EXPECT_FALSE(looks.recall(rows.request, Rows::kRows, recalled)) << "no room for such a row";
}

TEST(RowLooks, DoNotTellOfOtherNoiseOrOfAnotherState) {
  Rows rows;
  rows.move_to(0.1, 0);
  RowLooks looks;
  looks.prepare(Rows::kRows);
  const Probe probe = probe_atoms(rows.request, all_rows(), integer_product_plain);
  for (const std::size_t b : all_rows()) looks.keep(rows.request, b, probe, b);
  Probe recalled;
  rows.move_to(0.2, 0);
  for (const std::size_t b : all_rows()) EXPECT_FALSE(looks.recall(rows.request, b, recalled)) << b;
  rows.move_to(0.1, 1);
  std::size_t taken = 0;
  for (const std::size_t b : all_rows()) taken += looks.recall(rows.request, b, recalled) ? 1 : 0;
  EXPECT_LE(taken, Rows::kRows / 3) << "one in five of the new states is of the same cluster";
}

TEST(RowLooks, RememberCrowdedRowsUntilTheNoiseHasFallen) {
  RowLooks looks;
  looks.prepare(2);
  EXPECT_FALSE(looks.was_crowded(0, 1.0));
  looks.set_crowded(0, true, 1.0);
  EXPECT_TRUE(looks.was_crowded(0, 0.97));
  EXPECT_FALSE(looks.was_crowded(0, 0.9));
  EXPECT_FALSE(looks.was_crowded(1, 0.97));
  looks.set_crowded(0, false, 0.97);
  EXPECT_FALSE(looks.was_crowded(0, 0.97));
  EXPECT_FALSE(looks.was_crowded(5, 1.0)) << "no room for such a row";
}

/// Few atoms, one memory: noise that falls, and now and then other states in the same rows.
TEST(TrajectoryMemory, ServesFewAtomsToo) {
  Rows rows;
  const auto memory = std::make_shared<TrajectoryMemory>(TrajectoryMemory::Calls::one_run);
  rows.request.memory = memory.get();
  double s2 = 0.9;
  for (std::size_t step = 0; step < 60; ++step, s2 *= 0.93) {
    rows.move_to(s2, step / 13);
    const SoftAssignmentResult got = soft_assignment(rows.request), exact = soft_assignment_oracle(rows.request);
    for (std::size_t m = 0; m < 2; ++m)
      for (std::size_t b = 0; b < Rows::kRows; ++b) {
        const SoftAssignmentMoments &one = got.measures[m], &two = exact.measures[m];
        double square = 0.0;
        for (std::size_t k = 0; k < Rows::kDim; ++k) square += std::pow(one.mean(b, k) - two.mean(b, k), 2.0);
        ASSERT_LE(std::sqrt(square), one.mean_error[b] + 1e-14) << "step " << step << " row " << b;
        ASSERT_LE(rows.request.a * one.mean_error[b], kSingleTolerance * std::sqrt(s2 * Rows::kDim)) << "step " << step << " row " << b;
        ASSERT_LE(std::abs(one.log_normaliser[b] - two.log_normaliser[b]), one.log_normaliser_error[b] + 1e-12 * std::abs(two.log_normaliser[b]));
      }
  }
}

/// Without a run, few atoms are computed the same way each time.
TEST(TrajectoryMemory, KeepsNothingOfFewAtomsForAnyCalls) {
  Rows rows;
  TrajectoryMemory memory;
  rows.request.memory = &memory;
  rows.move_to(0.4, 0);
  const SoftAssignmentResult first = soft_assignment(rows.request);
  rows.move_to(0.41, 1);
  soft_assignment(rows.request);
  rows.move_to(0.4, 0);
  const SoftAssignmentResult again = soft_assignment(rows.request);
  EXPECT_TRUE(std::ranges::equal(first.measures[0].mean.values(), again.measures[0].mean.values()));
}

}  // namespace
}  // namespace fslens
