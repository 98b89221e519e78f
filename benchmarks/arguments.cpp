#include "arguments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <exception>
#include <utility>

#include "fslens/core/error.hpp"

namespace fslens::benchmarks {
namespace {

double parsed(const std::string& name, const std::string& text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    throw UsageError(fmt::format("--{}: '{}' is not a number", name, text));
  return value;
}

// Sizes may be written as 1e6.
std::size_t counted(const std::string& name, double value) {
  if (value < 1.0 || value != std::floor(value)) throw UsageError(fmt::format("--{}: {} must be a positive integer", name, value));
  return static_cast<std::size_t>(value);
}

}  // namespace

Arguments::Arguments(int& argc, char** argv, std::map<std::string, std::string> defaults, const std::string& keep_prefix)
    : values_(std::move(defaults)) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (!keep_prefix.empty() && argument.starts_with(keep_prefix)) {
      argv[kept++] = argv[i];
      continue;
    }
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const auto known = values_.find(name.starts_with("--") ? name.substr(2) : name);
    if (!name.starts_with("--") || known == values_.end()) {
      std::vector<std::string> names;
      for (const auto& [option, value] : values_) names.push_back("--" + option);
      throw UsageError(unknown_name_message("option", name, names));
    }
    known->second = equals == std::string::npos ? "yes" : argument.substr(equals + 1);
  }
  argc = kept;
}

const std::string& Arguments::text(const std::string& name) const { return values_.at(name); }

double Arguments::number(const std::string& name) const { return parsed(name, text(name)); }

std::size_t Arguments::count(const std::string& name) const { return counted(name, number(name)); }

std::vector<std::string> Arguments::texts(const std::string& name) const {
  std::vector<std::string> parts;
  const std::string& all = text(name);
  for (std::size_t begin = 0; begin <= all.size();) {
    const std::size_t end = std::min(all.find(',', begin), all.size());
    parts.push_back(all.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::vector<double> Arguments::numbers(const std::string& name) const {
  std::vector<double> values;
  for (const std::string& part : texts(name)) values.push_back(parsed(name, part));
  return values;
}

std::vector<std::size_t> Arguments::counts(const std::string& name) const {
  std::vector<std::size_t> values;
  for (const double value : numbers(name)) values.push_back(counted(name, value));
  return values;
}

int run_program(const char* name, int (*run)(int& argc, char** argv), int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const UsageError& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    return 1;
  }
}

}  // namespace fslens::benchmarks
