// How effects, intervals and margins become verdicts.
#include "fslens/diagnosis/checks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "diagnosis/recordings.hpp"
#include "fslens/core/error.hpp"
#include "fslens/core/parallel.hpp"
#include "fslens/diagnosis/margins.hpp"
#include "fslens/io/problem_file.hpp"
#include "fslens/report/report.hpp"

namespace fslens::test {
namespace {

TEST(Verdict, WorstIsFailThenInconclusiveThenNotRun) {
  using enum Verdict;
  EXPECT_EQ(worst({pass, not_run, inconclusive, fail}), fail);
  EXPECT_EQ(worst({pass, not_run, inconclusive}), inconclusive);
  EXPECT_EQ(worst({pass, not_run, pass}), not_run) << "only pass is a pass";
  EXPECT_EQ(worst({pass, pass}), pass);
  EXPECT_EQ(worst({}), not_run) << "nothing was asked";
}

TEST(Verdict, IsReadBackFromItsName) {
  for (const Verdict verdict : {Verdict::pass, Verdict::fail, Verdict::inconclusive, Verdict::not_run})
    EXPECT_EQ(parse_verdict(to_string(verdict)), verdict);
  EXPECT_EQ(to_string(Verdict::not_run), "not-run");
  EXPECT_THROW(parse_verdict("not_run"), InvalidArgument);
}

TEST(Margins, AreThoseOfTheCatalogueUnlessOverridden) {
  const auto defaults = resolve_margins({});
  EXPECT_EQ(defaults.size(), check_catalogue().size());
  for (const CheckInfo& info : check_catalogue()) EXPECT_EQ(defaults.at(info.id), info.margin) << info.id;
  const auto changed = resolve_margins({{"distance", 0.7}});
  EXPECT_EQ(changed.at("distance"), 0.7);
  EXPECT_EQ(changed.at("spread"), defaults.at("spread"));
  EXPECT_THROW(resolve_margins({{"distances", 0.7}}), UsageError);
  EXPECT_THROW(resolve_margins({{"distance", -0.1}}), InvalidArgument);
  const std::vector<std::string> known = check_ids();
  for (const CheckInfo& info : check_catalogue())
    EXPECT_NE(std::ranges::find(known, info.id), known.end()) << info.id << " cannot be set in a problem file";
}

TEST(SimultaneousZ, IsBonferronis) {
  EXPECT_NEAR(simultaneous_z(0.05, 1), 1.959963984540054, 1e-12);
  EXPECT_NEAR(simultaneous_z(0.01, 1), 2.575829303548901, 1e-12);
  EXPECT_NEAR(simultaneous_z(0.05, 5), simultaneous_z(0.01, 1), 1e-12);
  EXPECT_GT(simultaneous_z(0.01, 300), simultaneous_z(0.01, 30));
  EXPECT_EQ(tests_per_sampler(7), 50u) << "six at every time, seven at the end, and the measurement's fit";
}

TEST(Advice, SaysTooWideOrTooNarrow) {
  const SamplerTraits sde{"lens-sde", "euler-maruyama", "uniform", 60};
  EXPECT_NE(advise("spread", sde, 0.3, 0.01).find("too wide"), std::string::npos);
  EXPECT_NE(advise("spread", sde, -0.3, 0.01).find("too narrow"), std::string::npos);
  EXPECT_NE(advise("spread", sde, 0.3, 0.01).find("euler-maruyama on the uniform grid of 60 steps"), std::string::npos);
  for (const std::string name : {"dps", "dps-sigma", "dps-zeta", "pigdm", "tmpd", "dmps", ""})
    for (const CheckInfo& info : check_catalogue())
      EXPECT_TRUE(advise(info.id, {name, "euler-maruyama", "uniform", 60}, 1.0, 0.1).starts_with("Cause: "));
  EXPECT_NE(advise("spread", {"dps-sigma", "", "", 1}, 1.0, 0.1),
            advise("spread", {"dps-sigma", "", "", 1}, -1.0, 0.1));
  EXPECT_NE(advise("distance", {"exact", "", "", 1}, 1.0, 0.1).find("--seed"), std::string::npos);
}

/// One exact run of 1000 particles at two times, judged as it is.
struct ExactRun {
  static constexpr std::size_t kCount = 1000;
  SilentObserver observer;
  Problem problem = problem_from(kThreeAtoms);
  ExactReference reference{problem.lens, problem.modes, {0.2, 0.01}, kCount, RandomStream(4), observer};
  std::vector<TimeMeasurement> at;
  FinalMeasurement final;

  ExactRun() {
    const Trajectory run = exact_trajectory(problem, kCount, 1, {0.2, 0.01});
    const auto denoiser = problem.lens->denoiser(Measure::prior);
    for (std::size_t i = 0; i < 2; ++i) at.push_back(measure_at(reference, *denoiser, i, run.states[i]));
    final = measure_final(reference, run.states[1]);
  }
};

const ExactRun& exact_run() {
  static const ExactRun run;
  return run;
}

/// Its measurements, to be changed by hand, so that the verdict's logic is all that is tested.
struct JudgedByHand {
  std::vector<TimeMeasurement> at = exact_run().at;
  FinalMeasurement final = exact_run().final;

  std::vector<Check> checks(double z = 4.0, const std::map<std::string, double>& margins = {},
                            bool is_population = true) const {
    return run_checks({exact_run().reference, resolve_margins(margins), z, is_population, {}}, at, final);
  }
  Check check(const std::string& id, double z = 4.0, const std::map<std::string, double>& margins = {}) const {
    const auto all = checks(z, margins);
    return *std::ranges::find(all, id, &Check::id);
  }
};

TEST(Checks, ComeInTheOrderOfTheCatalogue) {
  const JudgedByHand run;
  const std::vector<Check> checks = run.checks();
  ASSERT_EQ(checks.size() + 1, check_catalogue().size());  // the last is made by calibrate()
  for (std::size_t i = 0; i < checks.size(); ++i) EXPECT_EQ(checks[i].id, check_catalogue()[i].id);
}

TEST(Checks, FailOnlyWhereTheWholeIntervalLiesBeyondTheMargin) {
  JudgedByHand run;
  // Counts of 1000 against a margin of 1 %: Clopper–Pearson's 99 % upper end of 2 is 0.0084, of 5 0.0131; at z = 4 the
  // lower end of 15 is 0.0038 and that of 60 is 0.0347.
  std::set<Verdict> seen;
  for (const auto& [count, verdict] : std::vector<std::pair<std::size_t, Verdict>>{{0, Verdict::pass},
                                                                                   {2, Verdict::pass},
                                                                                   {5, Verdict::inconclusive},
                                                                                   {15, Verdict::inconclusive},
                                                                                   {60, Verdict::fail}}) {
    run.final.fit_off_support = count;
    const Check check = run.check("likelihood-hallucination");
    EXPECT_EQ(check.verdict, verdict) << count;
    EXPECT_NEAR(*check.effect, static_cast<double>(count) / 1000.0 - *check.null, 1e-12) << count;
    EXPECT_EQ(check.advice.empty(), verdict == Verdict::pass);
    seen.insert(check.verdict);
  }
  EXPECT_EQ(seen.size(), 3u);
  // P(X ≥ 40) is 1e-11 at 1 %: beyond z = 4, within z = 8.
  run.final.fit_off_support = 40;
  EXPECT_EQ(run.check("likelihood-hallucination", 4.0).verdict, Verdict::fail);
  EXPECT_EQ(run.check("likelihood-hallucination", 8.0).verdict, Verdict::inconclusive) << "against more tests";
  EXPECT_EQ(run.check("likelihood-hallucination", 4.0, {{"likelihood-hallucination", 0.2}}).verdict, Verdict::pass);
}

TEST(Checks, CountWhatIsNotFiniteAsDiverged) {
  JudgedByHand run;
  EXPECT_EQ(run.check("divergence").verdict, Verdict::pass);
  run.final.num_finite = 900;
  EXPECT_NEAR(*run.check("divergence").effect, 0.1, 1e-3);
  run.final.neither = 100;
  EXPECT_NEAR(*run.check("divergence").effect, 0.2, 1e-3);
  EXPECT_EQ(run.check("divergence").verdict, Verdict::fail);
}

TEST(Checks, TakeTheWorstTimeOfTheSpread) {
  JudgedByHand run;
  run.at[0].spread->value = 1.6;
  const Check wide = run.check("spread");
  EXPECT_EQ(wide.verdict, Verdict::fail);
  EXPECT_NEAR(*wide.effect, std::log(1.6), 1e-12);
  EXPECT_EQ(*wide.worst_t, 0.2);
  run.at[1].spread->value = 1.0 / 3.0;
  const Check narrow = run.check("spread");
  EXPECT_NEAR(*narrow.effect, std::log(3.0), 1e-12);
  EXPECT_EQ(*narrow.worst_t, 0.01);
  EXPECT_EQ(*narrow.first_t, 0.2) << "it left its band before it was worst";
}

TEST(Checks, AreNotRunWithoutTheirStatistic) {
  JudgedByHand run;
  for (TimeMeasurement& m : run.at) m.spread.reset(), m.spread_along.clear();
  run.final.mode_tv.reset();
  run.final.sliced_w2_squared.reset();
  for (const std::string id : {"spread", "mode-weights", "prior-hallucination", "distance"}) {
    const Check check = run.check(id);
    EXPECT_EQ(check.verdict, Verdict::not_run) << id;
    EXPECT_FALSE(check.effect || check.low || check.high) << id;
    EXPECT_FALSE(check.finding.empty()) << id;
  }
}

TEST(Checks, GiveTheLensItsPopulation) {
  const JudgedByHand run;
  const auto resolution = [&](bool is_population) { return run.checks(4.0, {}, is_population).back(); };
  EXPECT_EQ(resolution(true).verdict, Verdict::pass);
  EXPECT_EQ(resolution(false).verdict, Verdict::inconclusive);
  EXPECT_NEAR(*resolution(false).effect, 2.0, 1e-4);
}

// One diagnosis of each kind of contestant; seconds are the only thing that may differ.
TEST(Diagnose, HasTheSameBitsForEveryNumberOfThreads) {
  const Problem problem = problem_from(kLabelledPlane, {"run.particles=300", "run.record=4", "grid.steps=25"});
  const Recording recording = recorded(problem, exact_trajectory(problem, 250, 1, {0.3, 0.02}));
  std::string first;
  for (const std::size_t threads : {1, 2, 4}) {
    const ThreadLimit limit(threads);
    SilentObserver observer;
    DiagnoseOptions options;
    options.samplers = {{"exact", {}}, {"tmpd", {}}, {"dps", {}}};
    options.recordings.push_back(recording);
    Diagnosis diagnosis = diagnose(problem, options, observer);
    diagnosis.seconds = 0.0;
    for (SamplerDiagnosis& sampler : diagnosis.samplers) sampler.seconds = 0.0;
    const std::string json = to_json(diagnosis);
    if (first.empty()) first = json;
    EXPECT_TRUE(json == first) << threads << " threads give other bits";
  }
}

TEST(Diagnose, RefusesToJudgeNobodyAndTheSameTwice) {
  const Problem problem = problem_from(kThreeAtoms);
  SilentObserver observer;
  EXPECT_THROW(diagnose(problem, {}, observer), InvalidArgument);
  DiagnoseOptions twice;
  twice.samplers = {{"lens", {}}, {"lens-sde", {}}};
  EXPECT_THROW(diagnose(problem, twice, observer), UsageError);
  DiagnoseOptions unknown;
  unknown.samplers = {{"exact", {}}, {"pigmd", {}}};
  EXPECT_THROW(diagnose(problem, unknown, observer), UsageError);
}

TEST(Diagnose, RefusesTooFewParticles) {
  SilentObserver observer;
  DiagnoseOptions options;
  options.samplers = {{"exact", {}}};
  try {
    diagnose(problem_from(kThreeAtoms, {"run.particles=9"}), options, observer);
    ADD_FAILURE() << "no error";
  } catch (const InvalidArgument& error) {
    EXPECT_NE(std::string(error.what()).find("run.particles = 9"), std::string::npos) << error.what();
  }
}

/// Interrupts at the first occasion.
class Impatient final : public Observer {
 public:
  void progress(std::string_view, std::size_t, std::size_t) override {}
  bool interrupted() override { return true; }
};

TEST(Diagnose, StopsWhenItIsAskedTo) {
  DiagnoseOptions options;
  options.samplers = {{"exact", {}}};
  Impatient observer;
  EXPECT_THROW(diagnose(problem_from(kThreeAtoms, {"run.particles=50"}), options, observer), Interrupted);
}

TEST(Diagnose, JudgesASamplerTheSameWhateverElseIsJudged) {
  const Problem problem = problem_from(kThreeAtoms, {"run.particles=100", "run.record=3", "grid.steps=20"});
  SilentObserver observer;
  DiagnoseOptions alone, together;
  alone.samplers = {{"tmpd", {}}};
  together.samplers = {{"pigdm", {}}, {"tmpd", {}}};
  const SamplerDiagnosis one = diagnose(problem, alone, observer).samplers.at(0);
  const SamplerDiagnosis other = diagnose(problem, together, observer).samplers.at(1);
  EXPECT_EQ(one.final.mode_weights, other.final.mode_weights);
  EXPECT_EQ(*one.final.sliced_w2, *other.final.sliced_w2);
  EXPECT_GT(*check_of(one, "distance").low + 1e-12, *check_of(other, "distance").low) << "more tests, wider intervals";
}

}  // namespace
}  // namespace fslens::test
