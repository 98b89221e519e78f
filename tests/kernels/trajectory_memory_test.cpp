// A memory changes how much is looked at, never what is true: results stay within their bounds along trajectories and through jumps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "fslens/core/parallel.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {
namespace {

constexpr std::size_t kAtoms = 6000, kDim = 96, kRows = 64;
constexpr double kRestlessShare = 0.6;  // of the pairs that a screen without memory would look at

/// Forty groups of atoms, in the type asked for, and a posterior that prefers some of them.
struct Problem {
  AtomTable atoms;
  std::vector<double> prior, posterior;

  explicit Problem(AtomType type) : atoms(make(type)), prior(kAtoms, -std::log(kAtoms)), posterior(prior) {
    const RandomStream stream(7);
    std::vector<double> atom(kDim);
    for (std::size_t i = 0; i < kAtoms; ++i) {
      atoms.copy_atom(i, atom);
      const double misfit = std::accumulate(atom.begin(), atom.begin() + 12, 0.0) - 3.0;
      posterior[i] -= 2.0 * misfit * misfit;
    }
    prior[17] = posterior[17] = -std::numeric_limits<double>::infinity();
  }

  static AtomTable make(AtomType type) {
    const RandomStream centers(1), spread(2);
    std::vector<float> values(kAtoms * kDim);
    std::vector<std::uint8_t> bytes(values.size());
    for (std::size_t i = 0; i < kAtoms; ++i)
      for (std::size_t k = 0; k < kDim; ++k) {
        const double value = centers.normal(k, i % 40) + 0.35 * spread.normal(k, i);
        values[i * kDim + k] = static_cast<float>(value);
        bytes[i * kDim + k] = static_cast<std::uint8_t>(std::clamp(128.0 + 30.0 * value, 0.0, 255.0));
      }
    if (type == AtomType::float32) return AtomTable(std::move(values), kAtoms, kDim);
    const auto owner = std::make_shared<std::vector<std::uint8_t>>(std::move(bytes));
    AtomData data;
    data.type = AtomType::uint8;
    data.values = owner->data(), data.owner = owner, data.rows = kAtoms;
    data.low = -128.0 / 30.0, data.step = 1.0 / 30.0;
    return AtomTable(data, kDim);
  }
};

/// z_σ = x_0 + σ ε on the way down, σ² of a step to σ² of the next by the bridge to x_0; state x = a z.
class Chain {
 public:
  explicit Chain(const Problem& problem, std::uint64_t seed) : stream_(seed), clean_(kRows, kDim), z_(kRows, kDim) {
    for (std::size_t b = 0; b < kRows; ++b) problem.atoms.copy_atom(static_cast<std::size_t>(stream_.uniform(0, b) * kAtoms), clean_.row(b));
    start(1.0);
  }
  double noise() const { return noise_; }
  double a() const { return 1.0 / std::sqrt(1.0 + noise_ * noise_); }
  Matrix x() const {
    Matrix x = z_;
    for (double& value : x.values()) value *= a();
    return x;
  }
  void start(double noise) {
    noise_ = noise;
    ++step_;
    for (std::size_t b = 0; b < kRows; ++b)
      for (std::size_t k = 0; k < kDim; ++k) z_(b, k) = clean_(b, k) + noise_ * stream_.normal(step_, b, k);
  }
  void step(double ratio) {
    const double next = ratio * noise_, keep = ratio * ratio, spread = next * std::sqrt(1.0 - keep);
    noise_ = next;
    ++step_;
    for (std::size_t b = 0; b < kRows; ++b)
      for (std::size_t k = 0; k < kDim; ++k)
        z_(b, k) = clean_(b, k) + keep * (z_(b, k) - clean_(b, k)) + spread * stream_.normal(step_, b, k);
  }
  /// Row b goes on as row (b + 1) mod B, as if the caller had reordered its batch.
  void rotate() {
    const Matrix before = z_, clean = clean_;
    for (std::size_t b = 0; b < kRows; ++b) {
      std::ranges::copy(before.row((b + 1) % kRows), z_.row(b).begin());
      std::ranges::copy(clean.row((b + 1) % kRows), clean_.row(b).begin());
    }
  }

 private:
  RandomStream stream_;
  Matrix clean_, z_;
  double noise_ = 1.0;
  std::uint64_t step_ = 1;
};

SoftAssignmentRequest request_at(const Problem& problem, const Chain& chain, const Matrix& x, double tolerance) {
  SoftAssignmentRequest request;
  request.atoms = &problem.atoms;
  request.x = x;
  request.a = chain.a();
  request.s2 = std::pow(chain.a() * chain.noise(), 2);
  request.log_weights = {problem.prior, problem.posterior};
  request.want_variance = true;
  request.tolerance = tolerance;
  return request;
}

double distance(std::span<const double> u, std::span<const double> v) {
  double square = 0.0;
  for (std::size_t k = 0; k < u.size(); ++k) square += (u[k] - v[k]) * (u[k] - v[k]);
  return std::sqrt(square);
}

/// Both results are within their own bounds of the same values.
void expect_agree(const SoftAssignmentResult& got, const SoftAssignmentResult& other, std::size_t b, const char* where) {
  for (std::size_t m = 0; m < 2; ++m) {
    const SoftAssignmentMoments &u = got.measures[m], &v = other.measures[m];
    EXPECT_LE(distance(u.mean.row(b), v.mean.row(b)), u.mean_error[b] + v.mean_error[b]) << where << ", row " << b;
    EXPECT_LE(std::abs(u.log_normaliser[b] - v.log_normaliser[b]), u.log_normaliser_error[b] + v.log_normaliser_error[b]) << where << ", row " << b;
    EXPECT_LE(std::abs(u.variance[b] - v.variance[b]), u.variance_error[b] + v.variance_error[b]) << where << ", row " << b;
  }
}

/// Rows of the oracle are dear: `rows` of them.
void expect_oracle(const SoftAssignmentRequest& request, const SoftAssignmentResult& got, std::span<const std::size_t> rows, const char* where) {
  for (const std::size_t b : rows) {
    SoftAssignmentRequest one = request;
    one.x = request.x.rows_from(b, 1);
    one.memory = nullptr;
    const SoftAssignmentResult exact = soft_assignment_oracle(one);
    for (std::size_t m = 0; m < 2; ++m) {
      EXPECT_LE(distance(got.measures[m].mean.row(b), exact.measures[m].mean.row(0)), got.measures[m].mean_error[b] + 1e-14) << where << ", row " << b;
      EXPECT_LE(std::abs(got.measures[m].log_normaliser[b] - exact.measures[m].log_normaliser[0]), got.measures[m].log_normaliser_error[b] + 1e-12)
          << where << ", row " << b;
    }
  }
}

class TrajectoryMemoryOf : public testing::TestWithParam<std::pair<AtomType, double>> {};

TEST_P(TrajectoryMemoryOf, LooksAtLessAndStaysWithinItsBounds) {
  const auto [type, tolerance] = GetParam();
  const Problem problem(type);
  Chain chain(problem, 11);
  TrajectoryMemory memory;
  double seen = 0.0, late = 0.0;
  for (int k = 0; k < 110; ++k) {
    const Matrix x = chain.x();
    SoftAssignmentRequest request = request_at(problem, chain, x, tolerance);
    const SoftAssignmentResult without = soft_assignment(request);
    request.memory = &memory;
    const SoftAssignmentResult with = soft_assignment(request);
    for (std::size_t b = 0; b < kRows; ++b) expect_agree(with, without, b, "on the way");
    if (k % 27 == 0) expect_oracle(request, with, std::vector<std::size_t>{0, 31, 63}, "on the way");
    if (k >= 60 && without.work.direct == kRows) seen += with.work.atoms_seen, late += without.work.atoms_seen;
    chain.step(0.97);
  }
  EXPECT_GT(late, 20.0 * kRows * kAtoms) << "the trajectory never came to where few atoms count";
  EXPECT_LT(seen, kRestlessShare * late);
}

INSTANTIATE_TEST_SUITE_P(Types, TrajectoryMemoryOf,
                         testing::Values(std::pair{AtomType::uint8, kSingleTolerance}, std::pair{AtomType::float32, kSingleTolerance},
                                         std::pair{AtomType::uint8, kDoubleTolerance}),
                         [](const auto& tested) {
                           return std::string(name_of(tested.param.first)) + (tested.param.second < 1e-9 ? "_double" : "_single");
                         });

// What a caller may do to a memory: swap rows, jump, go back up, leave rows out, give rows that are not numbers, other batches.
TEST(TrajectoryMemory, ProvesEverythingAnewWhereRowsJump) {
  const Problem problem(AtomType::uint8);
  Chain chain(problem, 23);
  TrajectoryMemory memory;
  const RandomStream chance(5);
  for (int k = 0; k < 90; ++k) {
    const double what = chance.uniform(0, k);
    if (k > 40 && what < 0.15) chain.start(0.05 + 0.5 * chance.uniform(1, k));
    else if (k > 40 && what < 0.3) chain.rotate();
    else if (chain.noise() > 0.02) chain.step(0.9);
    Matrix x = chain.x();
    if (k > 40 && what > 0.9) x(3, 5) = std::numeric_limits<double>::quiet_NaN();
    const std::size_t rows = k > 40 && what > 0.8 ? kRows / 2 : kRows;
    SoftAssignmentRequest request = request_at(problem, chain, x, kSingleTolerance);
    request.x = request.x.rows_from(0, rows);
    const SoftAssignmentResult without = soft_assignment(request);
    request.memory = &memory;
    const SoftAssignmentResult with = soft_assignment(request);
    for (std::size_t b = 0; b < rows; ++b) {
      if (std::isnan(x(b, 5))) {
        EXPECT_TRUE(std::isnan(with.measures[0].mean(b, 0)));
        continue;
      }
      expect_agree(with, without, b, "after a jump");
    }
    if (k % 20 == 0) expect_oracle(request, with, std::vector<std::size_t>{1, 17}, "after a jump");
  }
}

TEST(TrajectoryMemory, BeginsAnewForOtherWeights) {
  const Problem problem(AtomType::uint8), other(AtomType::float32);
  Chain chain(problem, 3);
  TrajectoryMemory memory;
  for (int k = 0; k < 80; ++k) {
    const Matrix x = chain.x();
    SoftAssignmentRequest request = request_at(problem, chain, x, kSingleTolerance);
    if (k % 16 == 15) request.log_weights = {problem.posterior, problem.prior};
    if (k % 20 == 19) request.atoms = &other.atoms;
    const SoftAssignmentResult without = soft_assignment(request);
    request.memory = &memory;
    const SoftAssignmentResult with = soft_assignment(request);
    for (std::size_t b = 0; b < kRows; ++b) expect_agree(with, without, b, "with others in between");
    chain.step(0.95);
  }
}

TEST(TrajectoryMemory, GivesTheSameBitsForAnyNumberOfThreads) {
  const Problem problem(AtomType::uint8);
  const auto run = [&](std::size_t threads) {
    const ThreadLimit limit(threads);
    Chain chain(problem, 31);
    TrajectoryMemory memory;
    std::vector<double> values;
    for (int k = 0; k < 70; ++k) {
      const Matrix x = chain.x();
      SoftAssignmentRequest request = request_at(problem, chain, x, kSingleTolerance);
      request.memory = &memory;
      const SoftAssignmentResult result = soft_assignment(request);
      for (const SoftAssignmentMoments& moments : result.measures) {
        values.insert(values.end(), moments.mean.values().begin(), moments.mean.values().end());
        values.insert(values.end(), moments.mean_error.begin(), moments.mean_error.end());
      }
      values.push_back(result.work.atoms_seen);
      chain.step(0.95);
    }
    return values;
  };
  const std::vector<double> one = run(1);
  for (const std::size_t threads : {2u, 3u, 8u}) EXPECT_EQ(run(threads), one) << threads << " threads";
}

}  // namespace
}  // namespace fslens
