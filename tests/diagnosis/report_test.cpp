// What a diagnosis looks like to people, programs and continuous integration.
#include "fslens/report/report.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>
#include <sstream>
#include <string>

#include "diagnosis/recordings.hpp"
#include "fslens/core/error.hpp"

namespace fslens::test {
namespace {

/// One sound contestant and one whose run was damaged, NaN included.
const Diagnosis& example() {
  static const Diagnosis diagnosis = [] {
    const Problem problem = problem_from(kThreeAtoms);
    Trajectory damaged = exact_trajectory(problem, 300, 2, {0.3, 0.05, 0.01});
    for (std::size_t b = 0; b < 60; ++b) damaged.last()(b, 0) = b < 30 ? std::numeric_limits<double>::quiet_NaN() : 2.2;
    DiagnoseOptions options;
    options.recordings.push_back(recorded(problem, exact_trajectory(problem, 300, 1, {0.3, 0.05, 0.01}), "sound"));
    options.recordings.push_back(recorded(problem, damaged, "damaged"));
    SilentObserver observer;
    Diagnosis out = diagnose(problem, options, observer);
    out.title = "an example <of & everything>";
    return out;
  }();
  return diagnosis;
}

TEST(TextReport, ShowsEverySamplerAndEveryFailingCheck) {
  const std::string text = to_text(example());
  ASSERT_EQ(example().samplers.size(), 2u);
  std::size_t failing = 0;
  for (const SamplerDiagnosis& sampler : example().samplers) {
    EXPECT_NE(text.find("\n  " + sampler.name), std::string::npos) << sampler.name;
    for (const std::string& id : checks_that(sampler, Verdict::fail)) {
      EXPECT_NE(text.find("FAIL " + id), std::string::npos) << id;
      ++failing;
    }
  }
  EXPECT_GE(failing, 2u) << "the example is meant to fail by divergence and prior-hallucination";
  EXPECT_NE(text.find("30 of 300 final states are not finite"), std::string::npos);
  EXPECT_NE(text.find("verdict: fail"), std::string::npos);
  EXPECT_NE(text.find("-1.8 = 0.500"), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << "no colours unless asked for";
}

TEST(TextReport, ShowsWhatPassedOnlyInFull) {
  const std::string brief = to_text(example()), full = to_text(example(), {.full = true});
  const std::string passed = "the prior is known completely";  // what lens-resolution found
  EXPECT_EQ(brief.find(passed), std::string::npos);
  EXPECT_NE(full.find(passed), std::string::npos);
  for (const Check& check : example().samplers[0].checks) EXPECT_NE(full.find(check.id), std::string::npos) << check.id;
  EXPECT_NE(to_text(example(), {.color = true}).find("\x1b[1;31m"), std::string::npos);
}

TEST(TextReport, WrapsProseAtItsWidth) {
  std::istringstream lines(to_text(example(), {.width = 60}));
  std::string line;
  while (std::getline(lines, line)) {
    if (!line.starts_with("      ")) continue;
    EXPECT_LE(line.size(), 60u) << line;
  }
}

TEST(JsonReport, ReadsBackToTheSameReport) {
  const Diagnosis again = diagnosis_from_json(to_json(example()), "diagnosis.json");
  for (const bool full : {false, true}) EXPECT_EQ(to_text(again, {.full = full}), to_text(example(), {.full = full}));
  EXPECT_EQ(to_junit(again), to_junit(example()));
  ASSERT_EQ(again.samplers.size(), example().samplers.size());
  for (std::size_t i = 0; i < again.samplers.size(); ++i) {
    EXPECT_EQ(again.samplers[i].t, example().samplers[i].t);
    EXPECT_EQ(again.samplers[i].final.mode_weights, example().samplers[i].final.mode_weights);
    EXPECT_EQ(again.samplers[i].final.sliced_w2, example().samplers[i].final.sliced_w2);
    EXPECT_EQ(again.samplers[i].curves.size(), example().samplers[i].curves.size());
    EXPECT_EQ(again.samplers[i].mode_weight_curves.size(), example().samplers[i].mode_weight_curves.size());
  }
}

TEST(JsonReport, HasTheKeysOfItsSchema) {
  const auto json = nlohmann::json::parse(to_json(example()));
  EXPECT_EQ(json.at("schema"), 1);
  EXPECT_EQ(json.at("verdict"), "fail");
  EXPECT_EQ(json.at("lens").at("num_atoms"), 3);
  EXPECT_EQ(json.at("lens").at("modes").size(), 3u);
  const auto& damaged = json.at("samplers").at(1);
  EXPECT_EQ(damaged.at("status"), "diverged");
  for (const char* key : {"mode_weights", "mode_weights_tv", "prior_hallucination", "likelihood_hallucination",
                          "diverged", "spread_ratio", "sliced_w2", "energy", "mmd", "ksd"})
    EXPECT_TRUE(damaged.at("final").contains(key)) << key;
  for (const char* key : {"t", "spread_ratio", "mode_weights", "sliced_w2"})
    EXPECT_EQ(damaged.at("curves").at(key).size(), 3u) << key;
  for (const auto& check : damaged.at("checks"))
    for (const char* key : {"id", "verdict", "effect", "interval", "margin", "null", "worst_t", "advice"})
      EXPECT_TRUE(check.contains(key)) << key;
}

TEST(JsonReport, WritesWhatIsUndefinedAsNull) {
  Diagnosis diagnosis = example();
  diagnosis.samplers[0].curves[0].value[0] = std::numeric_limits<double>::quiet_NaN();
  diagnosis.samplers[0].final.ksd.reset();
  const std::string text = to_json(diagnosis);
  EXPECT_EQ(text.find("nan"), std::string::npos);
  const auto json = nlohmann::json::parse(text);
  EXPECT_TRUE(json.at("samplers").at(0).at("final").at("ksd").is_null());
  EXPECT_TRUE(json.at("samplers").at(0).at("curves").at(diagnosis.samplers[0].curves[0].name).at(0).is_null());
  EXPECT_FALSE(diagnosis_from_json(text, "x").samplers[0].final.ksd.has_value());
}

TEST(JsonReport, IsRefusedWithItsPathWhereItIsNone) {
  for (const std::string text : {"", "{", "[]", "{}", "{\"schema\": 2}", "{\"schema\": 1, \"verdict\": \"good\"}"}) {
    SCOPED_TRACE(text);
    try {
      diagnosis_from_json(text, "runs/x/diagnosis.json");
      ADD_FAILURE() << "no error";
    } catch (const DataError& error) {
      EXPECT_EQ(error.path(), "runs/x/diagnosis.json");
    }
  }
}

TEST(JunitReport, CountsTheChecksOfEverySampler) {
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(to_junit(example()).c_str()));
  std::size_t suites = 0;
  for (const pugi::xml_node suite : document.child("testsuites").children("testsuite")) {
    const SamplerDiagnosis& sampler = example().samplers.at(suites++);
    const auto failed = checks_that(sampler, Verdict::fail).size();
    const auto skipped =
        checks_that(sampler, Verdict::inconclusive).size() + checks_that(sampler, Verdict::not_run).size();
    EXPECT_EQ(suite.attribute("tests").as_uint(), sampler.checks.size());
    EXPECT_EQ(suite.attribute("failures").as_uint(), failed);
    EXPECT_EQ(suite.attribute("skipped").as_uint(), skipped);
    std::size_t cases = 0, failures = 0, skips = 0;
    for (const pugi::xml_node test : suite.children("testcase")) {
      EXPECT_EQ(test.attribute("name").as_string(), sampler.checks.at(cases++).id);
      failures += test.child("failure") ? 1 : 0;
      skips += test.child("skipped") ? 1 : 0;
    }
    EXPECT_EQ(cases, sampler.checks.size());
    EXPECT_EQ(failures, failed);
    EXPECT_EQ(skips, skipped);
  }
  EXPECT_EQ(suites, 2u);
}

}  // namespace
}  // namespace fslens::test
