// Guided means, in one sum over the atoms or in two: within their bounds of m + C Pᵀ u by the oracle, for the u that was used.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {
namespace {

enum class Kind { bytes, floats };

/// States at s² of atoms in groups, P with `rows` rows, and a u that is known beforehand, of size `gain`.
struct GuidedCase {
  static constexpr std::size_t kAtoms = 900, kDim = 70, kStates = 72;
  AtomTable atoms;
  std::vector<double> log_weights = std::vector<double>(kAtoms, -std::log(static_cast<double>(kAtoms)));
  Matrix x{kStates, kDim}, projection, tilts, seen;
  AtomFeatures features;
  GuidedAssignment guided;
  SoftAssignmentRequest request;

  GuidedCase(Kind kind, double s2, std::size_t rows, double gain)
      : atoms(make(kind)), projection(rows, kDim), tilts(kStates, rows), seen(kStates, 1 + rows) {
    const RandomStream stream(31);
    stream.fill_normal(rows, projection);
    for (double& value : projection.values()) value *= 0.1;
    for (std::size_t b = 0; b < kStates; ++b)  // none, some, and all of the gain
      for (std::size_t j = 0; j < rows; ++j) tilts(b, j) = gain * static_cast<double>(b % 3) / 2.0 * stream.normal(3, b, j);
    const double a = std::sqrt(1.0 - s2);
    std::vector<double> atom(kDim);
    for (std::size_t i = 0; i < kAtoms; ++i) log_weights[i] -= 2.0 * stream.uniform(4, i);
    for (std::size_t b = 0; b < kStates; ++b) {
      atoms.copy_atom(b * 11 % kAtoms, atom);
      for (std::size_t k = 0; k < kDim; ++k) x(b, k) = a * atom[k] + std::sqrt(s2) * stream.normal(5, b, k);
    }
    features.size = 1 + rows;
    features.fill = [this](std::size_t first, std::size_t count, double* values) {
      for (std::size_t i = first; i < first + count; ++i) {
        *values++ = 1.0;
        values = std::copy_n(projected(i).data(), projection.rows(), values);
      }
    };
    guided.projection = projection;
    guided.tilt_of = [this](std::span<const std::size_t> particles, ConstBatchView means, BatchView out) {
      for (std::size_t p = 0; p < particles.size(); ++p) {
        std::ranges::copy(tilts.row(particles[p]), out.row(p).begin());
        for (std::size_t j = 0; j < means.cols(); ++j) seen(particles[p], j) = means(p, j) / means(p, 0);
      }
    };
    request.atoms = &atoms, request.x = x, request.a = a, request.s2 = s2;
    request.log_weights = {log_weights};
    request.want_mean = false;
    request.features = &features, request.guided = &guided;
    request.tolerance = kSingleTolerance;
  }

  std::vector<double> projected(std::size_t i) const {
    std::vector<double> atom(kDim), out(projection.rows(), 0.0);
    atoms.copy_atom(i, atom);
    for (std::size_t j = 0; j < out.size(); ++j)
      for (std::size_t k = 0; k < kDim; ++k) out[j] += projection(j, k) * (atom[k] - atoms.center()[k]);
    return out;
  }

  Matrix directions() const {
    Matrix v(kStates, kDim);
    for (std::size_t b = 0; b < kStates; ++b)
      for (std::size_t j = 0; j < projection.rows(); ++j)
        for (std::size_t k = 0; k < kDim; ++k) v(b, k) += tilts(b, j) * projection(j, k);
    return v;
  }

  static AtomTable make(Kind kind) {
    const RandomStream centers(1), spread(2);
    const auto bytes = std::make_shared<std::vector<std::uint8_t>>(kAtoms * kDim);
    for (std::size_t i = 0; i < kAtoms; ++i)
      for (std::size_t k = 0; k < kDim; ++k)
        (*bytes)[i * kDim + k] = static_cast<std::uint8_t>(std::clamp(128.0 + 30.0 * (centers.normal(k, i % 20) + 0.4 * spread.normal(k, i)), 0.0, 255.0));
    if (kind == Kind::floats) {
      std::vector<float> values(bytes->size());
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(std::sin(static_cast<double>((*bytes)[i])) + (*bytes)[i] / 60.0);
      return AtomTable(std::move(values), kAtoms, kDim);
    }
    AtomData data;
    data.type = AtomType::uint8, data.values = bytes->data(), data.owner = bytes, data.rows = kAtoms;
    data.low = -2.0, data.step = 1.0 / 60.0;
    return AtomTable(data, kDim);
  }
};

double norm(std::span<const double> values) {
  return std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0));
}

/// The definition: m and C v in long double.
void expect_near_oracle(const GuidedCase& c, const SoftAssignmentResult& result, const std::string& what) {
  SoftAssignmentRequest plain = c.request;
  plain.guided = nullptr, plain.want_mean = true;
  const SoftAssignmentResult moments = soft_assignment_oracle(plain);
  const Matrix directions = c.directions();
  plain.direction = directions, plain.direction_mean = moments.measures[0].mean;
  const SoftAssignmentResult product = soft_assignment_oracle(plain);
  const double root = std::sqrt(static_cast<double>(GuidedCase::kDim));
  for (std::size_t b = 0; b < GuidedCase::kStates; ++b) {
    const auto mean = moments.measures[0].mean.row(b), along = product.covariance_product.row(b), got = result.guided_mean.row(b);
    std::vector<double> off(mean.size());
    for (std::size_t k = 0; k < off.size(); ++k) off[k] = got[k] - (mean[k] + along[k]);
    const double reach = 2.0 * c.atoms.radius(), factor = 1.0 + norm(directions.row(b)) * reach;
    // What float64 itself may lose of a mean and of a product.
    const double oracle = 1e-12 * factor * (reach + norm(mean));
    EXPECT_LE(norm(off), result.guided_mean_error[b] + oracle) << what << " row " << b;
    // In two parts C v adds a bound of its own, which no tolerance holds.
    EXPECT_LE(c.request.a * result.guided_mean_error[b] / (std::sqrt(c.request.s2) * root), 4.0 * kSingleTolerance * factor) << what << " row " << b;
    for (std::size_t j = 0; j < c.projection.rows(); ++j)
      EXPECT_NEAR(c.seen(b, 1 + j), moments.measures[0].feature_mean(b, 1 + j), 1e-4) << what << " row " << b;
  }
}

TEST(GuidedMean, IsWithinItsBoundAtEveryNoise) {
  for (const Kind kind : {Kind::bytes, Kind::floats})
    for (const double s2 : {1e-4, 0.03, 0.2, 0.5, 0.8, 0.95, 0.999})
      for (const double gain : {0.05, 1.0, 300.0}) {
        GuidedCase c(kind, s2, 3, gain);
        expect_near_oracle(c, soft_assignment(c.request), fmt::format("{} s2 {} gain {}", kind == Kind::bytes ? "bytes" : "floats", s2, gain));
      }
}

TEST(GuidedMean, TakesAnyNumberOfRows) {
  for (const std::size_t rows : {1u, 2u, 4u, 5u, 6u, 7u, 8u, 11u}) {
    GuidedCase c(Kind::bytes, 0.9, rows, 1.0);
    const SoftAssignmentResult result = soft_assignment(c.request);
    EXPECT_TRUE(result.measures.empty());
    EXPECT_TRUE(result.covariance_product.empty());
    expect_near_oracle(c, result, fmt::format("{} rows", rows));
  }
}

TEST(GuidedMean, IsTheSameInTwoPartsAndFromFloat64) {
  for (const double s2 : {0.3, 0.9}) {
    GuidedCase c(Kind::bytes, s2, 2, 1.0);
    const SoftAssignmentResult one = soft_assignment(c.request);
    c.request.tolerance = kDoubleTolerance;
    const SoftAssignmentResult two = soft_assignment(c.request);
    expect_near_oracle(c, two, "float64");
    c.request.tolerance = kSingleTolerance, c.request.exact_scan = true;
    const SoftAssignmentResult scan = soft_assignment(c.request);
    for (std::size_t b = 0; b < GuidedCase::kStates; ++b)
      for (std::size_t k = 0; k < GuidedCase::kDim; ++k) {
        EXPECT_NEAR(one.guided_mean(b, k), two.guided_mean(b, k), one.guided_mean_error[b] + two.guided_mean_error[b]);
        EXPECT_NEAR(scan.guided_mean(b, k), two.guided_mean(b, k), scan.guided_mean_error[b] + two.guided_mean_error[b]);
      }
  }
}

TEST(GuidedMean, HasTheSameBitsForEveryNumberOfThreads) {
  for (const double s2 : {0.2, 0.9}) {
    GuidedCase c(Kind::bytes, s2, 2, 1.0);
    SoftAssignmentResult first;
    for (const std::size_t threads : {1u, 2u, 3u, 8u}) {
      const ThreadLimit limit(threads);
      const SoftAssignmentResult result = soft_assignment(c.request);
      if (threads == 1) first = result;
      EXPECT_TRUE(std::ranges::equal(result.guided_mean.values(), first.guided_mean.values())) << threads;
      EXPECT_EQ(result.guided_mean_error, first.guided_mean_error) << threads;
    }
  }
}

// A state that is none spoils its own row; the bound of a tilt that is none says so, whatever else is in its block.
TEST(GuidedMean, KeepsWhatIsNotFiniteToItsRow) {
  for (const double s2 : {0.05, 0.9}) {
    GuidedCase c(Kind::bytes, s2, 2, 1.0);
    c.x(5, 3) = std::numeric_limits<double>::quiet_NaN();
    c.tilts(9, 1) = std::numeric_limits<double>::infinity();
    c.request.x = c.x;
    const SoftAssignmentResult result = soft_assignment(c.request);
    for (std::size_t b = 0; b < GuidedCase::kStates; ++b) {
      const bool finite = std::ranges::all_of(result.guided_mean.row(b), [](double value) { return std::isfinite(value); });
      EXPECT_EQ(finite && std::isfinite(result.guided_mean_error[b]), b != 5 && b != 9) << b;
    }
  }
}

TEST(GuidedMean, RefusesWhatItCannotAnswer) {
  GuidedCase c(Kind::bytes, 0.5, 2, 1.0);
  SoftAssignmentRequest two = c.request;
  two.log_weights.push_back(c.log_weights);
  EXPECT_THROW(soft_assignment(two), InvalidArgument);
  SoftAssignmentRequest none = c.request;
  none.features = nullptr;
  EXPECT_THROW(soft_assignment(none), InvalidArgument);
  const Matrix narrow(2, GuidedCase::kDim - 1);
  c.guided.projection = narrow;
  EXPECT_THROW(soft_assignment(c.request), InvalidArgument);
}

}  // namespace
}  // namespace fslens
