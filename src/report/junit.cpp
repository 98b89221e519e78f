#include <fmt/format.h>

#include <pugixml.hpp>
#include <sstream>

#include "fslens/report/report.hpp"

namespace fslens {
namespace {

void add_case(pugi::xml_node suite, const SamplerDiagnosis& sampler, const Check& check) {
  pugi::xml_node node = suite.append_child("testcase");
  node.append_attribute("classname") = sampler.name.c_str();
  node.append_attribute("name") = check.id.c_str();
  node.append_attribute("time") = "0";
  const std::string text = check.advice.empty() ? check.finding : check.finding + ". " + check.advice;
  if (check.verdict == Verdict::fail) {
    pugi::xml_node failure = node.append_child("failure");
    failure.append_attribute("type") = "fail";
    failure.append_attribute("message") = check.finding.c_str();
    failure.text() = text.c_str();
  } else if (check.verdict != Verdict::pass) {
    node.append_child("skipped").append_attribute("message") = fmt::format("{}: {}", to_string(check.verdict), text).c_str();
  }
}

}  // namespace

std::string to_junit(const Diagnosis& diagnosis) {
  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version") = "1.0";
  declaration.append_attribute("encoding") = "UTF-8";
  pugi::xml_node suites = document.append_child("testsuites");
  suites.append_attribute("name") = diagnosis.problem.c_str();
  for (const SamplerDiagnosis& sampler : diagnosis.samplers) {
    pugi::xml_node suite = suites.append_child("testsuite");
    std::size_t failures = 0, skipped = 0;
    for (const Check& check : sampler.checks) {
      failures += check.verdict == Verdict::fail ? 1 : 0;
      skipped += check.verdict == Verdict::inconclusive || check.verdict == Verdict::not_run ? 1 : 0;
    }
    suite.append_attribute("name") = fmt::format("{} / {}", diagnosis.problem, sampler.name).c_str();
    suite.append_attribute("tests") = sampler.checks.size();
    suite.append_attribute("failures") = failures;
    suite.append_attribute("skipped") = skipped;
    suite.append_attribute("errors") = 0;
    suite.append_attribute("time") = sampler.seconds;
    for (const Check& check : sampler.checks) add_case(suite, sampler, check);
  }
  std::ostringstream out;
  document.save(out, "  ");
  return out.str();
}

}  // namespace fslens
