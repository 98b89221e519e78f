// Analytic priors against reference values in 80-bit arithmetic (tests/golden).
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>

#include "fslens/lens/gaussian_mixture_lens.hpp"
#include "golden/golden_file.hpp"

namespace fslens {
namespace {

std::shared_ptr<const GaussianMixture> read_mixture(const golden::File& file, std::size_t dim) {
  const bool single = file.has("mean");
  Matrix means = file.matrix(single ? "mean" : "means", dim);
  const Matrix flat = file.matrix(single ? "cov" : "covs", dim * dim);
  std::vector<Matrix> covariances;
  for (std::size_t k = 0; k < flat.rows(); ++k)
    covariances.emplace_back(dim, dim, std::vector<double>(flat.row(k).begin(), flat.row(k).end()));
  const std::vector<double> weights = single ? std::vector<double>{} : file.values("weights");
  return std::make_shared<GaussianMixture>(std::move(means), std::move(covariances), weights);
}

class GoldenMixture : public testing::TestWithParam<const char*> {
 protected:
  golden::File file_{GetParam()};
  std::size_t dim_ = file_.array("matrix").shape.at(1);
  std::shared_ptr<const GaussianMixture> mixture_ = read_mixture(file_, dim_);
  Matrix x_ = file_.matrix("x", dim_);
  std::vector<double> times_ = file_.values("t");

  /// References are laid out (T, B, …): the places of the rows at time `i`.
  std::vector<std::size_t> places(std::size_t i) const {
    std::vector<std::size_t> out;
    for (std::size_t b = 0; b < x_.rows(); ++b) out.push_back(i * x_.rows() + b);
    return out;
  }
  void expect(const Matrix& got, std::size_t i, const std::string& key) const {
    golden::expect_rows_near(got, file_.matrix(key, got.cols()), places(i), golden::kDouble, key);
  }
  static Matrix densities(const std::vector<double>& logs) {
    std::vector<double> out;
    for (const double value : logs) out.push_back(std::exp(value));
    return golden::column(std::move(out));
  }
};

TEST_P(GoldenMixture, FieldsAgree) {
  const GaussianMixtureLens lens(mixture_, NoiseSchedule::vp_linear(), golden::likelihood(file_, dim_));
  for (std::size_t i = 0; i < times_.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "t " << times_[i]);
    const LensFields got = lens.fields(x_, times_[i]);
    expect(densities(got.log_prior_density), i, "marginal_density");
    expect(densities(lens.log_prior_density(x_, times_[i])), i, "marginal_density");
    expect(got.prior_score, i, "marginal_score");
    expect(got.denoiser_mean, i, "denoiser_mean");
    expect(densities(got.log_likelihood), i, "likelihood_density");
    expect(got.likelihood_score, i, "likelihood_score");
    expect(densities(got.log_posterior_density), i, "posterior_density");
    expect(got.posterior_score, i, "posterior_score");
  }
}

TEST_P(GoldenMixture, DenoiserCovarianceAgrees) {
  const Matrix want = file_.matrix("denoiser_cov", dim_ * dim_);
  for (std::size_t i = 0; i < times_.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "t " << times_[i]);
    expect(mixture_->denoiser_covariance(NoiseSchedule::vp_linear(), x_, times_[i]), i, "denoiser_cov");
    const std::vector<double> variance = mixture_->fields(NoiseSchedule::vp_linear(), x_, times_[i]).variance;
    for (std::size_t b = 0; b < x_.rows(); ++b) {
      double trace = 0.0;
      for (std::size_t k = 0; k < dim_; ++k) trace += want(i * x_.rows() + b, k * dim_ + k);
      EXPECT_NEAR(variance[b], trace, golden::kDouble * std::max(1.0, trace)) << "row " << b;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenMixture, testing::Values("gaussian_1d", "gaussian_3d", "gmm_1d", "gmm_3d"),
                         golden::test_name);

}  // namespace
}  // namespace fslens
