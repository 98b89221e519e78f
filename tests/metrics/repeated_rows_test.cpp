#include "fslens/metrics/repeated_rows.hpp"

#include <gtest/gtest.h>

#include "metrics/samples.hpp"

namespace fslens {
namespace {

TEST(RepeatedRows, CountsEveryMemberOfEveryGroup) {
  const Matrix x(7, 2, {1, 2, 3, 4, 1, 2, 1, 3, 3, 4, 1, 2, 9, 9});
  EXPECT_EQ(count_repeated_rows(x), 5u) << "three of (1, 2) and two of (3, 4)";
  EXPECT_EQ(count_repeated_rows(x.view().rows_from(0, 2)), 0u);
  EXPECT_EQ(count_repeated_rows(Matrix(4, 3)), 4u);
  EXPECT_EQ(count_repeated_rows(Matrix(1, 3)), 0u);
}

TEST(RepeatedRows, AgreesWithAllPairs) {
  Matrix x = samples::normal(300, 2, 5);
  for (double& value : x.values()) value = std::round(4.0 * value);
  std::size_t naive = 0;
  for (std::size_t i = 0; i < x.rows(); ++i) {
    bool repeated = false;
    for (std::size_t j = 0; j < x.rows(); ++j) repeated = repeated || (i != j && x(i, 0) == x(j, 0) && x(i, 1) == x(j, 1));
    naive += repeated ? 1 : 0;
  }
  EXPECT_EQ(count_repeated_rows(x), naive);
  EXPECT_GT(naive, 50u);
  EXPECT_LT(naive, 300u);
  EXPECT_EQ(count_repeated_rows(samples::normal(300, 1, 5)), 0u);
}

}  // namespace
}  // namespace fslens
