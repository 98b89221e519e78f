#include "fslens/core/error.hpp"
#include "fslens/diagnosis/diagnosis.hpp"

namespace fslens {

std::string to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass: return "pass";
    case Verdict::fail: return "fail";
    case Verdict::inconclusive: return "inconclusive";
    case Verdict::not_run: return "not-run";
  }
  throw Error("verdict out of range");
}

Verdict parse_verdict(const std::string& text) {
  for (const Verdict verdict : {Verdict::pass, Verdict::fail, Verdict::inconclusive, Verdict::not_run})
    if (to_string(verdict) == text) return verdict;
  throw InvalidArgument("verdict = " + text + ": must be pass, fail, inconclusive or not-run");
}

Verdict worst(const std::vector<Verdict>& verdicts) {
  for (const Verdict verdict : {Verdict::fail, Verdict::inconclusive, Verdict::not_run})
    for (const Verdict given : verdicts)
      if (given == verdict) return verdict;
  return verdicts.empty() ? Verdict::not_run : Verdict::pass;
}

}  // namespace fslens
