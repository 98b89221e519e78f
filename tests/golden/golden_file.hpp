// Reads the reference values of tests/golden and states their tolerance.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "fslens/core/matrix.hpp"
#include "fslens/diffusion/schedule.hpp"
#include "fslens/io/array.hpp"
#include "fslens/lens/finite_sample_lens.hpp"
#include "fslens/operators/elementwise.hpp"
#include "fslens/operators/matrix.hpp"

namespace fslens::golden {

/// The README's tolerance: |value − reference| ≤ kDouble · max(1, largest |reference| in its row).
inline constexpr double kDouble = 1e-9;
/// What a lens with kSingleTolerance is held to, in the same form.
inline constexpr double kSingle = 1e-4;

/// One reference file.
class File {
 public:
  explicit File(const std::string& name) : path_(std::string(FSLENS_SOURCE_DIR) + "/tests/golden/" + name + ".npz") {
    const std::vector<std::string> keys = list_arrays(path_);
    keys_.assign(keys.begin(), keys.end());
  }

  bool has(const std::string& key) const { return std::ranges::find(keys_, key) != keys_.end(); }
  NumericArray array(const std::string& key) const { return read_array(path_ + ":" + key); }
  std::vector<double> values(const std::string& key) const { return array(key).to_double(); }
  double number(const std::string& key) const { return values(key).at(0); }
  /// The array as rows of `cols` numbers, whatever its shape is.
  Matrix matrix(const std::string& key, std::size_t cols) const {
    std::vector<double> all = values(key);
    const std::size_t rows = all.size() / cols;
    return Matrix(rows, cols, std::move(all));
  }

 private:
  std::string path_;
  std::vector<std::string> keys_;
};

/// The operator of the file: its matrix and bias, or the square where it has none.
inline std::shared_ptr<const Likelihood> likelihood(const File& file, std::size_t dim) {
  ForwardOperatorPtr forward = std::make_shared<SquareOperator>(dim);
  if (file.has("matrix")) forward = std::make_shared<MatrixOperator>(file.matrix("matrix", dim), file.values("bias"));
  const std::vector<double> y = file.values("y");
  return std::make_shared<Likelihood>(forward, GaussianNoise::scalar(y.size(), file.number("noise_scale")), y);
}

inline NoiseSchedule schedule(const File& file) {
  return NoiseSchedule::vp_linear({.beta_min = file.number("beta_min"), .beta_max = file.number("beta_max")});
}

inline std::shared_ptr<const EmpiricalPrior> prior(const File& file) {
  const NumericArray atoms = file.array("atoms");
  return std::make_shared<EmpiricalPrior>(AtomTable(atoms.to_double(), atoms.shape.at(0), atoms.shape.at(1)));
}

inline FiniteSampleLens lens(const File& file, AssignmentOptions options = {}) {
  auto atoms = prior(file);
  const std::size_t dim = atoms->dim();
  return FiniteSampleLens(std::move(atoms), schedule(file), likelihood(file, dim), options);
}

/// The states of one time, copied out of x (a batch has one t), and which rows they were.
struct TimeSlice {
  double t;
  std::vector<std::size_t> rows;
  Matrix x;
};
inline std::vector<TimeSlice> slices(const Matrix& x, const std::vector<double>& times) {
  std::vector<TimeSlice> out;
  for (std::size_t b = 0; b < times.size(); ++b) {
    auto slice = std::ranges::find(out, times[b], &TimeSlice::t);
    if (slice == out.end()) slice = out.insert(out.end(), TimeSlice{times[b], {}, {}});
    slice->rows.push_back(b);
  }
  for (TimeSlice& slice : out) {
    slice.x = Matrix(slice.rows.size(), x.cols());
    for (std::size_t i = 0; i < slice.rows.size(); ++i) std::ranges::copy(x.row(slice.rows[i]), slice.x.row(i).begin());
  }
  return out;
}

inline std::string test_name(const testing::TestParamInfo<const char*>& file) { return file.param; }

inline Matrix column(std::vector<double> values) {
  const std::size_t rows = values.size();
  return Matrix(rows, 1, std::move(values));
}

/// Row i of `got` is held against row places[i] of `want`. Not a number is never near anything.
inline void expect_rows_near(const Matrix& got, const Matrix& want, const std::vector<std::size_t>& places,
                             double tolerance, const std::string& key) {
  ASSERT_EQ(got.rows(), places.size()) << key;
  ASSERT_EQ(got.cols(), want.cols()) << key;
  for (std::size_t i = 0; i < places.size(); ++i) {
    double scale = 1.0;
    for (const double value : want.row(places[i])) scale = std::max(scale, std::abs(value));
    for (std::size_t k = 0; k < want.cols(); ++k)
      EXPECT_NEAR(got(i, k), want(places[i], k), tolerance * scale) << key << " row " << places[i] << " column " << k;
  }
}

}  // namespace fslens::golden
