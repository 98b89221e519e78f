// Guidance over the exact denoiser of the atoms, against reference values in 80-bit arithmetic (tests/golden).
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "fslens/guidance/dmps.hpp"
#include "fslens/guidance/dps_sigma.hpp"
#include "fslens/guidance/dps_zeta.hpp"
#include "fslens/guidance/lens_guidance.hpp"
#include "fslens/guidance/pigdm.hpp"
#include "fslens/guidance/tmpd.hpp"
#include "fslens/lens/finite_sample_lens.hpp"
#include "golden/golden_file.hpp"

namespace fslens {
namespace {

constexpr double kDifference = 1e-7;

class GoldenGuidance : public testing::TestWithParam<const char*> {
 protected:
  golden::File file_{GetParam()};
  FiniteSampleLens lens_ = golden::lens(file_);

  void expect_score(const Guidance& guidance, const std::string& key) const {
    ASSERT_TRUE(file_.has(key));
    expect_score(guidance, file_.matrix(key, lens_.dim()), key);
  }
  void expect_score(const Guidance& guidance, const Matrix& want, const std::string& key) const {
    const std::size_t dim = lens_.dim();
    const auto denoiser = lens_.denoiser(Measure::prior);
    for (const golden::TimeSlice& slice : golden::slices(file_.matrix("x", dim), file_.values("t"))) {
      SCOPED_TRACE(testing::Message() << "t " << slice.t);
      Matrix mean(slice.x.rows(), dim), score(slice.x.rows(), dim);
      denoiser->denoise(slice.x, slice.t, mean);
      guidance.score(*denoiser, lens_.likelihood(), slice.x, slice.t, mean, score);
      golden::expect_rows_near(score, want, slice.rows, golden::kDouble, key);
      // The way of the samplers, mean and product from one call: (m̂ − m) a/s² is the score again, less the digits that the
      // difference costs.
      Matrix guided(slice.x.rows(), dim);
      guidance.guided_mean(*denoiser, lens_.likelihood(), slice.x, slice.t, guided);
      const double scale = denoiser->schedule().a(slice.t) / denoiser->schedule().s2(slice.t);
      for (std::size_t k = 0; k < guided.size(); ++k)
        guided.values()[k] = scale * (guided.values()[k] - mean.values()[k]);
      golden::expect_rows_near(guided, want, slice.rows, kDifference, key + ", guided");
    }
  }
};

TEST_P(GoldenGuidance, DpsSigmaAgrees) { expect_score(DpsSigmaGuidance(), "likelihood_score_dps_sigma"); }

// A residual that is 0 to rounding (1e-10 of ‖y‖; 4.4e-11 in a row of tri_atoms_1d) has no direction: the score is 0 there,
// in the reference and here.
TEST_P(GoldenGuidance, DpsZetaAgrees) {
  expect_score(DpsZetaGuidance({.zeta = file_.number("zeta")}), "likelihood_score_dps_zeta");
}

TEST_P(GoldenGuidance, ConditionalDenoiserGuidanceIsTheLens) {
  expect_score(ConditionalDenoiserGuidance(lens_.denoiser(Measure::posterior)), "likelihood_score_lens");
}

// ‖r‖ is what dps-zeta divides by: it is 0 on some rows of some files.
TEST_P(GoldenGuidance, ResidualOfTheDenoiserAgrees) {
  const std::size_t dim = lens_.dim();
  for (const golden::TimeSlice& slice : golden::slices(file_.matrix("x", dim), file_.values("t"))) {
    Matrix mean(slice.x.rows(), dim), residual(slice.x.rows(), lens_.likelihood().output_dim());
    lens_.denoiser(Measure::prior)->denoise(slice.x, slice.t, mean);
    lens_.likelihood().residual(mean, residual);
    std::vector<double> norms;
    for (std::size_t b = 0; b < residual.rows(); ++b) {
      double sum = 0.0;
      for (const double r : residual.row(b)) sum += r * r;
      norms.push_back(std::sqrt(sum));
    }
    golden::expect_rows_near(golden::column(norms), file_.matrix("residual_norm", 1), slice.rows, golden::kDouble,
                             "residual_norm");
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenGuidance,
                         testing::Values("tri_atoms_1d", "clusters_2d", "clusters_8d", "clusters_64d", "square_4d"),
                         golden::test_name);

class GoldenAffineGuidance : public GoldenGuidance {};

TEST_P(GoldenAffineGuidance, PigdmFlatAgrees) {
  expect_score(PigdmGuidance({.r2 = PigdmVariance::flat}), "likelihood_score_pigdm_flat");
}

TEST_P(GoldenAffineGuidance, PigdmUnitAgrees) {
  expect_score(PigdmGuidance({.r2 = PigdmVariance::unit}), "likelihood_score_pigdm_unit");
}

TEST_P(GoldenAffineGuidance, TmpdAgrees) { expect_score(TmpdGuidance(), "likelihood_score_tmpd"); }

TEST_P(GoldenAffineGuidance, DmpsAgrees) { expect_score(DmpsGuidance(), "likelihood_score_dmps"); }

INSTANTIATE_TEST_SUITE_P(Files, GoldenAffineGuidance,
                         testing::Values("tri_atoms_1d", "clusters_2d", "clusters_8d", "clusters_64d"),
                         golden::test_name);

}  // namespace
}  // namespace fslens
