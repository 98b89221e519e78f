// Every bound that the soft assignment states holds, on 10⁵ random states; its tolerance is met; its bits do not move.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/atom_storage.hpp"
#include "kernels/certificate_case.hpp"

namespace fslens {
namespace {

using test::CaseOracle;
using test::CertificateCase;
using test::ProductBy;

// Where the kernel is built without optimisation or with sanitizers, fewer states.
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr std::size_t kStates = 100000;
#else
constexpr std::size_t kStates = 3000;
#endif

/// Draws of one random case: `draw.uniform()` and `draw.normal()` one after the other.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : stream_(RandomStream(seed).child("certificate")) {}
  double uniform() { return stream_.uniform(0, 0, next_++); }
  double normal() { return stream_.normal(1, 0, next_++); }
  bool chance(double p) { return uniform() < p; }
  /// A whole number, log-uniform from 1 to `last`.
  std::size_t log_uniform(double last) {
    return static_cast<std::size_t>(std::exp(uniform() * std::log(last + 0.999)));
  }
  std::size_t below(std::size_t n) {
    return std::min(n - 1, static_cast<std::size_t>(uniform() * static_cast<double>(n)));
  }

 private:
  RandomStream stream_;
  std::uint64_t next_ = 0;
};

/// Clusters of very different widths about an offset, some atoms twice.
std::vector<double> random_atoms(Draw& draw, std::size_t n, std::size_t d) {
  const std::size_t clusters = 1 + draw.below(8);
  const double offset = draw.chance(0.3) ? 5.0 * draw.normal() : 0.0,
               scale = std::pow(10.0, 1.5 * draw.uniform() - 1.0);
  const double width = std::pow(10.0, -3.0 * draw.uniform());
  std::vector<double> centres(clusters * d), values(n * d);
  for (double& c : centres) c = offset + scale * draw.normal();
  for (std::size_t i = 0; i < n; ++i) {
    if (i > 0 && draw.chance(0.02)) {
      std::copy_n(values.data() + draw.below(i) * d, d, values.data() + i * d);
      continue;
    }
    const std::size_t c = draw.below(clusters);
    for (std::size_t k = 0; k < d; ++k) values[i * d + k] = centres[c * d + k] + scale * width * draw.normal();
  }
  return values;
}

void set_noise(CertificateCase& c, Draw& draw) {
  const double kind = draw.uniform();
  if (kind < 0.7) {
    c.s2 = std::pow(10.0, -7.0 * draw.uniform()) * (1.0 - 1e-9);
  } else if (kind < 0.8) {
    c.s2 = 1.0 - std::pow(10.0, -9.0 + 8.7 * draw.uniform());
  } else {
    c.s2 = std::pow(10.0, -7.0 + 11.0 * draw.uniform());
    return;  // variance-exploding: a = 1
  }
  c.a = std::sqrt(1.0 - c.s2);
}

/// Near an atom, an exact draw, pure noise, between two atoms, on an atom.
void set_states(CertificateCase& c, Draw& draw) {
  const std::size_t n = c.atoms.count(), d = c.atoms.dim();
  const double s = std::sqrt(c.s2);
  for (std::size_t b = 0; b < c.x.rows(); ++b) {
    const double kind = draw.uniform();
    const double* one = c.values.data() + draw.below(n) * d;
    const double* two = c.values.data() + draw.below(n) * d;
    const double noise = kind < 0.2    ? 0.1 * s
                         : kind < 0.6  ? s
                         : kind < 0.75 ? std::max(s, 1.0)
                         : kind < 0.95 ? 0.01 * s
                                       : 0.0;
    const double signal = kind >= 0.6 && kind < 0.75 ? 0.0 : c.a;
    const bool between = kind >= 0.75 && kind < 0.95;
    for (std::size_t k = 0; k < d; ++k)
      c.x(b, k) = signal * (between ? 0.5 * (one[k] + two[k]) : one[k]) + noise * draw.normal();
  }
}

void set_weights(CertificateCase& c, Draw& draw) {
  const std::size_t n = c.atoms.count();
  if (draw.chance(0.5)) {
    const double width = 3.0 * draw.uniform();
    for (double& w : c.log_weights[0]) w = width * draw.normal() - std::log(static_cast<double>(n));
  }
  if (draw.chance(0.5)) {
    const double tilt = std::pow(10.0, 3.0 * draw.uniform());
    c.log_weights.emplace_back(n);
    for (std::size_t i = 0; i < n; ++i) c.log_weights[1][i] = c.log_weights[0][i] - tilt * std::abs(draw.normal());
  }
}

/// Features {1, x_0, x_0 x_{d−1}} and directions.
void set_extras(CertificateCase& c, Draw& draw) {
  const std::size_t n = c.atoms.count(), d = c.atoms.dim();
  if (draw.chance(0.4)) {
    c.q = 3;
    for (std::size_t i = 0; i < n; ++i) {
      const double first = c.values[i * d], last = c.values[i * d + d - 1];
      c.features.insert(c.features.end(), {1.0, first, first * last});
    }
  }
  c.v = Matrix(c.x.rows(), d);
  for (double& v : c.v.values()) v = draw.normal();
  c.product = std::array{ProductBy::none, ProductBy::direction, ProductBy::callback}[draw.below(3)];
  c.exact_scan = draw.chance(0.15);
}

CertificateCase random_case(std::uint64_t seed) {
  Draw draw(seed);
  const std::size_t d = draw.chance(0.04) ? 784 : draw.log_uniform(256);
  const std::size_t n = std::min(draw.log_uniform(3000), 100000 / d);
  const std::size_t b = std::min<std::size_t>(1 + draw.below(96), 1 + 1000000 / (n * d));
  const auto type = std::array{AtomType::float64, AtomType::float32, AtomType::float16, AtomType::bfloat16,
                               AtomType::uint8}[draw.below(5)];
  const std::size_t scaling = draw.below(3);
  const double low = std::array{-1.0, 0.0, -1.0}[scaling];
  const double step = std::array{2.0 / 255.0, 1.0 / 255.0, 0x1p-7}[scaling];
  auto [table, held] = test::stored_table(type, random_atoms(draw, n, d), d, low, step);
  CertificateCase c("random case " + std::to_string(seed) + " " + std::string(name_of(type)), std::move(table),
                    std::move(held), Matrix(b, d));
  set_noise(c, draw);
  set_states(c, draw);
  set_weights(c, draw);
  set_extras(c, draw);
  c.ordinary = c.s2 >= 1e-6;
  return c;
}

TEST(Certificate, HoldsForRandomStatesAndMeetsItsTolerance) {
  std::size_t failures = 0;
  for (std::uint64_t seed = 1, states = 0; states < kStates && failures < 20; ++seed) {
    const CertificateCase c = random_case(seed);
    const CaseOracle oracle(c);
    // One in forty in 113 bits throughout, whether or not long double would do.
    for (const double tolerance : {kSingleTolerance, kDoubleTolerance})
      failures += judge(c, oracle, oracle.ask(tolerance), tolerance, seed % 40 == 0 && c.values.size() < 3000);
    states += c.x.rows();
  }
}

/// The oracle in long double lies within its own error (and the other's) of the one in 113 bits.
TEST(CertificateOracle, AgreesWithItselfInMoreBits) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const CertificateCase c = random_case(seed);
    if (c.values.size() > 10000) continue;
    const CaseOracle oracle(c);
    for (std::size_t b = 0; b < std::min<std::size_t>(c.x.rows(), 3); ++b) {
      const auto [posterior, wide] = oracle.wide(b);
      for (std::size_t m = 0; m < wide.size(); ++m) {
        const test::Moments<long double>& near = oracle.moments(b, m);
        const auto off = [](test::Wide one, long double two) { return std::abs(static_cast<long double>(one - two)); };
        EXPECT_LE(off(wide[m].log_normaliser, near.log_normaliser),
                  near.log_normaliser_error + wide[m].log_normaliser_error);
        EXPECT_LE(off(wide[m].variance, near.variance), near.variance_error + wide[m].variance_error) << c.name;
        std::vector<long double> apart(near.offset.size());
        for (std::size_t k = 0; k < apart.size(); ++k) apart[k] = off(wide[m].offset[k], near.offset[k]);
        EXPECT_LE(test::norm_of<long double>(apart), near.mean_error + wide[m].mean_error) << c.name;
      }
    }
  }
}

void expect_near(long double value, long double wanted, long double tolerance) {
  EXPECT_LE(std::abs(value - wanted), tolerance)
      << static_cast<double>(value) << " is not " << static_cast<double>(wanted);
}

/// Two atoms on a line: weights σ and 1 − σ, with everything known in closed form.
TEST(CertificateOracle, KnowsTwoAtoms) {
  for (const double s2 : {0.01, 0.3, 5.0})
    for (const double x : {-1.0, 0.25, 0.4, 2.0}) {
      const std::vector<double> values{0.5, -1.25};
      CertificateCase c("two atoms", AtomTable(values, 2, 1), values, Matrix(1, 1, x));
      c.a = 0.75, c.s2 = s2, c.q = 1;
      c.features = {3.0, 7.0};
      c.log_weights[0] = {-0.5, 0.125};
      const CaseOracle oracle(c);
      const auto logit = [&](std::size_t i) {
        const long double apart = x - 0.75L * values[i];
        return c.log_weights[0][i] - apart * apart / (2.0L * s2);
      };
      const long double second = 1.0L / (1.0L + std::exp(logit(0) - logit(1))), first = 1.0L - second;
      const test::Moments<long double>& got = oracle.moments(0, 0);
      const double pivot = logit(0) >= logit(1) ? 0.5 : -1.25;
      const long double spread = first * second * 1.75L * 1.75L, near = 2e-18L;
      expect_near(got.offset[0], 0.5L * first - 1.25L * second - pivot, near);
      expect_near(got.variance, spread, near);
      expect_near(got.feature_offset[0], 3.0L * first + 7.0L * second - (pivot > 0 ? 3.0L : 7.0L), near * 4);
      const long double normaliser = std::log(std::exp(logit(0)) + std::exp(logit(1)));
      expect_near(got.log_normaliser, normaliser, near * std::abs(normaliser));
      const auto distances = test::direct_distances(oracle.input(), &x);
      const auto posterior = test::direct_posterior(oracle.input(), distances, c.log_weights[0]);
      const double v = 2.0;
      expect_near(test::product_of(oracle.input(), posterior, got.offset, &v).value[0], 2.0L * spread, near);
      EXPECT_LT(got.mean_error + got.variance_error, 1e-15L) << "its own error is small";
      const auto wide = oracle.wide(0).second[0];
      expect_near(static_cast<long double>(wide.offset[0]), got.offset[0], near);
      EXPECT_LT(wide.mean_error + wide.variance_error + wide.log_normaliser_error, 1e-29L);
    }
}

TEST(CertificateOracle, TakesLogarithmsAndExponentialsIn113Bits) {
  for (int k = -700; k <= 90; ++k) {
    const test::Wide x = k + test::Wide(k) / 7;
    const test::Wide back = test::log_of(test::exp_of(x)) - x;
    EXPECT_LT(std::abs(static_cast<long double>(back)), 1e-31L * std::max(1, std::abs(k))) << k;
    const test::Wide whole = test::exp_of(x) * test::exp_of(-x) - 1;
    EXPECT_LT(std::abs(static_cast<long double>(whole)), test::kExpRoundoffs * 0x1p-112L) << k;
    const long double near = std::exp(static_cast<long double>(x));
    EXPECT_LT(std::abs(static_cast<long double>(test::exp_of(test::Wide(static_cast<long double>(x)))) / near - 1),
              1e-18L)
        << k;
  }
}

/// All the numbers of an answer, one after the other.
std::vector<double> numbers(const SoftAssignmentResult& result) {
  std::vector<double> all;
  const auto add = [&](std::span<const double> values) { all.insert(all.end(), values.begin(), values.end()); };
  for (const SoftAssignmentMoments& m : result.measures) {
    for (const auto& field :
         {m.log_normaliser, m.variance, m.log_normaliser_error, m.mean_error, m.variance_error, m.feature_error})
      add(field);
    add(m.mean.values());
    add(m.feature_mean.values());
  }
  add(result.covariance_product.values());
  add(result.covariance_product_error);
  return all;
}

bool same_bits(const std::vector<double>& one, const std::vector<double>& two) {
  return one.size() == two.size() && std::memcmp(one.data(), two.data(), one.size() * sizeof(double)) == 0;
}

TEST(Certificate, HasTheSameBitsForEveryNumberOfThreadsAndEveryTime) {
  for (std::uint64_t seed = 1; seed <= kStates / 1000; ++seed) {
    const CertificateCase c = random_case(1000000 + seed);
    const CaseOracle oracle(c);
    for (const double tolerance : {kSingleTolerance, kDoubleTolerance}) {
      const std::vector<double> first = numbers(oracle.ask(tolerance).result);
      EXPECT_TRUE(same_bits(first, numbers(oracle.ask(tolerance).result))) << "asked twice: " << c.name;
      for (const std::size_t threads : {1u, 2u, 3u, 8u}) {
        const ThreadLimit limit(threads);
        EXPECT_TRUE(same_bits(first, numbers(oracle.ask(tolerance).result))) << threads << " threads: " << c.name;
      }
    }
  }
}

TEST(Certificate, HoldsForParticlesInAnyOrder) {
  for (std::uint64_t seed = 1; seed <= kStates / 1000; ++seed) {
    CertificateCase c = random_case(2000000 + seed);
    c.product = ProductBy::none;
    const CaseOracle oracle(c);
    const SoftAssignmentResult forward = oracle.ask(kDoubleTolerance).result;
    const std::size_t count = c.x.rows();
    const Matrix x = c.x;
    for (std::size_t b = 0; b < count; ++b) std::copy_n(x.row(count - 1 - b).data(), x.cols(), c.x.row(b).data());
    const SoftAssignmentResult backward = oracle.ask(kDoubleTolerance).result;
    for (std::size_t m = 0; m < forward.measures.size(); ++m)
      for (std::size_t b = 0; b < count; ++b) {
        const SoftAssignmentMoments& one = forward.measures[m];
        const SoftAssignmentMoments& two = backward.measures[m];
        const std::size_t r = count - 1 - b;
        EXPECT_LE(std::abs(one.log_normaliser[b] - two.log_normaliser[r]),
                  one.log_normaliser_error[b] + two.log_normaliser_error[r])
            << c.name;
        EXPECT_LE(std::abs(one.variance[b] - two.variance[r]), one.variance_error[b] + two.variance_error[r]) << c.name;
        std::vector<long double> apart(x.cols());
        for (std::size_t k = 0; k < apart.size(); ++k)
          apart[k] = static_cast<long double>(one.mean(b, k)) - two.mean(r, k);
        EXPECT_LE(test::norm_of<long double>(apart), (one.mean_error[b] + two.mean_error[r]) * (1 + 1e-15L)) << c.name;
      }
  }
}

}  // namespace
}  // namespace fslens
