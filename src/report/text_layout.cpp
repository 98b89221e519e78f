#include "text_layout.hpp"

#include <sstream>

namespace fslens {

std::string wrapped(const std::string& text, std::size_t width, const std::string& indent) {
  std::istringstream words(text);
  std::string out, line, word;
  while (words >> word) {
    if (!line.empty() && indent.size() + line.size() + 1 + word.size() > width) {
      out += indent + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return line.empty() ? out : out + indent + line + "\n";
}

std::string symbol(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass: return "ok";
    case Verdict::fail: return "FAIL";
    case Verdict::inconclusive: return "?";
    case Verdict::not_run: return "-";
  }
  return "";
}

}  // namespace fslens
