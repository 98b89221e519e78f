// Atoms in every type: what the bits mean, what is refused, and a row that is left out.
#include "fslens/kernels/atom_table.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "fslens/core/error.hpp"
#include "fslens/kernels/soft_assignment.hpp"
#include "fslens/rng/stream.hpp"
#include "kernels/atom_storage.hpp"
#include "support/expect_invalid.hpp"
#include "support/special_values.hpp"

namespace fslens {
namespace {

using test::expect_invalid;
using test::kInfinity;
using test::kNan;

constexpr std::array kTypes{AtomType::float64, AtomType::float32, AtomType::float16, AtomType::bfloat16,
                            AtomType::uint8};

std::vector<double> atom_of(const AtomTable& atoms, std::size_t i) {
  std::vector<double> out(atoms.dim());
  atoms.copy_atom(i, out);
  return out;
}

/// All 65,536 patterns: the finite ones in one table, each other one refused where it stands.
template <class Value>
void expect_every_pattern_decoded(AtomType type, Value&& value, double largest) {
  std::vector<std::uint16_t> finite;
  std::size_t refused = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto pattern = static_cast<std::uint16_t>(bits);
    if (std::isfinite(value(pattern))) {
      finite.push_back(pattern);
      continue;
    }
    ++refused;
    std::vector<std::uint16_t> stored(1500, 0x3c00);
    stored[1234] = pattern;
    expect_invalid([&] { AtomTable(test::stored_atoms(type, stored, 1500), 1); }, "1234");
  }
  EXPECT_EQ(refused, type == AtomType::float16 ? 2048u : 256u);
  const AtomTable atoms(test::stored_atoms(type, finite, finite.size()), 1);
  ASSERT_EQ(atoms.count(), finite.size());
  for (std::size_t i = 0; i < finite.size(); ++i) {
    const double got = atom_of(atoms, i)[0];
    EXPECT_EQ(got, value(finite[i])) << "bits " << finite[i];
    EXPECT_EQ(std::signbit(got), std::signbit(value(finite[i]))) << "bits " << finite[i];
  }
  EXPECT_EQ(atoms.low(), -largest);
  EXPECT_EQ(atoms.high(), largest);
  EXPECT_EQ(atoms.bytes(), 2 * finite.size());
}

TEST(AtomTable, DecodesEveryFloat16Exactly) {
  EXPECT_EQ(test::half_value(0x3c00), 1.0);
  EXPECT_EQ(test::half_value(0x0001), 0x1p-24);
  EXPECT_EQ(test::half_value(0xc248), -3.140625);
  expect_every_pattern_decoded(AtomType::float16, test::half_value, 65504.0);
}

TEST(AtomTable, DecodesEveryBfloat16Exactly) {
  EXPECT_EQ(test::bfloat_value(0x3f80), 1.0);
  EXPECT_EQ(test::bfloat_value(0xc049), -3.140625);
  EXPECT_EQ(test::bfloat_value(0x0001), 0x1p-133);
  expect_every_pattern_decoded(AtomType::bfloat16, test::bfloat_value, 0x1.fep127);
}

TEST(AtomTable, ScalesEveryByte) {
  std::vector<std::uint8_t> stored(256);
  for (int u = 0; u < 256; ++u) stored[static_cast<std::size_t>(u)] = static_cast<std::uint8_t>(u);
  for (const auto& [low, step] : {std::pair{0.0, 1.0}, {-1.0, 2.0 / 255.0}, {-1.0, 0x1p-7}, {1e6, 0.1}}) {
    AtomData data = test::stored_atoms(AtomType::uint8, stored, 256);
    data.low = low;
    data.step = step;
    const AtomTable atoms(data, 1);
    for (std::size_t u = 0; u < 256; ++u) {
      const double got = atom_of(atoms, u)[0], count = static_cast<double>(u);
      EXPECT_TRUE(got == low + step * count || got == std::fma(step, count, low)) << u << " in steps of " << step;
    }
    EXPECT_EQ(atoms.low(), atom_of(atoms, 0)[0]);
    EXPECT_EQ(atoms.high(), atom_of(atoms, 255)[0]);
  }
}

TEST(AtomTable, RefusesWhatIsNotFiniteByItsIndex) {
  for (const double bad : {kNan, kInfinity, -kInfinity}) {
    std::vector<double> values(1500, 1.0);
    values[1234] = bad;
    expect_invalid([&] { AtomTable(values, 1500, 1); }, "1234");
    expect_invalid([&] { AtomTable(std::vector<float>(values.begin(), values.end()), 1500, 1); }, "1234");
    expect_invalid([&] { AtomTable(test::stored_atoms(AtomType::float64, values, 1500), 1); }, "1234");
  }
}

TEST(AtomTable, RefusesWhatIsNoTable) {
  EXPECT_THROW(AtomTable(std::vector<double>{}, 0, 3), InvalidArgument);
  EXPECT_THROW(AtomTable(std::vector<double>(6), 2, 2), InvalidArgument);
  EXPECT_THROW(AtomTable(std::vector<float>(6), 4, 2), InvalidArgument);
  for (const auto& [low, step] :
       {std::pair{kNan, 1.0}, {kInfinity, 1.0}, {0.0, 0.0}, {0.0, -1.0}, {0.0, kNan}, {0.0, kInfinity}}) {
    AtomData data = test::stored_atoms(AtomType::uint8, std::vector<std::uint8_t>(4), 2);
    data.low = low;
    data.step = step;
    EXPECT_THROW(AtomTable(data, 2), InvalidArgument) << low << " + u * " << step;
  }
  AtomData only = test::stored_atoms(AtomType::float32, std::vector<float>{1.0f, 2.0f}, 1);
  only.excluded = 0;
  EXPECT_THROW(AtomTable(only, 2), InvalidArgument) << "the one atom is left out";
}

/// Centre and norms to rounding, the radius from above.
TEST(AtomTable, MeasuresItsAtoms) {
  for (const AtomType type : kTypes)
    for (const double offset : {0.0, 0.3, 1000.0}) {
      const std::size_t n = 300, d = 7;
      std::vector<double> values(n * d);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = offset + 0.3 * RandomStream(5).normal(0, i);
      const auto [atoms, held] = test::stored_table(type, values, d, offset - 1.0);
      ASSERT_EQ(atoms.center().size(), d);
      for (std::size_t k = 0; k < d; ++k) {
        long double sum = 0.0L;
        for (std::size_t i = 0; i < n; ++i) sum += held[i * d + k];
        EXPECT_NEAR(atoms.center()[k], static_cast<double>(sum / n), 1e-14 * (1.0 + offset)) << name_of(type);
      }
      for (std::size_t i = 0; i < n; ++i) {
        long double squared = 0.0L;
        for (std::size_t k = 0; k < d; ++k) {
          const long double apart = static_cast<long double>(held[i * d + k]) - atoms.center()[k];
          squared += apart * apart;
          EXPECT_LE(atoms.low(), held[i * d + k]);
          EXPECT_GE(atoms.high(), held[i * d + k]);
        }
        EXPECT_NEAR(atoms.centered_squared_norms()[i], static_cast<double>(squared),
                    1e-14 * (1.0 + static_cast<double>(squared)));
        EXPECT_GE(atoms.radius(), std::sqrt(squared)) << name_of(type) << " atom " << i;
      }
    }
}

AtomData data_of(AtomType type, const std::vector<double>& values, std::size_t rows) {
  const auto convert = [&]<class Stored>(Stored, auto&& encode) {
    std::vector<Stored> stored;
    for (const double v : values) stored.push_back(encode(v));
    return test::stored_atoms(type, std::move(stored), rows);
  };
  if (type == AtomType::float64) return convert(double{}, [](double v) { return v; });
  if (type == AtomType::float32) return convert(float{}, [](double v) { return static_cast<float>(v); });
  if (type == AtomType::float16) return convert(std::uint16_t{}, test::half_bits);
  if (type == AtomType::bfloat16) return convert(std::uint16_t{}, test::bfloat_bits);
  return convert(std::uint8_t{}, [](double v) { return static_cast<std::uint8_t>(std::abs(v) * 50.0); });
}

void expect_same_table(const AtomTable& one, const AtomTable& two) {
  ASSERT_EQ(one.count(), two.count());
  EXPECT_EQ(one.bytes(), two.bytes());
  EXPECT_EQ(one.low(), two.low());
  EXPECT_EQ(one.high(), two.high());
  EXPECT_EQ(one.radius(), two.radius());
  for (std::size_t k = 0; k < one.dim(); ++k) EXPECT_EQ(one.center()[k], two.center()[k]);
  for (std::size_t i = 0; i < one.count(); ++i) {
    EXPECT_EQ(one.centered_squared_norms()[i], two.centered_squared_norms()[i]);
    EXPECT_EQ(atom_of(one, i), atom_of(two, i));
    EXPECT_EQ(std::memcmp(one.stored_atom(i), two.stored_atom(i), one.dim() * bytes_of(one.type())), 0) << "atom " << i;
  }
}

TEST(AtomTable, LeavesARowOutAsIfItWereNotThere) {
  const std::size_t rows = 90, d = 5;
  std::vector<double> values(rows * d);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = RandomStream(6).normal(0, i);
  Matrix x(8, d);
  RandomStream(7).fill_normal(0, x);
  for (const AtomType type : kTypes)
    for (const std::size_t excluded : {std::size_t{0}, std::size_t{41}, rows - 1}) {
      AtomData with = data_of(type, values, rows);
      with.excluded = excluded;
      std::vector<double> rest(values);
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(excluded * d),
                 rest.begin() + static_cast<std::ptrdiff_t>((excluded + 1) * d));
      const AtomTable one(with, d), two(data_of(type, rest, rows - 1), d);
      ASSERT_EQ(one.count(), rows - 1);
      expect_same_table(one, two);
      for (const double s2 : {1e-6, 0.05, 0.9})
        for (const double tolerance : {kSingleTolerance, kDoubleTolerance}) {
          const std::vector<double> log_weights(rows - 1, 0.0);
          SoftAssignmentRequest request;
          request.x = x;
          request.a = std::sqrt(1.0 - s2);
          request.s2 = s2;
          request.log_weights = {log_weights};
          request.want_variance = true;
          request.tolerance = tolerance;
          request.atoms = &one;
          const SoftAssignmentMoments left_out = soft_assignment(request).measures[0];
          request.atoms = &two;
          const SoftAssignmentMoments never_there = soft_assignment(request).measures[0];
          EXPECT_EQ(left_out.log_normaliser, never_there.log_normaliser) << name_of(type) << " s2 " << s2;
          EXPECT_EQ(left_out.variance, never_there.variance);
          EXPECT_EQ(left_out.mean_error, never_there.mean_error);
          for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(left_out.mean.values()[i], never_there.mean.values()[i]);
        }
    }
}

TEST(AtomTable, IgnoresWhatStandsInTheRowLeftOut) {
  AtomData data = test::stored_atoms(AtomType::float64, std::vector<double>{1.0, 2.0, kNan, kInfinity, 5.0, 7.0}, 3);
  data.excluded = 1;
  const AtomTable atoms(data, 2);
  EXPECT_EQ(atoms.count(), 2u);
  EXPECT_EQ(atoms.center()[0], 3.0);
  EXPECT_EQ(atom_of(atoms, 1), (std::vector<double>{5.0, 7.0}));
}

TEST(AtomTable, KeepsItsValuesAlive) {
  const AtomTable copy = [] {
    const AtomTable first(test::stored_atoms(AtomType::float16, std::vector<std::uint16_t>{0x3c00, 0x4000}, 2), 1);
    return AtomTable(first);
  }();
  EXPECT_EQ(atom_of(copy, 0)[0], 1.0);
  EXPECT_EQ(atom_of(copy, 1)[0], 2.0);
}

}  // namespace
}  // namespace fslens
