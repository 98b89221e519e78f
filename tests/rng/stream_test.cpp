// Draws are a function of their address, and the vectorised Box–Muller is the textbook's.
#include "fslens/rng/stream.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "box_muller.hpp"
#include "fslens/core/parallel.hpp"

namespace fslens {
namespace {

TEST(RandomStream, FillsABatchWithTheDrawsOfItsAddresses) {
  for (const std::size_t cols : {1u, 2u, 5u, 64u}) {
    Matrix batch(131, cols);
    RandomStream(3).fill_normal(7, batch);
    for (std::size_t b = 0; b < batch.rows(); ++b)
      for (std::size_t j = 0; j < cols; ++j) ASSERT_EQ(batch(b, j), RandomStream(3).normal(7, b, j)) << b << ", " << j;
  }
}

// `normal` takes its words from Random123, `fill_normal` makes them in vectors.
TEST(RandomStream, FillsABatchAtStepsAndParticlesBeyond32Bits) {
  const std::uint64_t step = 0xfedcba9876543210ULL;
  const RandomStream stream = RandomStream(0xdeadbeefcafef00dULL).from_particle(0x89abcdefULL);
  Matrix batch(40, 19);
  stream.fill_normal(step, batch);
  for (std::size_t b = 0; b < batch.rows(); ++b)
    for (std::size_t j = 0; j < batch.cols(); ++j) ASSERT_EQ(batch(b, j), stream.normal(step, b, j)) << b << ", " << j;
}

TEST(RandomStream, SeenFromALaterParticleHasTheDrawsOfTheWholeBatch) {
  const RandomStream whole(4), part = whole.from_particle(60).from_particle(40);
  Matrix all(300, 5), rows(150, 5);
  whole.fill_normal(2, all);
  part.fill_normal(2, rows);
  for (std::size_t b = 0; b < rows.rows(); ++b) EXPECT_TRUE(std::ranges::equal(rows.row(b), all.row(100 + b))) << b;
  EXPECT_EQ(part.uniform(1, 3, 2), whole.uniform(1, 103, 2));
  EXPECT_EQ(part.child("a", 6).normal(1, 3, 2), whole.child("a", 6).normal(1, 103, 2));
}

TEST(RandomStream, GivesTheSameBitsForEveryNumberOfThreads) {
  Matrix first;
  for (const std::size_t threads : {1u, 2u, 4u}) {
    const ThreadLimit limit(threads);
    Matrix batch(300, 7);
    RandomStream(5).fill_normal(0, batch);
    if (threads == 1) first = batch;
    EXPECT_TRUE(std::ranges::equal(first.values(), batch.values())) << threads << " threads";
  }
}

TEST(RandomStream, HasChildrenByNameAndIndex) {
  const RandomStream stream(11);
  EXPECT_EQ(stream.child("a").uniform(0, 0), stream.child("a").uniform(0, 0));
  EXPECT_NE(stream.child("a").uniform(0, 0), stream.child("b").uniform(0, 0));
  EXPECT_NE(stream.child("a", 0).uniform(0, 0), stream.child("a", 1).uniform(0, 0));
  EXPECT_NE(stream.child("a").uniform(0, 0), stream.uniform(0, 0));
  EXPECT_NE(RandomStream(12).uniform(0, 0), stream.uniform(0, 0));
}

TEST(BoxMuller, AgreesWithTheStandardLibraryToAFewUnitsInTheLastPlace) {
  // From the smallest and the largest draw of 53 bits, and of every remainder of a vector.
  std::vector<double> u{0x1.0p-54, 1.0 - 0x1.0p-54, 0.5, 0.25, 1e-9};
  std::vector<double> v{0x1.0p-54, 1.0 - 0x1.0p-54, 0.25, 0.5, 0.75};
  const RandomStream stream(1);
  for (std::size_t i = 0; i < 4000; ++i) {
    u.push_back(stream.uniform(0, i));
    v.push_back(stream.uniform(1, i));
  }
  std::vector<double> pairs(2 * u.size());
  box_muller(u.data(), v.data(), u.size(), pairs.data());
  for (std::size_t i = 0; i < u.size(); ++i) {
    const double radius = std::sqrt(-2.0 * std::log(u[i]));
    const double angle = 2.0 * std::numbers::pi * v[i];
    EXPECT_NEAR(pairs[2 * i], radius * std::cos(angle), 4e-15 * radius) << u[i] << ", " << v[i];
    EXPECT_NEAR(pairs[2 * i + 1], radius * std::sin(angle), 4e-15 * radius) << u[i] << ", " << v[i];
  }
  for (std::size_t count = 1; count <= 9; ++count) {
    std::vector<double> few(2 * count);
    box_muller(u.data() + 3, v.data() + 3, count, few.data());
    for (std::size_t i = 0; i < few.size(); ++i) EXPECT_EQ(few[i], pairs[6 + i]) << count;
  }
}

}  // namespace
}  // namespace fslens
