// Every rule of a problem file, broken once, with the message that its author reads.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "fslens/io/problem_file.hpp"
#include "io/scratch.hpp"

namespace fslens {
namespace {

using namespace fslens::test;

struct Tables {
  std::string top = "";
  std::string prior = "atoms = \"a.npy\"";
  std::string schedule = "kind = \"vp-linear\"";
  std::string forward_operator = "kind = \"identity\"";
  std::string noise = "sigma = 0.3";
  std::string measurement = "y = [1]";
  std::string rest = "";
};

/// Each table's first key stands on the line after its header: [prior] on 2, [schedule] on 4 (if the prior has one
/// line) ….
std::string text_of(const Tables& tables) {
  return tables.top + "[prior]\n" + tables.prior + "\n[schedule]\n" + tables.schedule + "\n[operator]\n" +
         tables.forward_operator + "\n[noise]\n" + tables.noise + "\n[measurement]\n" + tables.measurement + "\n" +
         tables.rest;
}

std::string problem_complaint(const Tables& tables) {
  return message_of<DataError>([&] { parse_problem(text_of(tables), "p.toml", "."); });
}
std::string prior_complaint(const std::string& lines) { return problem_complaint({.prior = lines}); }
std::string schedule_complaint(const std::string& lines) { return problem_complaint({.schedule = lines}); }
std::string operator_complaint(const std::string& lines) { return problem_complaint({.forward_operator = lines}); }
std::string noise_complaint(const std::string& lines) { return problem_complaint({.noise = lines}); }
std::string measurement_complaint(const std::string& lines) { return problem_complaint({.measurement = lines}); }
std::string rest_complaint(const std::string& lines) { return problem_complaint({.rest = lines}); }

TEST(ProblemErrors, StartFromAFileThatIsRight) { EXPECT_NO_THROW(parse_problem(text_of({}), "p.toml", ".")); }

TEST(ProblemErrors, SyntaxNamesLineAndColumn) {
  const auto message = message_of<DataError>([] { parse_problem("[prior]\natoms = = 3\n", "p.toml", "."); });
  expect_contains(message, "p.toml:2:9: TOML syntax: ");
  expect_contains(rest_complaint("[noise]\n"), "p.toml:11:");  // a table given twice
  expect_contains(message_of<DataError>([] { parse_problem("a = \xff", "p.toml", "."); }), "TOML syntax");
}

TEST(ProblemErrors, UnknownNamesComeWithTheNearestKnown) {
  expect_contains(problem_complaint({.top = "titel = \"x\"\n"}), "p.toml:1: unknown key 'titel' (did you mean 'title'?)");
  expect_contains(rest_complaint("[gird]\nsteps = 3"), "p.toml:11: unknown table 'gird' (did you mean 'grid'?)");
  expect_contains(prior_complaint("atoms = \"a.npy\"\nwieghts = [1]"),
                  "p.toml:3: unknown key in [prior] 'wieghts' (did you mean 'weights'?)");
  expect_contains(prior_complaint("kind = \"gausian\""), "p.toml:2: unknown prior.kind 'gausian' (did you mean");
  expect_contains(schedule_complaint("kind = \"vp-liner\""),
                  "p.toml:4: unknown schedule.kind 'vp-liner' (did you mean 'vp-linear'?)");
  expect_contains(operator_complaint("kind = \"matrx\""),
                  "p.toml:6: unknown operator.kind 'matrx' (did you mean 'matrix'?)");
  expect_contains(noise_complaint("kind = \"gausian\"\nsigma = 1"),
                  "unknown noise.kind 'gausian' (did you mean 'gaussian'?)");
  expect_contains(rest_complaint("[grid]\nspacing = \"unform\""),
                  "p.toml:12: unknown grid.spacing 'unform' (did you mean 'uniform'?)");
  expect_contains(rest_complaint("[grid]\nintegrator = \"huen\""),
                  "unknown grid.integrator 'huen' (did you mean 'heun'?)");
  expect_contains(rest_complaint("[margins]\nmodeweights = 0.1"),
                  "unknown key in [margins] 'modeweights' (did you mean 'mode-weights'?)");
  expect_contains(rest_complaint("[run]\nprecision = \"f16\""), "unknown run.precision 'f16'");
  expect_contains(rest_complaint("[run]\ntolerence = 1e-6"), "unknown key in [run] 'tolerence' (did you mean 'tolerance'?)");
  expect_contains(rest_complaint("[modes]\nkind = \"kmeans\""), "unknown modes.kind 'kmeans'");
  expect_contains(prior_complaint("atoms = \"a\"\nkernel = \"box\""), "unknown prior.kernel 'box'");
}

TEST(ProblemErrors, KeysMustBelongToTheKind) {
  expect_contains(
      schedule_complaint("kind = \"ve\"\nbeta_min = 0.1"),
      "p.toml:5: schedule.beta_min = 0.1: does not belong to kind \"ve\", which takes: sigma_min, sigma_max, rho");
  expect_contains(schedule_complaint("kind = \"flow\"\nsigma = 1"), "which takes: no other keys");
  expect_contains(schedule_complaint("betas = [0.1]"), "does not belong to kind \"vp-linear\"");
  expect_contains(prior_complaint("kind = \"gaussian\"\natoms = \"a.npy\""),
                  "prior.atoms = \"a.npy\": does not belong to kind \"gaussian\"");
  expect_contains(operator_complaint("kind = \"identity\"\nmatrix = [[1]]"),
                  "operator.matrix = [[1]]: does not belong to kind \"identity\"");
}

TEST(ProblemErrors, WrongTypesNameKeyLineAndWhatIsExpected) {
  expect_contains(rest_complaint("[grid]\nsteps = \"many\""), "p.toml:12: grid.steps = \"many\": expected an integer");
  expect_contains(rest_complaint("[grid]\nsteps = 500.0"), "grid.steps = 500: expected an integer");
  expect_contains(rest_complaint("[grid]\nt_min = true"), "grid.t_min = true: expected a number");
  expect_contains(rest_complaint("[grid]\nt_min = 2020-01-01"), "grid.t_min = a date or time: expected a number");
  expect_contains(rest_complaint("[run]\ntolerance = \"f32\""), "p.toml:12: run.tolerance = \"f32\": expected a number");
  expect_contains(rest_complaint("[run]\nexact_scan = 1"), "run.exact_scan = 1: expected true or false");
  expect_contains(rest_complaint("[grid]\nspacing = 3"), "grid.spacing = 3: expected a string");
  expect_contains(problem_complaint({.top = "title = 3\n"}), "p.toml:1: title = 3: expected a string");
  expect_contains(prior_complaint("atoms = 3"),
                  "p.toml:2: prior.atoms = 3: expected a file name or an array of numbers");
  expect_contains(prior_complaint("atoms = \"\""), "expected a file name");
  expect_contains(prior_complaint("atoms = \"a\"\ncomplete = 1"), "prior.complete = 1: expected true or false");
  expect_contains(prior_complaint("atoms = \"a\"\nscale = 1"), "prior.scale = 1: expected two numbers [low, high]");
  expect_contains(prior_complaint("atoms = \"a.csv\"\ncolumns = [0.5, 1]"),
                  "prior.columns = [0.5, 1]: expected two integers [first, last]");
  expect_contains(message_of<DataError>([] { parse_problem("grid = 3\n" + text_of({}), "p.toml", "."); }),
                  "p.toml:1: grid = 3: expected a table");
  expect_contains(rest_complaint("[sampler]\nname = \"dps\""),
                  "sampler: expected an array of tables, written [[sampler]]");
  expect_contains(rest_complaint("[[sampler]]\nname = \"dps\"\nzeta = [1]"),
                  "sampler[0].zeta = [1]: expected a string, a number, true or false");
  expect_contains(problem_complaint({.top = "sampler = [1]\n"}), "sampler[0] = 1: expected a table");
  expect_contains(operator_complaint("kind = \"compose\"\noperators = [1]"),
                  "operator.operators[0] = 1: expected a table");
  expect_contains(operator_complaint("kind = \"blur\"\nshape = 8\nsigma = 1"),
                  "operator.shape = 8: expected [h, w] or [h, w, c]");
}

TEST(ProblemErrors, InlineArraysAreRectangularFiniteAndNotEmpty) {
  expect_contains(prior_complaint("atoms = []"), "prior.atoms = []: an array must not be empty");
  expect_contains(prior_complaint("atoms = [[1, 2],\n[3]]"),
                  "p.toml:3: prior.atoms: ragged array: expected 2 entries as in the first row, found 1");
  expect_contains(prior_complaint("atoms = [[1], 2]"), "ragged array: expected 1 entries as in the first row, found 2");
  expect_contains(prior_complaint("atoms = [1, [2]]"), "prior.atoms: [2] among the numbers");
  expect_contains(prior_complaint("atoms = [1, \"b\"]"),
                  "prior.atoms: \"b\" among the numbers: expected finite numbers");
  expect_contains(prior_complaint("atoms = [1, nan]"), "prior.atoms: nan among the numbers");
  expect_contains(prior_complaint("atoms = [9007199254740993]"), "among the numbers");
  expect_contains(prior_complaint("atoms = [[[[[[[[[1]]]]]]]]]"), "nested 8 deep at most");
}

TEST(ProblemErrors, WhatIsNeededIsAskedFor) {
  expect_contains(message_of<DataError>([] { parse_problem("", "p.toml", "."); }),
                  "p.toml: the table [prior] is missing");
  expect_contains(prior_complaint(""), "p.toml:1: [prior]: atoms is missing: a prior of kind \"atoms\" needs them");
  expect_contains(prior_complaint("kind = \"gaussian\"\nmean = [0]"), "[prior]: cov is missing");
  expect_contains(prior_complaint("kind = \"gmm\"\ncovs = [1]"), "[prior]: means is missing");
  expect_contains(operator_complaint(""), "[operator]: kind is missing; known: identity, matrix");
  expect_contains(operator_complaint("kind = \"matrix\""), "[operator]: matrix is missing");
  expect_contains(operator_complaint("kind = \"downsample\"\nfactor = 2"), "[operator]: shape is missing");
  expect_contains(operator_complaint("kind = \"downsample\"\nshape = [4, 4]"), "[operator]: factor is missing");
  expect_contains(operator_complaint("kind = \"gaussian-cs\""), "[operator]: m is missing");
  expect_contains(operator_complaint("kind = \"clip\"\nlo = 0"), "[operator]: hi is missing");
  expect_contains(operator_complaint("kind = \"compose\""), "[operator]: operators is missing");
  expect_contains(operator_complaint("kind = \"mask\""),
                  "[operator]: exactly one of indices, mask must be given, found none");
  expect_contains(noise_complaint(""), "[noise]: exactly one of sigma, covariance must be given, found none");
  expect_contains(noise_complaint("sigma = 1\ncovariance = [[1]]"), "found sigma and covariance");
  expect_contains(measurement_complaint("noise_seed = 1"),
                  "[measurement]: exactly one of y, from_atom, from_prior must be given, found none");
  expect_contains(measurement_complaint("y = [1]\nfrom_atom = 3"), "found y and from_atom");
  expect_contains(rest_complaint("[[sampler]]\nzeta = 1"), "p.toml:11: [sampler[0]]: name is missing");
}

TEST(ProblemErrors, NoiseOfOtherKindsIsRefusedByName) {
  for (const std::string kind : {"poisson", "laplace", "student-t"})
    expect_contains(
        noise_complaint("kind = \"" + kind + "\""),
        "p.toml:8: noise.kind = \"" + kind + "\": this noise is not available; the only one is \"gaussian\"");
}

TEST(ProblemErrors, NumbersKeepTheirRanges) {
  expect_contains(rest_complaint("[grid]\nsteps = 0"), "p.toml:12: grid.steps = 0: must be >= 1");
  expect_contains(rest_complaint("[grid]\nsteps = -5"), "grid.steps = -5: must be >= 1");
  expect_contains(rest_complaint("[grid]\nt_min = 0"), "grid.t_min = 0: must be > 0");
  expect_contains(rest_complaint("[grid]\nt_min = 0.5\nt_max = 0.5"),
                  "p.toml:12: grid.t_min = 0.5: t_min must be < t_max; they are 0.5 and 0.5");
  expect_contains(rest_complaint("[grid]\nt_max = 0.001"),
                  "p.toml:12: grid.t_max = 0.001: t_min must be < t_max; they are 0.01 and 0.001");
  expect_contains(rest_complaint("[grid]\nt_max = inf"), "grid.t_max = inf: must be finite");
  expect_contains(rest_complaint("[grid]\neta = 1.5"), "grid.eta = 1.5: must lie in [0, 1]");
  expect_contains(rest_complaint("[run]\nparticles = 0"), "run.particles = 0: must be >= 1");
  expect_contains(rest_complaint("[run]\nseed = -1"), "run.seed = -1: must be >= 0");
  expect_contains(rest_complaint("[run]\nrecord = 0"), "run.record = 0: must be >= 1");
  expect_contains(rest_complaint("[run]\ntolerance = 0"), "p.toml:12: run.tolerance = 0: must lie in (0, 0.1]");
  expect_contains(rest_complaint("[run]\ntolerance = -1e-6"), "run.tolerance = -1e-06: must lie in (0, 0.1]");
  expect_contains(rest_complaint("[run]\ntolerance = 0.2"), "run.tolerance = 0.2: must lie in (0, 0.1]");
  expect_contains(rest_complaint("[run]\ntolerance = inf"), "run.tolerance = inf: must be finite");
  expect_contains(rest_complaint("[modes]\nt = 0"), "modes.t = 0: must be > 0");
  expect_contains(rest_complaint("[margins]\nspread = -0.1"), "margins.spread = -0.1: must be >= 0");
  expect_contains(noise_complaint("sigma = 0"), "p.toml:8: noise.sigma = 0: must be > 0");
  expect_contains(noise_complaint("sigma = nan"), "noise.sigma = nan: must be finite");
  expect_contains(noise_complaint("sigma = [0.1, -0.2]"), "noise.sigma[1] = -0.2: must be > 0");
  expect_contains(noise_complaint("covariance = [[1, 0]]"), "must be a square matrix (m, m)");
  expect_contains(measurement_complaint("from_atom = -1"), "measurement.from_atom = -1: must be >= 0");
  expect_contains(measurement_complaint("from_prior = false"),
                  "measurement.from_prior = false: must be true where it is given");
  expect_contains(rest_complaint("[[sampler]]\nname = \"\""), "sampler[0].name = \"\": must not be empty");
  expect_contains(rest_complaint("[modes]\nkind = \"atoms\"\nlabels = [0]"),
                  "modes.kind = \"atoms\": contradicts labels");
}

TEST(ProblemErrors, ModelParametersKeepTheirRanges) {
  expect_contains(prior_complaint("atoms = \"a\"\nweights = [1, -1]"), "prior.weights[1] = -1: must be >= 0");
  expect_contains(prior_complaint("atoms = \"a\"\nweights = [0, 0]"), "prior.weights = [0, 0]: must not all be 0");
  expect_contains(prior_complaint("atoms = \"a\"\nbandwidth = -1"),
                  "prior.bandwidth = -1: must be a number >= 0 (0: never smoothed) or \"loo\"");
  expect_contains(prior_complaint("atoms = \"a\"\nbandwidth = \"lo\""),
                  "prior.bandwidth = \"lo\": must be a number >= 0 (0: never smoothed) or \"loo\"");
  expect_contains(prior_complaint("atoms = \"a\"\nscale = [1, 1]"),
                  "prior.scale = [1, 1]: must be finite with low < high");
  expect_contains(prior_complaint("atoms = \"a\"\nrange = [0, 16]"),
                  "prior.range = [0, 16]: has no meaning without scale");
  expect_contains(prior_complaint("atoms = \"a.npy\"\ncolumns = [0, 3]"),
                  "prior.columns = [0, 3]: needs atoms to be a .csv or .csv.gz file");
  expect_contains(prior_complaint("atoms = \"a.csv\"\ncolumns = [3, 0]"), "must be 0 <= first <= last");
  expect_contains(prior_complaint("atoms = \"a.csv\"\nlabels_column = 3"),
                  "prior.labels_column = 3: needs labels to be a .csv");
  expect_contains(schedule_complaint("beta_min = 0"), "schedule.beta_min = 0: must be > 0");
  expect_contains(schedule_complaint("beta_min = 30"),
                  "schedule.beta_min = 30: beta_max must be >= beta_min; they are 20 and 30");
  expect_contains(schedule_complaint("kind = \"vp-discrete\"\nbetas = [0.1, 1]"),
                  "schedule.betas[1] = 1: must lie in (0, 1)");
  expect_contains(schedule_complaint("kind = \"vp-cosine\"\noffset = 0"), "schedule.offset = 0: must be > 0");
  expect_contains(schedule_complaint("kind = \"vp-cosine\"\nmax_beta = 1"),
                  "schedule.max_beta = 1: must lie in (0, 1)");
  expect_contains(schedule_complaint("kind = \"ve\"\nsigma_max = 0.001"),
                  "sigma_max must be > sigma_min; they are 0.001 and 0.01");
  expect_contains(schedule_complaint("kind = \"ve\"\nrho = -1"), "schedule.rho = -1: must be >= 0");
  expect_contains(schedule_complaint("kind = \"ou\"\nsigma = 0"), "schedule.sigma = 0: must be > 0");
  expect_contains(operator_complaint("kind = \"blur\"\nshape = [8, 0]\nsigma = 1"),
                  "operator.shape = [8, 0]: must hold integers >= 1");
  expect_contains(operator_complaint("kind = \"blur\"\nshape = [8, 8]\nsigma = -1"),
                  "operator.sigma = -1: must be > 0");
  expect_contains(operator_complaint("kind = \"blur\"\nshape = [8, 8]\nkernel = [1]\nradius = 2"),
                  "operator.radius = 2: belongs to a Gaussian blur");
  expect_contains(operator_complaint("kind = \"blur\"\nshape = [8, 8]\nsigma = 1\nkernel_y = [1]"),
                  "operator.kernel_y = [1]: needs kernel");
  expect_contains(operator_complaint("kind = \"mask\"\nindices = [0, 1.5]"),
                  "operator.indices[1] = 1.5: must be an integer >= 0");
  expect_contains(operator_complaint("kind = \"clip\"\nlo = 1\nhi = 0"),
                  "operator.hi = 0: lo must be < hi; they are 1 and 0");
  expect_contains(operator_complaint("kind = \"compose\"\noperators = []"), "expected a non-empty list of tables");
  expect_contains(
      operator_complaint("kind = \"compose\"\noperators = [{kind = \"square\"}, {kind = \"clip\", lo = 1, hi = 0}]"),
      "p.toml:7: operator.operators[1].hi = 0");
}

RC_GTEST_PROP(ProblemErrors, ADamagedFileIsADataErrorOrAProblem, ()) {
  std::string text = text_of({.prior = "atoms = [[1.0, 2], [3, 4]]\nweights = [1, 2]",
                              .rest = "[grid]\nsteps = 5\n[[sampler]]\nname = \"dps\"\n"});
  const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
  text[at] = *rc::gen::arbitrary<char>();
  try {
    parse_problem(text, "p.toml", ".");
  } catch (const DataError& error) {
    RC_ASSERT(std::string(error.what()).starts_with("p.toml"));
  }
}

}  // namespace
}  // namespace fslens
