// Atoms in the element type of their file: what the lens is given, and that it is what the widened values would give.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "diagnosis/problems.hpp"
#include "fslens/core/error.hpp"
#include "fslens/io/array_writer.hpp"
#include "fslens/lens/finite_sample_lens.hpp"
#include "io/scratch.hpp"

namespace fslens::test {
namespace {

constexpr std::string_view kPlane = R"(
[prior]
atoms = "atoms.npy"
[operator]
kind = "matrix"
matrix = [[1.0, 0.0, 0.0]]
[noise]
sigma = 0.4
[measurement]
y = [0.1]
[grid]
steps = 10
[run]
particles = 10
[modes]
kind = "atoms"
)";

/// The problem whose [prior] names a file with these bytes.
class AtomsFile {
 public:
  explicit AtomsFile(const std::string& bytes) { folder_.write("atoms.npy", bytes); }
  Problem problem(const std::vector<std::string>& overrides = {}) const {
    return build(parse_problem(kPlane, "test.toml", folder_.str(), overrides));
  }

 private:
  ScratchFolder folder_;
};

const AtomTable& table(const Problem& problem) { return static_cast<const FiniteSampleLens&>(*problem.lens).prior().atoms(); }

std::vector<double> values(const AtomTable& atoms) {
  Matrix all(atoms.count(), atoms.dim());
  for (std::size_t i = 0; i < atoms.count(); ++i) atoms.copy_atom(i, all.row(i));
  return {all.values().begin(), all.values().end()};
}

std::string npy_of(const std::string& descr, const std::string& data) {
  return npy_bytes("{'descr': '" + descr + "', 'fortran_order': False, 'shape': (4, 3)} ", data);
}

const std::vector<std::uint8_t> kBytes = {0, 1, 2, 3, 127, 128, 200, 254, 255, 17, 4, 90};

TEST(AtomTypes, ScaledBytesStayBytesAndEqualTheWidenedValues) {
  const AtomsFile file(npy_of("|u1", raw(kBytes)));
  const Problem problem = file.problem({"prior.scale=[-1, 1]"});
  EXPECT_EQ(table(problem).type(), AtomType::uint8);
  EXPECT_EQ(table(problem).bytes(), 12u);
  std::vector<double> expected;
  for (const std::uint8_t byte : kBytes) expected.push_back(-1.0 + 2.0 / 255.0 * byte);
  EXPECT_EQ(values(table(problem)), expected) << "exact in double";

  const AtomsFile widened(npy_of("<f8", raw(expected)));
  const Problem same = widened.problem();
  EXPECT_EQ(table(same).type(), AtomType::float64);
  EXPECT_EQ(problem.lens->log_evidence(), same.lens->log_evidence());
  EXPECT_TRUE(std::ranges::equal(problem.lens->log_weights(Measure::posterior), same.lens->log_weights(Measure::posterior)));
  const LensFields fields = problem.lens->fields(Matrix(2, 3, 0.2), 0.5);
  const LensFields other = same.lens->fields(Matrix(2, 3, 0.2), 0.5);
  for (std::size_t b = 0; b < 2; ++b)
    for (std::size_t k = 0; k < 3; ++k)
      EXPECT_NEAR(fields.posterior_denoiser_mean(b, k), other.posterior_denoiser_mean(b, k), 1e-12);
}

TEST(AtomTypes, BytesOfAnotherRangeAreMappedFromIt) {
  const AtomsFile file(npy_of("|u1", raw(kBytes)));
  const AtomTable atoms = table(file.problem({"prior.scale=[0, 3]", "prior.range=[1, 16]"}));
  EXPECT_EQ(atoms.type(), AtomType::uint8);
  for (std::size_t i = 0; i < kBytes.size(); ++i)
    EXPECT_NEAR(values(atoms)[i], 3.0 * (kBytes[i] - 1.0) / 15.0, 1e-14) << static_cast<int>(kBytes[i]);
}

TEST(AtomTypes, BytesWithoutScaleAreTheNumbersThemselves) {
  const AtomTable atoms = table(AtomsFile(npy_of("|u1", raw(kBytes))).problem());
  EXPECT_EQ(atoms.type(), AtomType::uint8);
  EXPECT_EQ(values(atoms), std::vector<double>(kBytes.begin(), kBytes.end()));
}

TEST(AtomTypes, HalvesStayHalves) {
  // 0.5, −2, the largest and the smallest positive one, and so on: all exact.
  const std::vector<std::uint16_t> halves = {0x3800, 0xc000, 0x7bff, 0x0001, 0x3c00, 0, 0x8000, 0x4248, 0, 0, 0, 0x3555};
  const AtomTable atoms = table(AtomsFile(npy_of("<f2", raw(halves))).problem());
  EXPECT_EQ(atoms.type(), AtomType::float16);
  EXPECT_EQ(values(atoms), (std::vector<double>{0.5, -2, 65504, 0x1p-24, 1, 0, 0, 3.140625, 0, 0, 0, 0.333251953125}));
  const AtomTable scaled = table(AtomsFile(npy_of("<f2", raw(halves))).problem({"prior.scale=[0, 1]", "prior.range=[0, 2]"}));
  EXPECT_EQ(scaled.type(), AtomType::float32) << "halves have no room for scaled values";
  EXPECT_EQ(values(scaled)[7], 1.5703125);
}

TEST(AtomTypes, FloatsAndOtherIntegersAreWhatTheyWere) {
  std::vector<float> floats(12);
  std::iota(floats.begin(), floats.end(), 0.1F);
  const AtomTable single = table(AtomsFile(npy_of("<f4", raw(floats))).problem());
  EXPECT_EQ(single.type(), AtomType::float32);
  EXPECT_EQ(values(single), std::vector<double>(floats.begin(), floats.end()));
  const std::vector<std::int16_t> integers = {0, 100, 1000, -5, 7, 9, 1, 2, 3, 4, 5, 6};
  const AtomTable wide = table(AtomsFile(npy_of("<i2", raw(integers))).problem({"prior.scale=[0, 1]", "prior.range=[0, 1000]"}));
  EXPECT_EQ(wide.type(), AtomType::float64);
  EXPECT_EQ(values(wide)[1], 0.1);
  EXPECT_EQ(values(wide)[2], 1.0);
}

TEST(AtomTypes, TheMeasuredAtomIsLeftOutWhereItLies) {
  const AtomsFile file(npy_of("|u1", raw(kBytes)));
  for (const std::size_t measured : {0u, 1u, 3u}) {
    const AtomTable atoms = table(file.problem({"prior.scale=[0, 255]", "measurement.from_atom=" + std::to_string(measured)}));
    std::vector<double> expected(kBytes.begin(), kBytes.end());
    const auto first = expected.begin() + static_cast<std::ptrdiff_t>(3 * measured);
    expected.erase(first, first + 3);
    EXPECT_EQ(atoms.count(), 3u);
    EXPECT_EQ(values(atoms), expected) << measured;
  }
}

TEST(AtomTypes, WhatIsNotFiniteIsRefusedByItsPlace) {
  std::vector<std::uint16_t> halves(12, 0x3c00);
  halves[7] = 0x7e00;
  const AtomsFile file(npy_of("<f2", raw(halves)));
  expect_contains(message_of<InvalidArgument>([&] { file.problem(); }), "atoms[2][1] = nan");
}

}  // namespace
}  // namespace fslens::test
