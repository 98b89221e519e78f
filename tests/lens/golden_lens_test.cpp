// The finite-sample lens against reference values in 80-bit arithmetic (tests/golden).
#include <gtest/gtest.h>

#include <string>

#include "fslens/lens/finite_sample_lens.hpp"
#include "golden/golden_file.hpp"

namespace fslens {
namespace {

class GoldenLens : public testing::TestWithParam<const char*> {
 protected:
  golden::File file_{GetParam()};
  std::size_t dim_ = file_.array("atoms").shape.at(1);
  Matrix x_ = file_.matrix("x", dim_);
  std::vector<golden::TimeSlice> slices_ = golden::slices(x_, file_.values("t"));

  void expect_fields(double asked, double tolerance) const {
    const FiniteSampleLens lens = golden::lens(file_, {asked});
    for (const golden::TimeSlice& slice : slices_) {
      SCOPED_TRACE(testing::Message() << "t " << slice.t);
      const LensFields got = lens.fields(slice.x, slice.t);
      const auto expect = [&](const Matrix& value, const std::string& key) {
        golden::expect_rows_near(value, file_.matrix(key, value.cols()), slice.rows, tolerance, key);
      };
      expect(got.denoiser_mean, "denoiser_mean");
      expect(golden::column(got.denoiser_variance), "denoiser_variance");
      expect(got.prior_score, "prior_score");
      expect(golden::column(got.log_prior_density), "log_prior_density");
      expect(got.posterior_denoiser_mean, "posterior_denoiser_mean");
      expect(golden::column(got.posterior_denoiser_variance), "posterior_denoiser_variance");
      expect(got.posterior_score, "posterior_score_lens");
      expect(golden::column(got.log_posterior_density), "log_posterior_density");
      expect(got.likelihood_score, "likelihood_score_lens");
      expect(golden::column(got.log_likelihood), "log_likelihood_lens");
    }
  }
};

TEST_P(GoldenLens, FieldsAgreeInDoublePrecision) { expect_fields(kDoubleTolerance, golden::kDouble); }

TEST_P(GoldenLens, FieldsAgreeInSinglePrecision) { expect_fields(kSingleTolerance, golden::kSingle); }

TEST_P(GoldenLens, EvidenceAndPosteriorWeightsAgree) {
  const FiniteSampleLens lens = golden::lens(file_);
  EXPECT_NEAR(lens.log_evidence(), file_.number("log_evidence"),
              golden::kDouble * std::max(1.0, std::abs(file_.number("log_evidence"))));
  const std::vector<double> want = file_.values("log_posterior_weights");
  ASSERT_EQ(lens.log_weights(Measure::posterior).size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i)
    EXPECT_NEAR(lens.log_weights(Measure::posterior)[i], want[i], golden::kDouble * std::max(1.0, std::abs(want[i])))
        << "atom " << i;
}

TEST_P(GoldenLens, ScheduleAgrees) {
  const NoiseSchedule schedule = golden::schedule(file_);
  const std::vector<double> t = file_.values("t"), alpha_bar = file_.values("alpha_bar");
  for (std::size_t b = 0; b < t.size(); ++b)
    EXPECT_NEAR(schedule.a(t[b]) * schedule.a(t[b]), alpha_bar[b], golden::kDouble) << "t " << t[b];
}

// The denoisers that samplers are given, and the density alone, must be those of the fields.
TEST_P(GoldenLens, DenoisersAndDensityAloneAgree) {
  const FiniteSampleLens lens = golden::lens(file_);
  for (const golden::TimeSlice& slice : slices_) {
    SCOPED_TRACE(testing::Message() << "t " << slice.t);
    Matrix mean(slice.x.rows(), dim_);
    lens.denoiser(Measure::prior)->denoise(slice.x, slice.t, mean);
    golden::expect_rows_near(mean, file_.matrix("denoiser_mean", dim_), slice.rows, golden::kDouble, "denoiser_mean");
    lens.denoiser(Measure::posterior)->denoise(slice.x, slice.t, mean);
    golden::expect_rows_near(mean, file_.matrix("posterior_denoiser_mean", dim_), slice.rows, golden::kDouble,
                             "posterior_denoiser_mean");
    lens.denoiser(Measure::posterior, {kSingleTolerance})->denoise(slice.x, slice.t, mean);
    golden::expect_rows_near(mean, file_.matrix("posterior_denoiser_mean", dim_), slice.rows, golden::kSingle,
                             "posterior_denoiser_mean, single precision");
    golden::expect_rows_near(golden::column(lens.log_prior_density(slice.x, slice.t)),
                             file_.matrix("log_prior_density", 1), slice.rows, golden::kDouble, "log_prior_density");
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenLens,
                         testing::Values("tri_atoms_1d", "clusters_2d", "clusters_8d", "clusters_64d", "square_4d"),
                         golden::test_name);

}  // namespace
}  // namespace fslens
