// The production soft assignment against the long-double oracle, over every level and shape.
#include "fslens/kernels/soft_assignment.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/rng/stream.hpp"

namespace fslens {
namespace {

struct Case {
  AtomTable atoms;
  std::vector<double> prior_log_weights;
  std::vector<double> tilted_log_weights;
  Matrix x;
  Matrix direction;
  Matrix direction_mean;
  AtomFeatures features;
  SoftAssignmentRequest request;

  Case(const Case&) = delete;
  Case(std::size_t n, std::size_t d, std::size_t b, double a, double s2, std::uint64_t seed, bool single_atoms = false,
       double tilt = 3.0)
      : atoms(make_atoms(n, d, seed, single_atoms)), prior_log_weights(n), tilted_log_weights(n), x(b, d),
        direction(b, d), direction_mean(b, d) {
    const RandomStream stream(seed);
    double sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) sum += prior_log_weights[i] = stream.uniform(1, i) + 0.01;
    for (std::size_t i = 0; i < n; ++i) {
      prior_log_weights[i] = std::log(prior_log_weights[i] / sum);
      tilted_log_weights[i] = prior_log_weights[i] - tilt * std::abs(stream.normal(2, i));
    }
    std::vector<double> atom(d);
    for (std::size_t p = 0; p < b; ++p) {
      atoms.copy_atom(static_cast<std::size_t>(stream.uniform(3, p) * static_cast<double>(n)), atom);
      for (std::size_t k = 0; k < d; ++k) {
        x(p, k) = a * atom[k] + std::sqrt(s2) * stream.normal(4, p, k);
        direction(p, k) = stream.normal(5, p, k);
      }
    }
    features.size = 3;
    features.fill = [this](std::size_t first, std::size_t count, double* values) {
      std::vector<double> row(atoms.dim());
      for (std::size_t i = 0; i < count; ++i) {
        atoms.copy_atom(first + i, row);
        values[3 * i] = 1.0;
        values[3 * i + 1] = row[0];
        values[3 * i + 2] = row[0] * row.back();
      }
    };
    request.atoms = &atoms;
    request.x = x;
    request.a = a;
    request.s2 = s2;
    request.log_weights = {prior_log_weights, tilted_log_weights};
    request.want_variance = true;
    request.features = &features;
    SoftAssignmentRequest for_mean = request;
    direction_mean = soft_assignment_oracle(for_mean).measures[0].mean;
    request.direction = direction;
    request.direction_mean = direction_mean;
  }

  static AtomTable make_atoms(std::size_t n, std::size_t d, std::uint64_t seed, bool single) {
    const RandomStream stream = RandomStream(seed).child("atoms");
    std::vector<double> values(n * d);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < d; ++k) values[i * d + k] = 5.0 + 2.0 * stream.normal(0, i % (n / 2 + 1), k);
    if (single) return AtomTable(std::vector<float>(values.begin(), values.end()), n, d);
    return AtomTable(std::move(values), n, d);
  }
};

double largest(std::span<const double> values) {
  double best = 0.0;
  for (const double v : values) best = std::max(best, std::abs(v));
  return best;
}

/// |value − reference| ≤ tolerance · (scale + |largest reference of the row|), row by row.
void expect_rows_near(const Matrix& value, const Matrix& reference, double tolerance, double scale, const char* what) {
  ASSERT_EQ(value.rows(), reference.rows());
  for (std::size_t b = 0; b < value.rows(); ++b)
    for (std::size_t k = 0; k < value.cols(); ++k)
      EXPECT_NEAR(value(b, k), reference(b, k), tolerance * (scale + largest(reference.row(b)))) << what << " row " << b;
}

Matrix column(const std::vector<double>& values) { return Matrix(values.size(), 1, values); }

void expect_matches_oracle(const SoftAssignmentRequest& request, double tolerance) {
  const SoftAssignmentResult got = soft_assignment(request);
  const SoftAssignmentResult want = soft_assignment_oracle(request);
  const double radius = request.atoms->radius();
  for (std::size_t m = 0; m < want.measures.size(); ++m) {
    expect_rows_near(column(got.measures[m].log_normaliser), column(want.measures[m].log_normaliser), tolerance, 1.0, "Z");
    expect_rows_near(got.measures[m].mean, want.measures[m].mean, tolerance, radius, "mean");
    expect_rows_near(column(got.measures[m].variance), column(want.measures[m].variance), tolerance, radius * radius, "variance");
    expect_rows_near(got.measures[m].feature_mean, want.measures[m].feature_mean, tolerance, radius * radius, "features");
  }
  if (!request.direction.empty())
    expect_rows_near(got.covariance_product, want.covariance_product, tolerance, radius * radius, "C v");
}

// The stated bound: logits to 1e-11 in float64 mode, 1e-4 in float32 mode; every field is Lipschitz in them.
constexpr double kDouble = 1e-10;
constexpr double kSingle = 1e-4;

TEST(SoftAssignment, AgreesWithTheOracleAtEveryNoiseLevelDownTo1eMinus6) {
  for (const double s2 : {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.99})
    for (const std::size_t d : {1u, 2u, 7u, 64u}) {
      SCOPED_TRACE(testing::Message() << "s2 " << s2 << " d " << d);
      Case c(301, d, 23, std::sqrt(1.0 - s2), s2, 7 + d);
      expect_matches_oracle(c.request, kDouble);
      c.request.tolerance = kSingleTolerance;
      expect_matches_oracle(c.request, kSingle);
    }
}

/// C v for a v that depends on the moments, against the oracle asked twice: for the moments, then for the product.
void expect_product_of_moments(Case& c, double tolerance) {
  const Matrix fixed = c.direction;
  const DirectionOfMoments direction_of = [&](std::span<const std::size_t> particles, ConstBatchView means,
                                              ConstBatchView features, BatchView directions) {
    for (std::size_t j = 0; j < particles.size(); ++j)
      for (std::size_t k = 0; k < means.cols(); ++k)
        directions(j, k) = fixed(particles[j], k) + 0.1 * means(j, k) + 0.01 * features(j, 2);
  };
  SoftAssignmentRequest request = c.request;
  request.direction = {};
  request.direction_mean = {};
  const SoftAssignmentResult moments = soft_assignment_oracle(request);
  std::vector<std::size_t> all(c.x.rows());
  std::iota(all.begin(), all.end(), std::size_t{0});
  Matrix directions(c.x.rows(), c.x.cols());
  direction_of(all, moments.measures[0].mean, moments.measures[0].feature_mean, directions);
  SoftAssignmentRequest second = request;
  second.direction = directions;
  second.direction_mean = moments.measures[0].mean;
  const SoftAssignmentResult want = soft_assignment_oracle(second);
  request.direction_of = direction_of;
  const SoftAssignmentResult got = soft_assignment(request);
  const double radius = c.atoms.radius();
  expect_rows_near(got.covariance_product, want.covariance_product, tolerance, radius * radius * 10.0, "C v(m)");
  expect_rows_near(got.measures[0].mean, want.measures[0].mean, tolerance, radius, "mean");
}

TEST(SoftAssignment, MultipliesByDirectionsThatDependOnTheMoments) {
  for (const double s2 : {1e-6, 1e-3, 0.1, 0.5, 0.99})
    for (const std::size_t d : {1u, 7u, 64u}) {
      SCOPED_TRACE(testing::Message() << "s2 " << s2 << " d " << d);
      Case c(601, d, 29, std::sqrt(1.0 - s2), s2, 7 + d);
      expect_product_of_moments(c, kDouble);
      c.request.tolerance = kSingleTolerance;
      expect_product_of_moments(c, kSingle);
    }
}

TEST(SoftAssignment, MultipliesAlsoWhereTheWeightsAreTooManyToKeep) {
  Case c(20000, 2, 66, 0.8, 0.36, 3);
  expect_product_of_moments(c, kDouble);
}

TEST(SoftAssignment, CoversOddShapes) {
  for (const std::size_t n : {1u, 2u, 31u, 32u, 33u, 257u})
    for (const std::size_t d : {1u, 15u, 16u, 17u, 33u})
      for (const std::size_t b : {1u, 5u, 6u, 7u, 25u}) {
        SCOPED_TRACE(testing::Message() << "N " << n << " d " << d << " B " << b);
        Case c(n, d, b, 0.6, 0.64, n + d + b);
        expect_matches_oracle(c.request, kDouble);
      }
}

TEST(SoftAssignment, ReadsSinglePrecisionAtoms) {
  Case c(200, 20, 30, 0.7, 0.3, 3, true);
  expect_matches_oracle(c.request, kDouble);
  c.request.tolerance = kSingleTolerance;
  expect_matches_oracle(c.request, kSingle);
}

TEST(SoftAssignment, StaysExactWhereTheTiltBeatsUnderflow) {
  // The tilted measure lives on atoms whose prior responsibility is far below the smallest double.
  Case c(150, 8, 12, 0.995, 0.01, 11, false, 3.0);
  std::vector<double> tilt(150);
  for (std::size_t i = 0; i < 150; ++i) tilt[i] = (i % 2 == 0) ? -5e4 : 3e4 + static_cast<double>(i);
  c.request.log_weights = {c.prior_log_weights, tilt};
  expect_matches_oracle(c.request, kDouble);
  c.request.tolerance = kSingleTolerance;
  expect_matches_oracle(c.request, kSingle);
}

TEST(SoftAssignment, AllowsAtomsOfWeightZero) {
  Case c(64, 3, 9, 0.5, 0.75, 5);
  for (std::size_t i = 0; i < 64; i += 3) c.prior_log_weights[i] = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 1; i < 64; ++i) c.tilted_log_weights[i] = -std::numeric_limits<double>::infinity();
  c.request.log_weights = {c.prior_log_weights, c.tilted_log_weights};
  c.direction_mean = soft_assignment_oracle(c.request).measures[0].mean;
  c.request.direction_mean = c.direction_mean;
  expect_matches_oracle(c.request, kDouble);
}

TEST(SoftAssignment, FarOutliersAndDuplicatesStayExact) {
  Case c(120, 5, 10, 0.9, 0.19, 13);
  for (std::size_t k = 0; k < 5; ++k) c.x(0, k) = 1e4, c.x(1, k) = -3e6;
  c.request.direction = {};
  expect_matches_oracle(c.request, kDouble);
}

TEST(SoftAssignment, ANonFiniteRowSpoilsOnlyItself) {
  Case c(50, 4, 8, 0.9, 0.19, 17);
  c.x(3, 2) = std::numeric_limits<double>::quiet_NaN();
  c.x(5, 0) = std::numeric_limits<double>::infinity();
  const SoftAssignmentResult got = soft_assignment(c.request);
  const SoftAssignmentResult want = soft_assignment_oracle(c.request);
  for (std::size_t b = 0; b < 8; ++b) {
    if (b == 3 || b == 5) {
      EXPECT_TRUE(std::isnan(got.measures[0].log_normaliser[b]));
      EXPECT_TRUE(std::isnan(got.measures[1].mean(b, 0)));
    } else {
      EXPECT_NEAR(got.measures[0].mean(b, 1), want.measures[0].mean(b, 1), 1e-10);
    }
  }
}

TEST(SoftAssignment, GivesTheSameBitsForEveryNumberOfThreads) {
  for (const double tolerance : {kDoubleTolerance, kSingleTolerance})
    for (const double s2 : {1e-4, 0.3, 0.9}) {
      Case c(400, 24, 130, std::sqrt(1 - s2), s2, 19);
      c.request.tolerance = tolerance;
      Matrix first;
      for (const std::size_t threads : {1u, 2u, 4u}) {
        const ThreadLimit limit(threads);
        const SoftAssignmentResult got = soft_assignment(c.request);
        if (threads == 1) first = got.covariance_product;
        for (std::size_t i = 0; i < first.size(); ++i)
          ASSERT_EQ(first.values()[i], got.covariance_product.values()[i]) << threads << " threads";
      }
    }
}

RC_GTEST_PROP(SoftAssignment, MeansAreConvexCombinationsOfAtoms, ()) {
  const auto n = *rc::gen::inRange<std::size_t>(1, 80);
  const auto d = *rc::gen::inRange<std::size_t>(1, 20);
  const double s2 = std::pow(10.0, -*rc::gen::inRange(0, 6));
  Case c(n, d, 7, std::sqrt(std::max(0.0, 1.0 - s2)), s2, static_cast<std::uint64_t>(n * 100 + d));
  c.request.direction = {};
  const SoftAssignmentResult got = soft_assignment(c.request);
  std::vector<double> low(d, 1e300), high(d, -1e300), atom(d);
  for (std::size_t i = 0; i < n; ++i) {
    c.atoms.copy_atom(i, atom);
    for (std::size_t k = 0; k < d; ++k) low[k] = std::min(low[k], atom[k]), high[k] = std::max(high[k], atom[k]);
  }
  for (const auto& measure : got.measures)
    for (std::size_t b = 0; b < 7; ++b) {
      RC_ASSERT(std::abs(measure.feature_mean(b, 0) - 1.0) < 1e-12);  // weights sum to one
      for (std::size_t k = 0; k < d; ++k)
        RC_ASSERT(measure.mean(b, k) >= low[k] - 1e-9 && measure.mean(b, k) <= high[k] + 1e-9);
    }
}

TEST(NearestAtoms, AgreeWithALoopOverAllAtoms) {
  for (const std::size_t d : {1u, 9u, 64u}) {
    Case c(333, d, 40, 0.8, 0.5, 23 + d);
    const auto got = nearest_atoms(c.atoms, c.x, 0.8);
    std::vector<double> atom(d);
    for (std::size_t b = 0; b < 40; ++b) {
      std::size_t best = 0;
      double smallest = std::numeric_limits<double>::infinity();
      for (std::size_t i = 0; i < 333; ++i) {
        c.atoms.copy_atom(i, atom);
        double sum = 0.0;
        for (std::size_t k = 0; k < d; ++k) sum += std::pow(c.x(b, k) - 0.8 * atom[k], 2);
        if (sum < smallest) smallest = sum, best = i;
      }
      EXPECT_EQ(got[b], best);
    }
  }
}

TEST(SoftAssignment, RejectsWhatCannotBeAsked) {
  Case c(10, 3, 2, 0.9, 0.19, 1);
  c.request.s2 = 0.0;
  EXPECT_THROW(soft_assignment(c.request), InvalidArgument);
  c.request.s2 = 0.19;
  c.request.log_weights = {};
  EXPECT_THROW(soft_assignment(c.request), InvalidArgument);
  c.request.log_weights = {c.prior_log_weights};
  c.request.direction_of = [](auto, auto, auto, auto) {};
  EXPECT_THROW(soft_assignment(c.request), InvalidArgument);  // beside a direction
  EXPECT_THROW(AtomTable(std::vector<double>{}, 0, 3), InvalidArgument);
  EXPECT_THROW(AtomTable(std::vector<double>{1.0, std::nan("")}, 2, 1), InvalidArgument);
}

}  // namespace
}  // namespace fslens
