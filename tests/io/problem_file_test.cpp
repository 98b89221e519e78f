#include "fslens/io/problem_file.hpp"

#include <gtest/gtest.h>

#include "io/scratch.hpp"

namespace fslens {
namespace {

using namespace fslens::test;

const std::string kMinimal = R"([prior]
atoms = "atoms.npy"
[operator]
kind = "identity"
[noise]
sigma = 0.3
[measurement]
y = [1.0, 2]
)";

const std::string kFull = R"(
title = "Digits \"8×8\""
description = """Two lines
and a\ttab"""
source = "arXiv 0000.00000"
answer = "mode weights 1/0/0"
[prior]
kind = "atoms"
atoms = "digits.csv.gz"
columns = [0, 63]
labels = "digits.csv.gz"
labels_column = 64
weights = [0.25, 0.75]
scale = [-1, 1]
range = [0, 16]
complete = true
bandwidth = "loo"
kernel = "covariance"
[schedule]
kind = "ve"
sigma_min = 0.002
sigma_max = 80.0
rho = 7
[operator]
kind = "compose"
operators = [{kind = "blur", shape = [8, 8], sigma = 1.5, radius = 3, boundary = "periodic"},
             {kind = "mask", indices = [0, 5, 7]}, {kind = "clip", lo = -1, hi = 1.0}]
[noise]
sigma = [0.1, 0.2, 0.3]
[measurement]
from_atom = 17
noise_seed = 3
[grid]
steps = 250
t_max = 0.9
t_min = 1e-4
spacing = "karras"
integrator = "ddim"
eta = 0.5
[run]
particles = 100
seed = 42
precision = "f32"
tolerance = 3e-5
exact_scan = true
record = 7
[modes]
kind = "mean-shift"
t = 0.2
[margins]
mode-weights = 0.05
distance = 1
[[sampler]]
name = "pigdm"
r2 = "flat"
[[sampler]]
name = "dps"
zeta = 0.30000000000000004
steps = 1.0
fast = true
)";

TEST(ProblemFile, FillsInTheDefaults) {
  const ProblemSpec problem = parse_problem(kMinimal, "p.toml", "/data");
  EXPECT_EQ(problem.prior.kind, "atoms");
  EXPECT_EQ(problem.prior.atoms->path, "/data/atoms.npy");
  EXPECT_FALSE(problem.prior.complete);
  EXPECT_EQ(problem.schedule, ScheduleSpec{});
  EXPECT_EQ(problem.schedule.beta_min, 0.01);
  EXPECT_EQ(problem.schedule.beta_max, 20.0);
  EXPECT_EQ(problem.noise.sigma, 0.3);
  EXPECT_EQ(load_vector(*problem.measurement.y), (std::vector<double>{1, 2}));
  EXPECT_EQ(problem.grid.steps, 500U);
  EXPECT_EQ(problem.grid.t_max, 1.0);
  EXPECT_EQ(problem.grid.t_min, 0.01);
  EXPECT_EQ(problem.grid.spacing, "uniform");
  EXPECT_EQ(problem.grid.integrator, "euler-maruyama");
  EXPECT_EQ(problem.run.particles, 4096U);
  EXPECT_EQ(problem.run.seed, 0U);
  EXPECT_EQ(problem.run.tolerance, 1e-12);
  EXPECT_FALSE(problem.run.exact_scan);
  EXPECT_EQ(problem.modes.kind, "auto");
  EXPECT_TRUE(problem.samplers.empty());
}

TEST(ProblemFile, ReadsEveryTable) {
  const ProblemSpec problem = parse_problem(kFull, "p.toml", "/data");
  EXPECT_EQ(problem.title, "Digits \"8×8\"");
  EXPECT_EQ(problem.description, "Two lines\nand a\ttab");
  EXPECT_EQ(problem.prior.atoms->columns, (ColumnRange{0, 63}));
  EXPECT_EQ(problem.prior.labels->columns, (ColumnRange{64, 64}));
  EXPECT_EQ(problem.prior.scale, (Interval{-1, 1}));
  EXPECT_EQ(problem.prior.range, (Interval{0, 16}));
  EXPECT_TRUE(problem.prior.bandwidth_by_leave_one_out);
  EXPECT_FALSE(problem.prior.bandwidth.has_value());
  EXPECT_EQ(problem.schedule.rho, 7);
  ASSERT_EQ(problem.forward_operator.operators.size(), 3U);
  EXPECT_EQ(problem.forward_operator.operators[0].shape, (std::vector<std::size_t>{8, 8}));
  EXPECT_EQ(problem.forward_operator.operators[0].radius, 3U);
  EXPECT_EQ(load_vector(*problem.forward_operator.operators[1].indices), (std::vector<double>{0, 5, 7}));
  EXPECT_EQ(problem.forward_operator.operators[2].lo, -1);
  EXPECT_EQ(load_vector(*problem.noise.sigmas), (std::vector<double>{0.1, 0.2, 0.3}));
  EXPECT_EQ(problem.measurement.from_atom, 17U);
  EXPECT_EQ(problem.grid.eta, 0.5);
  EXPECT_EQ(problem.run.precision, "f32");
  EXPECT_EQ(problem.run.tolerance, 3e-5);
  EXPECT_TRUE(problem.run.exact_scan);
  EXPECT_EQ(problem.modes.t, 0.2);
  EXPECT_EQ(problem.margins, (std::map<std::string, double>{{"distance", 1}, {"mode-weights", 0.05}}));
  ASSERT_EQ(problem.samplers.size(), 2U);
  EXPECT_EQ(problem.samplers[0].parameters, (std::map<std::string, std::string>{{"r2", "flat"}}));
  EXPECT_EQ(problem.samplers[1].parameters,
            (std::map<std::string, std::string>{{"fast", "true"}, {"steps", "1"}, {"zeta", "0.30000000000000004"}}));
}

TEST(ProblemFile, ReadsBackFromItsResolvedFormEqual) {
  const std::string tail =
      "[operator]\nkind = \"identity\"\n[noise]\ncovariance = [[1, 0.5], [0.5, 1]]\n[measurement]\nfrom_prior = true\n";
  const std::vector<std::string> texts = {
      kMinimal,
      kFull,
      "[prior]\nkind = \"gaussian\"\nmean = [0, 1e-300]\ncov = [[0.1, 0], [0, 1e300]]\n[schedule]\nkind = \"ou\"\nmean "
      "= -0.5\n" +
          tail,
      "[prior]\nkind = \"gmm\"\nmeans = [[0], [1]]\ncovs = [[[1]], [[2]]]\nweights = [1, 3]\n[schedule]\nkind = "
      "\"vp-cosine\"\n" +
          tail,
      "[prior]\natoms = [[0.0], [1]]\nbandwidth = 0.1\n[schedule]\nkind = \"vp-discrete\"\nbetas = [0.1, "
      "0.2]\n[modes]\nlabels = [0, 1]\n" +
          tail,
      "[prior]\natoms = \"/abs/a.npz:key\"\n[schedule]\nkind = \"flow\"\n" + tail +
          "[[sampler]]\nname = \"a b\"\n\"odd key\" = \"0x10\"\nv = \"1.50\"\nw = \"\\u0001\"\n"};
  for (const std::string& text : texts) {
    const ProblemSpec problem = parse_problem(text, "p.toml", "/data");
    const std::string resolved = to_toml(problem);
    SCOPED_TRACE(resolved);
    EXPECT_EQ(parse_problem(resolved, "resolved.toml", "/elsewhere"), problem);
    EXPECT_EQ(to_toml(parse_problem(resolved, "resolved.toml", "/elsewhere")), resolved);
  }
}

TEST(ProblemFile, FindsItsArraysBesideItself) {
  const ScratchFolder folder;
  folder.write("data/digits.csv", "1,2,3,7\n4,5,6,8\n");
  folder.write("problem.toml", R"([prior]
atoms = "data/digits.csv"
columns = [1, 2]
labels = "data/digits.csv"
labels_column = 3
[operator]
kind = "identity"
[noise]
sigma = 1
[measurement]
y = "y.npy"
)");
  folder.write("y.npy", npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}", raw<float>({0.5F, 1})));
  const ProblemSpec problem = read_problem_file(folder.path("problem.toml"));
  const NumericArray atoms = load(*problem.prior.atoms);
  EXPECT_EQ(atoms.shape, (std::vector<std::size_t>{2, 2}));
  EXPECT_EQ(atoms.to_double(), (std::vector<double>{2, 3, 5, 6}));
  EXPECT_EQ(load_vector(*problem.prior.labels), (std::vector<double>{7, 8}));
  EXPECT_EQ(load_vector(*problem.measurement.y), (std::vector<double>{0.5, 1}));
  expect_contains(message_of<DataError>([&] { load_vector(*problem.prior.atoms); }),
                  "has shape (2, 2), expected one vector");
  ArrayRef beyond = *problem.prior.atoms;
  beyond.columns = ColumnRange{3, 4};
  expect_contains(message_of<DataError>([&] { load(beyond); }), "columns 3 to 4 asked of an array of shape (2, 4)");
  EXPECT_EQ(message_of<DataError>([&] { read_problem_file(folder.path("none.toml")); }),
            folder.path("none.toml") + ": no such file");
}

TEST(ProblemFile, ResolvesPathsAgainstTheWorkingDirectoryWithoutAFolder) {
  const ProblemSpec problem = parse_problem(kMinimal, "p.toml", "");
  EXPECT_EQ(problem.prior.atoms->path, (std::filesystem::current_path() / "atoms.npy").string());
}

TEST(ProblemFile, KeepsTheShapeOfInlineArrays) {
  const ProblemSpec problem = parse_problem(
      "[prior]\nkind = \"gmm\"\nmeans = [[0, 1], [2, 3]]\ncovs = [[[1, 0], [0, 1]], [[2, 0], [0, "
      "2]]]\n[operator]\nkind = \"identity\"\n"
      "[noise]\nsigma = 1\n[measurement]\nfrom_prior = true",
      "p.toml", ".");
  EXPECT_EQ(load(*problem.prior.covs).shape, (std::vector<std::size_t>{2, 2, 2}));
  EXPECT_EQ(load(*problem.prior.means).to_double(), (std::vector<double>{0, 1, 2, 3}));
}

TEST(ProblemFile, NamesWhatItKnows) {
  EXPECT_EQ(operator_kinds().size(), 13U);
  EXPECT_EQ(schedule_kinds(), (std::vector<std::string>{"vp-linear", "vp-cosine", "vp-discrete", "ve", "ou", "flow"}));
  EXPECT_EQ(check_ids().size(), 11U);
}

TEST(Overrides, TakeThePlaceOfTheFile) {
  const auto with = [](const std::vector<std::string>& overrides) {
    return parse_problem(kMinimal, "p.toml", "/data", overrides);
  };
  EXPECT_EQ(with({"noise.sigma=0.1"}).noise.sigma, 0.1);
  EXPECT_EQ(with({"grid.steps = 10", "grid.spacing=log-snr"}).grid.spacing, "log-snr");
  EXPECT_EQ(with({"grid.steps=10"}).grid.steps, 10U);
  EXPECT_EQ(with({"prior.atoms=other/file-1.npy"}).prior.atoms->path, "/data/other/file-1.npy");
  EXPECT_EQ(with({"prior.atoms=\"quoted.npy\""}).prior.atoms->path, "/data/quoted.npy");
  EXPECT_EQ(load_vector(*with({"measurement.y=[3, 4.5]"}).measurement.y), (std::vector<double>{3, 4.5}));
  EXPECT_EQ(with({"title=A short title"}).title, "A short title");
  EXPECT_EQ(with({"margins.mode-weights=0.1"}).margins.at("mode-weights"), 0.1);
  EXPECT_EQ(with({"run.seed=1", "run.seed=2"}).run.seed, 2U);  // the last one counts
}

TEST(Overrides, DisplaceTheAlternativesOfTheFile) {
  const ProblemSpec from_atom = parse_problem(kMinimal, "p.toml", ".", {"measurement.from_atom=3"});
  EXPECT_EQ(from_atom.measurement.from_atom, 3U);
  EXPECT_FALSE(from_atom.measurement.y.has_value());
  const ProblemSpec covariance = parse_problem(kMinimal, "p.toml", ".", {"noise.covariance=[[1]]"});
  EXPECT_FALSE(covariance.noise.sigma.has_value());
  const auto tolerance = [](const std::string& run, const std::vector<std::string>& overrides) {
    return parse_problem(std::string(kMinimal) + "[run]\n" + run, "p.toml", ".", overrides).run.tolerance;
  };
  EXPECT_EQ(tolerance("tolerance = 1e-3", {"run.precision=f32"}), 1e-6);
  EXPECT_EQ(tolerance("precision = \"f32\"", {"run.tolerance=1e-3"}), 1e-3);
  EXPECT_EQ(tolerance("precision = \"f32\"\ntolerance = 1e-3", {}), 1e-3) << "a tolerance wins over a precision";
  EXPECT_EQ(tolerance("", {"run.tolerance=1e-3", "run.precision=f32"}), 1e-3);
  EXPECT_THROW(parse_problem(kMinimal, "p.toml", ".", {"measurement.from_atom=3", "measurement.from_prior=true"}),
               DataError);
}

TEST(Overrides, OfAKindDisplaceTheKeysOfOtherKinds) {
  const std::string text =
      "[prior]\nkind = \"gaussian\"\nmean = [0]\ncov = [[1]]\n[operator]\nkind = \"matrix\"\nmatrix = [[2]]\nbias = [1]\n"
      "[noise]\nsigma = 1\n[measurement]\ny = [1]\n";
  const auto with = [&](const std::vector<std::string>& overrides) { return parse_problem(text, "p.toml", ".", overrides).forward_operator; };
  EXPECT_EQ(with({"operator.kind=square"}).kind, "square");
  EXPECT_FALSE(with({"operator.kind=square"}).matrix.has_value());
  EXPECT_TRUE(with({"operator.kind=matrix"}).bias.has_value()) << "what the kind takes stays";
  EXPECT_EQ(with({"operator.kind=clip", "operator.lo=-1", "operator.hi=1"}).hi, 1.0);
  EXPECT_THROW(with({"operator.matrix=[[3]]", "operator.kind=square"}), UsageError) << "an override is never dropped";
}

TEST(Overrides, ThatAreWrongAreUsageErrors) {
  const auto complaint = [](const std::string& override_text) {
    return message_of<UsageError>([&] { parse_problem(kMinimal, "p.toml", ".", {override_text}); });
  };
  EXPECT_EQ(complaint("grid.stepz=3"),
            "--set grid.stepz=3: unknown key in [grid] 'stepz' (did you mean 'steps'?); known: "
            "steps, t_max, t_min, spacing, integrator, eta");
  expect_contains(complaint("gird.steps=3"), "unknown table 'gird' (did you mean 'grid'?)");
  expect_contains(complaint("tittle=x"), "unknown key 'tittle' (did you mean 'title'?)");
  expect_contains(complaint("grid=3"), "'grid' is a table; expected grid.key=value");
  expect_contains(complaint("sampler.zeta=3"), "samplers cannot be set one key at a time");
  expect_contains(complaint("grid.steps"), "expected table.key=value");
  expect_contains(complaint("=3"), "expected table.key=value");
  expect_contains(complaint("grid.steps="), "expected a value after '='");
  expect_contains(complaint("measurement.y=[1, 2"), "not a TOML value");
  expect_contains(complaint("grid.steps=1\ngrid = 2"), "more than one value");
  EXPECT_EQ(complaint("grid.steps=0"), "--set grid.steps=0: grid.steps = 0: must be >= 1");
  expect_contains(complaint("noise.sigma=-1"), "noise.sigma = -1: must be > 0");
  expect_contains(complaint("grid.t_max=0.001"), "--set grid.t_max=0.001: grid.t_max = 0.001: t_min must be < t_max");
  expect_contains(complaint("operator.kind=blurr"), "unknown operator.kind 'blurr' (did you mean 'blur'?)");
}

}  // namespace
}  // namespace fslens
