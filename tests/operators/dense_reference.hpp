// What the operator tests share: random batches, and dense matrices multiplied the naive way.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "fslens/core/matrix.hpp"
#include "fslens/operators/forward_operator.hpp"
#include "fslens/rng/stream.hpp"
#include "support/expect_invalid.hpp"
#include "support/random_batch.hpp"

namespace fslens::test {

/// a · b by the definition.
inline Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c(a.rows(), b.cols());
  for (std::size_t i = 0; i < a.rows(); ++i)
    for (std::size_t j = 0; j < b.cols(); ++j)
      for (std::size_t k = 0; k < a.cols(); ++k) c(i, j) += a(i, k) * b(k, j);
  return c;
}

inline Matrix transpose(const Matrix& a) {
  Matrix t(a.cols(), a.rows());
  for (std::size_t i = 0; i < a.rows(); ++i)
    for (std::size_t j = 0; j < a.cols(); ++j) t(j, i) = a(i, j);
  return t;
}

inline Matrix apply(const ForwardOperator& forward, const Matrix& x) {
  Matrix y(x.rows(), forward.output_dim(), std::nan(""));
  forward.apply(x, y);
  return y;
}

inline Matrix vjp(const ForwardOperator& forward, const Matrix& x, const Matrix& v) {
  Matrix out(x.rows(), forward.input_dim(), std::nan(""));
  forward.vjp(x, v, out);
  return out;
}

inline void expect_near(const Matrix& got, const Matrix& want, double tolerance) {
  ASSERT_EQ(got.rows(), want.rows());
  ASSERT_EQ(got.cols(), want.cols());
  for (std::size_t i = 0; i < got.rows(); ++i)
    for (std::size_t j = 0; j < got.cols(); ++j) ASSERT_NEAR(got(i, j), want(i, j), tolerance) << i << ", " << j;
}

inline double max_difference(const Matrix& a, const Matrix& b) {
  double largest = 0.0;
  for (std::size_t k = 0; k < a.size(); ++k) largest = std::max(largest, std::abs(a.values()[k] - b.values()[k]));
  return largest;
}

/// `forward` is x ↦ dense · x, and its vjp is v ↦ denseᵀ · v.
inline void expect_is_matrix(const ForwardOperator& forward, const Matrix& dense, double tolerance) {
  ASSERT_TRUE(forward.is_affine());
  ASSERT_EQ(forward.output_dim(), dense.rows());
  ASSERT_EQ(forward.input_dim(), dense.cols());
  const Matrix x = random_batch(5, dense.cols(), 11);
  const Matrix v = random_batch(5, dense.rows(), 12);
  expect_near(apply(forward, x), product(x, transpose(dense)), tolerance);
  expect_near(vjp(forward, x, v), product(v, dense), tolerance);
  expect_near(forward.linear_part(), dense, tolerance);
}

}  // namespace fslens::test
