// What a problem may not be: every refusal names the key of the problem file that is to blame.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "diagnosis/problems.hpp"
#include "fslens/core/error.hpp"

namespace fslens::test {
namespace {

ArrayRef inline_array(std::vector<std::size_t> shape, std::vector<double> values) {
  ArrayRef ref;
  ref.inline_values = {std::move(shape), std::move(values), ""};
  return ref;
}

ArrayRef row(std::vector<double> values) { return inline_array({values.size()}, values); }

/// A specification changed in code: what a file's reader would have refused must be refused here as well.
struct Refusal {
  std::string_view text;
  std::function<void(ProblemSpec&)> change;
  std::string message;
};

template <class ErrorType = InvalidArgument>
void expect_refusals(const std::vector<Refusal>& refusals) {
  for (const Refusal& refusal : refusals) {
    SCOPED_TRACE(refusal.message);
    ProblemSpec spec = spec_from(refusal.text);
    EXPECT_NO_THROW(build(spec));
    refusal.change(spec);
    try {
      build(spec);
      ADD_FAILURE() << "no error";
    } catch (const ErrorType& error) {
      EXPECT_NE(std::string(error.what()).find(refusal.message), std::string::npos) << error.what();
    }
  }
}

TEST(BuildProblem, NamesWhatIsWrongWithThePrior) {
  expect_refusals({
      {kThreeAtoms,
       [](ProblemSpec& s) {
         s.prior.atoms = row({1.0, 2.0});
       },
       "prior.atoms = shape (2,)"},
      {kThreeAtoms,
       [](ProblemSpec& s) {
         s.prior.atoms = inline_array({0, 1}, {});
       },
       "prior.atoms = shape (0, 1)"},
      {kThreeAtoms,
       [](ProblemSpec& s) {
         s.prior.atoms = inline_array({3, 0}, {});
       },
       "prior.atoms = shape (3, 0)"},
      {kThreeAtoms,
       [](ProblemSpec& s) {
         s.prior.weights = row({1.0, 2.0});
       },
       "prior.weights"},
      {kThreeAtoms, [](ProblemSpec& s) { s.prior.bandwidth = -0.1; }, "prior.bandwidth"},
      {kThreeAtoms,
       [](ProblemSpec& s) {
         s.prior.atoms = inline_array({3, 1}, {1.0, 1.0, 1.0});
         s.prior.bandwidth_by_leave_one_out = true;
       },
       "prior.bandwidth = loo: needs at least two different atoms"},
      {kThreeAtoms,
       [](ProblemSpec& s) {
         s.prior.atoms = inline_array({3, 1}, {1.0, 1.0, 1.0});
         s.prior.bandwidth = 0.2;
         s.prior.kernel = "covariance";
       },
       "prior.kernel = covariance: needs at least two different atoms"},
      {kLabelledPlane,
       [](ProblemSpec& s) {
         s.prior.labels = row({0, 1});
       },
       "labels"},
      {kLabelledPlane, [](ProblemSpec& s) { s.prior.labels = row(std::vector<double>(12, 0.5)); }, "labels[0] = 0.5"},
      {kLabelledPlane, [](ProblemSpec& s) { s.modes.labels = row(std::vector<double>(12, 1e12)); }, "labels[0]"},
      {kGaussian, [](ProblemSpec& s) { s.prior.cov = row({0.6}); }, "prior.cov = shape (1,)"},
  });
}

constexpr std::string_view kMixture = R"(
[prior]
kind = "gmm"
means = [[-1.0, 0.0], [1.5, 0.5]]
covs = [0.16, 0.36]
[operator]
kind = "identity"
[noise]
sigma = 0.3
[measurement]
y = [0.5, 0.1]
)";

TEST(BuildProblem, NamesWhatIsWrongWithAMixture) {
  expect_refusals({
      {kMixture,
       [](ProblemSpec& s) {
         s.prior.means = row({1.0, 2.0});
       },
       "prior.means = shape (2,)"},
      {kMixture,
       [](ProblemSpec& s) {
         s.prior.covs = inline_array({1, 2}, {1, 1});
       },
       "prior.covs = shape (1, 2)"},
      {kMixture,
       [](ProblemSpec& s) {
         s.prior.covs = row({1, 1, 1});
       },
       "prior.covs = shape (3,)"},
      {kMixture,
       [](ProblemSpec& s) {
         s.prior.covs = inline_array({2, 1, 1}, {1, 1});
       },
       "prior.covs = shape (2, 1, 1)"},
      {kMixture, [](ProblemSpec& s) { s.measurement.y.reset(), s.measurement.from_atom = 0; }, "measurement.from_atom"},
      {kMixture, [](ProblemSpec& s) { s.modes.kind = "labels"; }, "modes.kind = labels"},
  });
}

TEST(BuildProblem, NamesWhatIsWrongWithTheMeasurement) {
  expect_refusals({
      {kThreeAtoms, [](ProblemSpec& s) { s.measurement.y.reset(); }, "measurement.y = not given"},
      {kThreeAtoms,
       [](ProblemSpec& s) {
         s.measurement.y = row({1, 2});
       },
       "measurement.y"},
      {kThreeAtoms, [](ProblemSpec& s) { s.measurement.y.reset(), s.measurement.from_atom = 3; },
       "measurement.from_atom = 3"},
      {kThreeAtoms,
       [](ProblemSpec& s) {
         s.prior.atoms = inline_array({1, 1}, {0.5});
         s.prior.complete = false;
         s.measurement.y.reset(), s.measurement.from_atom = 0;
       },
       "prior.atoms = 1 atom"},
      {kThreeAtoms, [](ProblemSpec& s) { s.modes.kind = "labels"; }, "modes.kind = labels"},
  });
}

TEST(BuildProblem, NamesWhatIsWrongWithTheNoise) {
  expect_refusals({
      {kThreeAtoms, [](ProblemSpec& s) { s.noise.kind = "poisson"; }, "noise.kind = poisson"},
      {kThreeAtoms, [](ProblemSpec& s) { s.noise.sigma.reset(); }, "noise.sigma = not given"},
      {kThreeAtoms,
       [](ProblemSpec& s) {
         s.noise.sigma.reset(), s.noise.sigmas = row({1, 2});
       },
       "noise.sigma"},
      {kThreeAtoms,
       [](ProblemSpec& s) {
         s.noise.sigma.reset(), s.noise.covariance = inline_array({2, 2}, {1, 0, 0, 1});
       },
       "noise.covariance = shape (2, 2)"},
  });
}

/// Two atoms of 2×2 pixels, all of them measured.
constexpr std::string_view kImages = R"(
[prior]
atoms = [[0.0, 0.1, 0.2, 0.3], [1.0, 0.9, 0.8, 0.7]]
complete = true
[operator]
kind = "identity"
[noise]
sigma = 0.5
[measurement]
y = [0.0, 0.0, 0.0, 0.0]
)";

TEST(BuildProblem, NamesWhatIsWrongWithTheOperator) {
  const auto with = [](auto change) {
    return [change](ProblemSpec& s) {
      s.forward_operator = {};
      change(s.forward_operator);
    };
  };
  expect_refusals({
      {kImages, with([](OperatorSpec& o) { o.kind = "matrix"; }), "operator.matrix = not given"},
      {kImages, with([](OperatorSpec& o) {
         o.kind = "matrix", o.matrix = inline_array({1, 3}, {1, 1, 1});
       }),
       "operator.matrix = shape (1, 3)"},
      {kImages, with([](OperatorSpec& o) {
         o.kind = "matrix", o.matrix = inline_array({1, 4}, {1, 1, 1, 1}), o.bias = row({1, 2});
       }),
       "operator.bias"},
      {kImages, with([](OperatorSpec& o) { o.kind = "mask"; }), "operator.mask = not given"},
      {kImages, with([](OperatorSpec& o) {
         o.kind = "mask", o.mask = row({1, 1, 0, 0}), o.indices = row({0});
       }),
       "operator.mask = given with indices"},
      {kImages, with([](OperatorSpec& o) { o.kind = "mask", o.indices = row({0.5}); }), "operator.indices = 0.5"},
      {kImages, with([](OperatorSpec& o) { o.kind = "mask", o.indices = row({-1}); }), "operator.indices = -1"},
      {kImages, with([](OperatorSpec& o) { o.kind = "downsample", o.factor = 2; }), "operator.shape = not given"},
      {kImages, with([](OperatorSpec& o) {
         o.kind = "downsample", o.shape = {2, 2};
       }),
       "operator.factor = not given"},
      {kImages, with([](OperatorSpec& o) {
         o.kind = "downsample", o.factor = 2, o.shape = {2, 3};
       }),
       "operator.shape = [2, 3, 1]"},
      {kImages, with([](OperatorSpec& o) {
         o.kind = "blur", o.shape = {2, 2};
       }),
       "operator.kernel = not given"},
      {kImages, with([](OperatorSpec& o) {
         o.kind = "blur", o.shape = {2, 2}, o.sigma = 1.0, o.kernel = row({1});
       }),
       "operator.kernel = given with sigma"},
      {kImages, with([](OperatorSpec& o) {
         o.kind = "blur", o.shape = {2, 2}, o.sigma = 1.0, o.boundary = "zero";
       }),
       "operator.boundary = zero"},
      {kImages, with([](OperatorSpec& o) { o.kind = "clip", o.lo = 0.0; }), "operator.lo"},
      {kImages, with([](OperatorSpec& o) { o.kind = "gaussian-cs"; }), "operator.m = not given"},
      {kImages, with([](OperatorSpec& o) { o.kind = "compose"; }), "operator.operators = empty"},
      {kImages, with([](OperatorSpec& o) { o.kind = "radon"; }), "unknown operator kind (in this version) 'radon'"},
      {kImages, [](ProblemSpec& s) { s.schedule.kind = "linear"; }, "unknown schedule kind 'linear'"},
  });
}

TEST(BuildProblem, NamesChecksAndSpacingsThatDoNotExist) {
  expect_refusals<UsageError>({
      {kThreeAtoms, [](ProblemSpec& s) { s.margins["spraed"] = 1.0; }, "did you mean 'spread'"},
      {kThreeAtoms, [](ProblemSpec& s) { s.grid.spacing = "log"; }, "log"},
      {kThreeAtoms, [](ProblemSpec& s) { s.grid.integrator = "euler"; }, "euler"},
  });
  expect_refusals({{kThreeAtoms, [](ProblemSpec& s) { s.margins["spread"] = -1.0; }, "margins.spread"}});
  // Whose fault an unknown sampler is depends on who named it; that it is named does not.
  expect_refusals<Error>({{kThreeAtoms,
                           [](ProblemSpec& s) {
                             s.samplers.push_back({"pigmd", {}});
                           },
                           "did you mean 'pigdm'"},
                          {kThreeAtoms,
                           [](ProblemSpec& s) {
                             s.samplers.push_back({"pigdm", {{"r3", "flat"}}});
                           },
                           "r3"}});
}

TEST(BuildProblem, BuildsEveryKindOfOperatorThatItNames) {
  const auto outputs = [](const auto& change) {
    ProblemSpec spec = spec_from(kImages);
    spec.forward_operator = {};
    change(spec.forward_operator);
    spec.measurement.y.reset();
    spec.measurement.from_atom = 1;
    return build(spec).likelihood->output_dim();
  };
  EXPECT_EQ(outputs([](OperatorSpec& o) {
              o.kind = "mask", o.mask = inline_array({2, 2}, {1, 0, 1, 0}), o.shape = {2, 2};
            }),
            2u);
  EXPECT_EQ(outputs([](OperatorSpec& o) { o.kind = "mask", o.indices = row({3}); }), 1u);
  EXPECT_EQ(outputs([](OperatorSpec& o) { o.kind = "blur", o.shape = {2, 2}, o.sigma = 0.3; }), 4u);
  EXPECT_EQ(outputs([](OperatorSpec& o) { o.kind = "downsample", o.shape = {2, 2}, o.factor = 2; }), 1u);
  EXPECT_EQ(outputs([](OperatorSpec& o) { o.kind = "gaussian-cs", o.m = 3; }), 3u);
  EXPECT_EQ(outputs([](OperatorSpec& o) { o.kind = "abs"; }), 4u);
  EXPECT_EQ(outputs([](OperatorSpec& o) { o.kind = "clip", o.lo = 0.0, o.hi = 1.0; }), 4u);
  EXPECT_EQ(outputs([](OperatorSpec& o) {
              o.kind = "compose";
              o.operators.resize(2);
              o.operators[0].kind = "downsample", o.operators[0].shape = {2, 2}, o.operators[0].factor = 2;
              o.operators[1].kind = "square";
            }),
            1u);
}

}  // namespace
}  // namespace fslens::test
