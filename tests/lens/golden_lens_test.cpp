// The finite-sample lens against reference values in 80-bit arithmetic (tests/golden).
#include <gtest/gtest.h>

#include <string>

#include "fslens/lens/finite_sample_lens.hpp"
#include "golden/golden_file.hpp"

namespace fslens {
namespace {

/// One field of the lens at some states, under the name that the reference files give it.
struct Field {
  std::string key;
  Matrix value;               ///< [B, d] or [B, 1]
  std::vector<double> bound;  ///< on its error [B]
};

std::vector<Field> fields_of(const LensFields& got) {
  using golden::column;
  return {{"denoiser_mean", got.denoiser_mean, got.denoiser_mean_error},
          {"denoiser_variance", column(got.denoiser_variance), got.denoiser_variance_error},
          {"prior_score", got.prior_score, got.prior_score_error},
          {"log_prior_density", column(got.log_prior_density), got.log_prior_density_error},
          {"posterior_denoiser_mean", got.posterior_denoiser_mean, got.posterior_denoiser_mean_error},
          {"posterior_denoiser_variance", column(got.posterior_denoiser_variance), got.posterior_denoiser_variance_error},
          {"posterior_score_lens", got.posterior_score, got.posterior_score_error},
          {"log_posterior_density", column(got.log_posterior_density), got.log_posterior_density_error},
          {"likelihood_score_lens", got.likelihood_score, got.likelihood_score_error},
          {"log_likelihood_lens", column(got.log_likelihood), got.log_likelihood_error}};
}

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
      for (const Field& field : fields_of(lens.fields(slice.x, slice.t)))
        golden::expect_rows_near(field.value, file_.matrix(field.key, field.value.cols()), slice.rows, tolerance, field.key);
    }
  }

  /// Each field is within its bound of the reference. Allowed beside it: one rounding of the reference, and that the reference's
  /// a(t) and s²(t) are not rounded to float64, as those are that the bounds take for exact: a few units of the clock.
  void expect_bounds(double asked) const {
    constexpr double kLater = 1e-7, kClock = 0x1p-50;
    const FiniteSampleLens lens = golden::lens(file_, {asked}), precise = golden::lens(file_);
    for (const golden::TimeSlice& slice : slices_) {
      SCOPED_TRACE(testing::Message() << "t " << slice.t);
      const auto got = fields_of(lens.fields(slice.x, slice.t)), now = fields_of(precise.fields(slice.x, slice.t)),
                 later = fields_of(precise.fields(slice.x, slice.t * (1.0 + kLater)));
      for (std::size_t f = 0; f < got.size(); ++f) {
        const Matrix want = file_.matrix(got[f].key, got[f].value.cols());
        ASSERT_EQ(got[f].bound.size(), slice.rows.size()) << got[f].key;
        for (std::size_t i = 0; i < slice.rows.size(); ++i) {
          const auto reference = want.row(slice.rows[i]);
          const double change = distance(later[f].value.row(i), now[f].value.row(i)) / kLater;
          const double size = distance(reference, std::vector<double>(reference.size()));
          EXPECT_LE(distance(got[f].value.row(i), reference), got[f].bound[i] + 0x1p-53 * size + kClock * change)
              << got[f].key << " row " << slice.rows[i];
        }
      }
    }
  }

 private:
  static double distance(std::span<const double> left, std::span<const double> right) {
    double sum = 0.0;
    for (std::size_t k = 0; k < left.size(); ++k) sum += (left[k] - right[k]) * (left[k] - right[k]);
    return std::sqrt(sum);
  }
};

TEST_P(GoldenLens, BoundsHoldTheReferencesInDoublePrecision) { expect_bounds(kDoubleTolerance); }

TEST_P(GoldenLens, BoundsHoldTheReferencesInSinglePrecision) { expect_bounds(kSingleTolerance); }

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
