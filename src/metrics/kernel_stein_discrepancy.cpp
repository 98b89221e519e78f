#include "fslens/metrics/kernel_stein_discrepancy.hpp"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "fslens/core/error.hpp"
#include "pairwise_tiles.hpp"
#include "sample.hpp"

namespace fslens {

using namespace metrics_internal;

namespace {

using ArrayMap = Eigen::Map<Eigen::ArrayXd>;

Matrix side_by_side(const Matrix& left, const Matrix& right) {
  Matrix both(left.rows(), left.cols() + right.cols());
  for (std::size_t b = 0; b < both.rows(); ++b) {
    std::ranges::copy(left.row(b), both.row(b).begin());
    std::ranges::copy(right.row(b), both.row(b).begin() + static_cast<std::ptrdiff_t>(left.cols()));
  }
  return both;
}

/// The Stein kernel u over tiles of pairs of one sample.
class SteinKernel {
 public:
  SteinKernel(ConstBatchView x, ConstBatchView score, const SteinKernelOptions& options)
      : options_(options),
        x_(x, column_means(x)),
        score_(score, std::vector<double>(score.cols(), 0.0)),
        point_and_score_(side_by_side(x_.points(), score_.points())),
        score_and_point_(side_by_side(score_.points(), x_.points())),
        own_(x.rows()) {
    for (std::size_t b = 0; b < own_.size(); ++b) {
      const auto s = score_.points().row(b);
      own_[b] = std::inner_product(s.begin(), s.end(), x_.points().row(b).begin(), 0.0);
    }
  }

  void fill(Tile tile) const {
    const auto size = static_cast<Eigen::Index>(tile.values.size());
    Eigen::ArrayXd squares(size);
    Eigen::ArrayXd scores(size);
    fill_squared_distances(x_, x_, {tile.row, tile.rows, tile.col, tile.cols, {squares.data(), tile.values.size()}});
    fill_inner_products(score_.points(), score_.points(),
                        {tile.row, tile.rows, tile.col, tile.cols, {scores.data(), tile.values.size()}});
    // (s_y − s_x)·(x − y) = (x·s_y + s_x·y) − s_x·x − s_y·y
    fill_inner_products(point_and_score_, score_and_point_, tile);
    for (std::size_t i = 0; i < tile.rows; ++i)
      for (std::size_t j = 0; j < tile.cols; ++j)
        tile.values[i * tile.cols + j] -= own_[tile.row + i] + own_[tile.col + j];

    const double beta = options_.beta;
    ArrayMap slopes(tile.values.data(), size);
    const Eigen::ArrayXd q = squares + options_.c * options_.c;
    // pow of an array is many times slower than a root, and β = −½ is what is asked for in practice.
    const Eigen::ArrayXd kernel = beta == -0.5 ? Eigen::ArrayXd(q.sqrt().inverse()) : Eigen::ArrayXd(q.pow(beta));
    slopes = kernel *
             (scores + 2.0 * beta / q * (slopes - static_cast<double>(x_.dim()) - 2.0 * (beta - 1.0) * squares / q));
  }

  /// u(x, x) = c^{2β} ‖s‖² − 2βd c^{2(β−1)}
  double diagonal(std::size_t b) const {
    const double c2 = options_.c * options_.c;
    return std::pow(c2, options_.beta) *
           (score_.squared_norm(b) - 2.0 * options_.beta * static_cast<double>(x_.dim()) / c2);
  }

 private:
  SteinKernelOptions options_;
  CentredSample x_;
  CentredSample score_;
  Matrix point_and_score_;
  Matrix score_and_point_;
  std::vector<double> own_;  // s_b · x_b
};

}  // namespace

KernelSteinDiscrepancy kernel_stein_discrepancy(ConstBatchView x, ConstBatchView score,
                                                const SteinKernelOptions& options) {
  require_sample("x", x, 2);
  require_size("score rows", score.rows(), x.rows(), "the rows of x");
  require_size("score columns", score.cols(), x.cols(), "the columns of x");
  require_positive("c", options.c);
  require(options.beta > -1 && options.beta < 0, "beta", fmt::format("{}", options.beta), "must lie in (-1, 0)");
  if (!all_finite(x) || !all_finite(score)) return {kNan, kNan, kNan};

  const SteinKernel kernel(x, score, options);
  std::vector<double> sums = symmetric_sums(x.rows(), [&](Tile tile) { kernel.fill(tile); });
  const double n = static_cast<double>(x.rows());
  double diagonal = 0.0;
  for (std::size_t b = 0; b < x.rows(); ++b) diagonal += kernel.diagonal(b);
  for (double& sum : sums) sum /= n - 1;
  const SampleMoments moments = sample_moments(sums);
  return {moments.mean, ((n - 1) * moments.mean + diagonal / n) / n, 2.0 * std::sqrt(moments.variance / n)};
}

}  // namespace fslens
