// Bounds where rounding has most to say: ties, duplicates, outliers, offsets, weights beyond underflow, next to no
// noise.
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "kernels/atom_storage.hpp"
#include "kernels/certificate_case.hpp"
#include "support/special_values.hpp"

namespace fslens {
namespace {

using test::CaseOracle;
using test::CertificateCase;
using test::kInfinity;
using test::kNan;
using test::ProductBy;

const RandomStream kStream = RandomStream(20240607).child("adversarial");

/// Standard normal atoms, the same for the same n and d.
std::vector<double> normal_atoms(std::size_t n, std::size_t d, double offset = 0.0, double scale = 1.0) {
  std::vector<double> values(n * d);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < d; ++k) values[i * d + k] = offset + scale * kStream.normal(n, i, k);
  return values;
}

CertificateCase adversary(std::string name, const std::vector<double>& values, std::size_t d, std::size_t states,
                          double s2, AtomType type = AtomType::float64) {
  auto [table, held] = test::stored_table(type, values, d);
  CertificateCase c(std::move(name), std::move(table), std::move(held), Matrix(states, d));
  c.s2 = s2;
  c.a = std::sqrt(std::max(0.0, 1.0 - s2));
  c.v = Matrix(states, d);
  for (std::size_t b = 0; b < states; ++b)
    for (std::size_t k = 0; k < d; ++k) c.v(b, k) = kStream.normal(7, b, k);
  c.product = ProductBy::direction;
  return c;
}

/// State b: a times atom b (again and again), plus noise.
void place_near_atoms(CertificateCase& c, double noise) {
  const std::size_t n = c.atoms.count(), d = c.atoms.dim();
  for (std::size_t b = 0; b < c.x.rows(); ++b)
    for (std::size_t k = 0; k < d; ++k)
      c.x(b, k) = c.a * c.values[(b * 7 % n) * d + k] + noise * kStream.normal(8, b, k);
}

/// State b: half-way between atoms b and b + 1, exactly where a is a power of two.
void place_half_way(CertificateCase& c) {
  const std::size_t n = c.atoms.count(), d = c.atoms.dim();
  for (std::size_t b = 0; b < c.x.rows(); ++b)
    for (std::size_t k = 0; k < d; ++k)
      c.x(b, k) = c.a * (0.5 * c.values[(b % n) * d + k] + 0.5 * c.values[((b + 1) % n) * d + k]);
}

void judge_all_ways(CertificateCase& c) {
  c.q = 2;
  c.features.clear();
  const std::size_t d = c.atoms.dim();
  for (std::size_t i = 0; i < c.atoms.count(); ++i)
    c.features.insert(c.features.end(), {c.values[i * d], std::sin(static_cast<double>(i))});
  for (const ProductBy product : {ProductBy::direction, ProductBy::callback}) {
    c.product = product;
    const CaseOracle oracle(c);
    for (const double tolerance : {kSingleTolerance, kDoubleTolerance}) {
      const test::Answer answer = oracle.ask(tolerance);
      judge(c, oracle, answer, tolerance);
      expect_nan_rows(c, oracle, answer);
    }
  }
}

/// alpha_bar of the linear variance-preserving schedule.
double alpha_bar(double t) { return std::exp(-0.01 * t - 0.5 * 19.99 * t * t); }

TEST(CertificateAdversary, HoldsDownToTheEarliestTimes) {
  for (const double t : {1e-4, 3e-4, 1e-3, 1e-2, 0.1})
    for (const std::size_t d : {1u, 8u, 64u}) {
      CertificateCase c =
          adversary("t " + std::to_string(t), normal_atoms(200, d), d, 12, -std::expm1(std::log(alpha_bar(t))));
      c.a = std::sqrt(alpha_bar(t));
      for (const double noise : {0.0, 0.1, 1.0}) {
        place_near_atoms(c, noise * std::sqrt(c.s2));
        judge_all_ways(c);
      }
      place_half_way(c);
      judge_all_ways(c);
    }
}

TEST(CertificateAdversary, HoldsForDuplicatesAndAlmost) {
  for (const double s2 : {1e-12, 1e-6, 0.1, 0.9})
    for (const std::size_t d : {1u, 5u, 33u}) {
      std::vector<double> values = normal_atoms(64, d);
      for (std::size_t i = 16; i < 64; ++i)
        for (std::size_t k = 0; k < d; ++k) {
          const double original = values[(i % 16) * d + k];
          values[i * d + k] = i < 32   ? original
                              : i < 48 ? std::nextafter(original, i % 2 == 0 ? 10.0 : -10.0)
                                       : original + 1e-9 * kStream.normal(9, i, k);
        }
      CertificateCase c = adversary("near-duplicates", values, d, 20, s2);
      place_near_atoms(c, std::sqrt(s2));
      judge_all_ways(c);
      place_near_atoms(c, 0.0);
      judge_all_ways(c);
    }
}

TEST(CertificateAdversary, HoldsForTies) {
  for (const double s2 : {1e-12, 1e-6, 1e-3, 0.75})
    for (const AtomType type : {AtomType::float64, AtomType::float16, AtomType::float32}) {
      // A 4 × 4 × 4 lattice: as many as eight atoms tie for the best.
      std::vector<double> values;
      for (int i = 0; i < 64; ++i)
        for (const int k : {i & 3, (i >> 2) & 3, i >> 4}) values.push_back(k - 1.5);
      CertificateCase c = adversary("lattice", values, 3, 24, s2, type);
      c.a = s2 == 0.75 ? 0.5 : 1.0;  // so that the ties are exact
      for (std::size_t b = 0; b < 24; ++b)
        for (std::size_t k = 0; k < 3; ++k) c.x(b, k) = c.a * (0.5 * static_cast<double>((b >> k) % 5) - 1.0);
      judge_all_ways(c);
      place_half_way(c);
      judge_all_ways(c);
    }
}

TEST(CertificateAdversary, HoldsForFarOutliers) {
  for (const double distance : {1e4, 1e6, 1e8})
    for (const double s2 : {1e-12, 1e-6, 1e-2, 0.5})
      for (const std::size_t d : {1u, 6u, 40u}) {
        CertificateCase c = adversary("outlier", normal_atoms(100, d), d, 10, s2);
        place_near_atoms(c, std::sqrt(s2));
        for (std::size_t b = 0; b < 10; b += 2)
          for (std::size_t k = 0; k < d; ++k) c.x(b, k) += distance * kStream.normal(10, b, k);
        judge_all_ways(c);
      }
}

TEST(CertificateAdversary, HoldsForOutlyingAtomsAndCommonOffsets) {
  for (const double s2 : {1e-12, 1e-6, 1e-2, 0.5})
    for (const std::size_t d : {1u, 6u, 40u}) {
      std::vector<double> values = normal_atoms(90, d);
      for (std::size_t k = 0; k < d; ++k) values[5 * d + k] += 1e8, values[17 * d + k] -= 1e5;
      CertificateCase far = adversary("an atom far off", values, d, 18, s2);
      place_near_atoms(far, std::sqrt(s2));
      judge_all_ways(far);
      for (const AtomType type : {AtomType::float64, AtomType::float32}) {
        CertificateCase offset = adversary("offset 1e6", normal_atoms(90, d, 1e6), d, 12, s2, type);
        place_near_atoms(offset, std::sqrt(s2));
        judge_all_ways(offset);
        place_half_way(offset);
        judge_all_ways(offset);
      }
    }
}

TEST(CertificateAdversary, HoldsForFewAtomsAndForOddSizes) {
  for (const std::size_t n : {1u, 2u, 15u, 16u, 17u, 31u, 32u, 33u, 63u, 64u, 65u, 511u, 512u, 513u, 1025u})
    for (const std::size_t d : {1u, 3u, 16u, 17u})
      for (const AtomType type : {AtomType::float64, AtomType::uint8}) {
        CertificateCase c =
            adversary("size", normal_atoms(n, d, 0.0, 0.4), d, 1 + n % 7, n % 2 == 0 ? 1e-4 : 0.3, type);
        place_near_atoms(c, std::sqrt(c.s2));
        judge_all_ways(c);
      }
}

TEST(CertificateAdversary, HoldsWhereAllAtomsAreEqual) {
  for (const std::size_t n : {1u, 2u, 40u, 700u})
    for (const std::size_t d : {1u, 20u})
      for (const double s2 : {1e-12, 1e-3, 0.9}) {
        std::vector<double> values(n * d);
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.1 + 0.3 * static_cast<double>(i % d);
        CertificateCase c = adversary("all equal", values, d, 5, s2);
        place_near_atoms(c, 1.0);
        judge_all_ways(c);
      }
}

TEST(CertificateAdversary, HoldsForWeightsDownToNone) {
  for (const double s2 : {1e-6, 1e-2, 0.5})
    for (const std::size_t d : {1u, 12u}) {
      CertificateCase c = adversary("weights", normal_atoms(150, d), d, 16, s2);
      c.log_weights.emplace_back(150);
      for (std::size_t i = 0; i < 150; ++i) {
        c.log_weights[0][i] = i % 5 == 0 ? -kInfinity : std::log(1e-300) * kStream.uniform(11, i);
        c.log_weights[1][i] = i == 77 ? -3.0 : -kInfinity;
      }
      place_near_atoms(c, std::sqrt(s2));
      judge_all_ways(c);
    }
}

TEST(CertificateAdversary, HoldsWhereATiltBeatsUnderflow) {
  for (const double tilt : {1e3, 1e5, -1e5, 1e9})
    for (const double s2 : {1e-6, 1e-3, 0.3}) {
      CertificateCase c = adversary("tilt", normal_atoms(150, 8), 8, 16, s2);
      c.log_weights.emplace_back(150);
      for (std::size_t i = 0; i < 150; ++i)
        c.log_weights[1][i] = c.log_weights[0][i] + (i % 2 == 0 ? tilt : -tilt) + kStream.normal(12, i);
      place_near_atoms(c, std::sqrt(s2));
      judge_all_ways(c);
      std::swap(c.log_weights[0], c.log_weights[1]);
      judge_all_ways(c);
    }
}

TEST(CertificateAdversary, HoldsForOneAndForManyDimensions) {
  for (const double s2 : {1e-12, 1e-6, 1e-2, 0.7, 1.0 - 1e-9})
    for (const auto& [n, d] : {std::pair<std::size_t, std::size_t>{300, 1}, {12, 4096}, {2, 4096}}) {
      CertificateCase c = adversary("dimensions", normal_atoms(n, d), d, 3, s2);
      place_near_atoms(c, std::sqrt(s2));
      judge_all_ways(c);
      place_half_way(c);
      judge_all_ways(c);
    }
}

TEST(CertificateAdversary, HoldsForCoordinatesOfUnequalScale) {
  for (const double s2 : {1e-6, 1e-2, 0.5})
    for (const double factor : {1e6, 1e-6, 0.0}) {  // 0: a coordinate in which all atoms agree
      const std::size_t d = 9;
      std::vector<double> values = normal_atoms(130, d);
      for (std::size_t i = 0; i < 130; ++i) values[i * d + 4] *= factor, values[i * d + 7] = 3.25;
      CertificateCase c = adversary("unequal scales", values, d, 16, s2);
      place_near_atoms(c, std::sqrt(s2));
      judge_all_ways(c);
      place_half_way(c);
      judge_all_ways(c);
    }
}

TEST(CertificateAdversary, HoldsWithoutSignalAndWithMuchNoise) {
  for (const auto& [a, s2] : {std::pair{0.0, 1.0}, {0.0, 1e-6}, {1e-8, 1.0}, {1.0, 1e4}, {1.0, 1e12}, {1e3, 1e-2}}) {
    CertificateCase c = adversary("signal", normal_atoms(120, 10), 10, 16, s2);
    c.a = a;
    place_near_atoms(c, std::sqrt(s2));
    judge_all_ways(c);
  }
}

TEST(CertificateAdversary, LetsARowThatIsNotFiniteSpoilOnlyItself) {
  for (const double s2 : {1e-6, 1e-2, 0.5}) {
    CertificateCase c = adversary("rows", normal_atoms(70, 4), 4, 21, s2);
    c.log_weights.push_back(c.log_weights[0]);
    place_near_atoms(c, std::sqrt(s2));
    c.x(3, 2) = kNan, c.x(4, 0) = kInfinity, c.x(20, 3) = -kInfinity;
    judge_all_ways(c);
    for (double& value : c.x.values()) value = kNan;
    judge_all_ways(c);
  }
}

/// A state whose squares leave the range of a double may get a bound without an end, never a wrong one.
TEST(CertificateAdversary, ClaimsNothingForStatesBeyondTheRange) {
  for (const double size : {1e150, 1e160, 1e300}) {
    CertificateCase c = adversary("beyond the range", normal_atoms(20, 3), 3, 4, 0.1);
    c.product = ProductBy::none;
    place_near_atoms(c, 0.3);
    for (std::size_t k = 0; k < 3; ++k) c.x(2, k) = size * (1.0 + static_cast<double>(k));
    const CaseOracle oracle(c);
    for (const test::Gap& g : oracle.compare(oracle.ask(kDoubleTolerance))) {
      if (g.particle == 2 && !(g.bound < kInfinity)) continue;
      EXPECT_TRUE(g.holds()) << g.field << " of particle " << g.particle << ": off by " << static_cast<double>(g.gap)
                             << ", bound " << static_cast<double>(g.bound) << " with a state of " << size;
    }
  }
}

}  // namespace
}  // namespace fslens
