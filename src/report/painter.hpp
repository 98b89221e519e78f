// Colours of the terminal, or none.
#pragma once

#include <fmt/format.h>

#include <string>

#include "fslens/diagnosis/diagnosis.hpp"

namespace fslens {

class Painter {
 public:
  explicit Painter(bool color) : color_(color) {}
  std::string bold(const std::string& text) const { return wrap("1", text); }
  std::string dim(const std::string& text) const { return wrap("2", text); }
  std::string verdict(Verdict verdict, const std::string& text) const {
    switch (verdict) {
      case Verdict::pass: return wrap("32", text);
      case Verdict::fail: return wrap("1;31", text);
      case Verdict::inconclusive: return wrap("33", text);
      case Verdict::not_run: return wrap("2", text);
    }
    return text;
  }

 private:
  std::string wrap(const char* code, const std::string& text) const {
    return color_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
  }
  bool color_;
};

}  // namespace fslens
