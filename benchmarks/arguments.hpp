// Options of the benchmark programs: --name=value and --name.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace fslens::benchmarks {

/// Defaults, overridden by the command line. Lists are separated by commas.
class Arguments {
 public:
  /// Takes what it knows out of argv; `keep_prefix`: options that begin with it are left there for somebody else.
  /// @throws UsageError on an option that is not in `defaults`
  Arguments(int& argc, char** argv, std::map<std::string, std::string> defaults, const std::string& keep_prefix = "");

  const std::string& text(const std::string& name) const;
  bool flag(const std::string& name) const { return text(name) == "yes"; }
  double number(const std::string& name) const;
  std::size_t count(const std::string& name) const;
  std::vector<std::string> texts(const std::string& name) const;
  std::vector<double> numbers(const std::string& name) const;
  std::vector<std::size_t> counts(const std::string& name) const;

 private:
  std::map<std::string, std::string> values_;
};

/// What main() does: runs `run`, tells of an error on stderr. Exit code 2 for a wrong option, 1 for any other error.
int run_program(const char* name, int (*run)(int& argc, char** argv), int argc, char** argv);

}  // namespace fslens::benchmarks
