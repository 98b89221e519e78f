#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <map>
#include <new>
#include <stdexcept>

#include "commands.hpp"
#include "console.hpp"
#include "fslens/core/error.hpp"

namespace fslens::app {
namespace {

constexpr const char* kOutOfMemory = "out of memory: use fewer particles (run.particles), steps (grid.steps) or atoms";

int report_error(const char* kind, const std::string& message, int code) {
  fmt::print(stderr, "fslens: {}{}\n", kind, message);
  return code;
}

int run_command(const Command& command) {
  try {
    return command();
  } catch (const UsageError& error) {
    return report_error("", error.what(), kExitUsage);
  } catch (const DataError& error) {
    return report_error("", error.what(), kExitInvalidInput);
  } catch (const InvalidArgument& error) {
    return report_error("", error.what(), kExitInvalidInput);
  } catch (const IoError& error) {
    return report_error("", error.what(), kExitIo);
  } catch (const Interrupted&) {
    return report_error("", "interrupted; nothing was written", kExitInterrupted);
  } catch (const std::bad_alloc&) {
    return report_error("", kOutOfMemory, kExitIo);
  } catch (const std::length_error&) {
    return report_error("", kOutOfMemory, kExitIo);
  } catch (const std::exception& error) {
    return report_error("internal error: ", error.what(), kExitInternal);
  }
}

std::string command_line(int argc, char** argv) {
  std::string line = "fslens";
  for (int i = 1; i < argc; ++i) line += " " + std::string(argv[i]);
  return line;
}

int main(int argc, char** argv) {
  CLI::App app("Judge diffusion posterior samplers against the exact posterior of a finite training set.", "fslens");
  app.set_version_flag("--version", "fslens " FSLENS_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 all checks pass, 1 a check failed, 2 usage, 3 inconclusive, 4 invalid input,\n"
      "            5 I/O or resource limit, 70 internal, 75 interrupted.\n"
      "Start with: fslens diagnose");
  const std::map<std::string, Command> commands = {
      {"diagnose", add_diagnose(app, command_line(argc, argv))},
      {"calibrate", add_calibrate(app, command_line(argc, argv))},
      {"eval", add_eval(app)},
      {"sample", add_sample(app)},                               {"inspect", add_inspect(app)},
      {"converge", add_converge(app, command_line(argc, argv))},
      {"list", add_list(app)},                                   {"report", add_report(app)},
      {"doctor", add_doctor(app)},                               {"tune", add_tune(app, command_line(argc, argv))}};
  std::vector<std::string> names;
  for (const auto& [name, command] : commands) names.push_back(name);
  if (argc > 1 && argv[1][0] != '-' && !commands.contains(argv[1]))
    return report_error("", unknown_name_message("command", argv[1], names), kExitUsage);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    fmt::print(stderr, "fslens: {}\nRun 'fslens --help' or 'fslens COMMAND --help'.\n", error.what());
    return kExitUsage;
  }
  catch_signals();
  return run_command(commands.at(app.get_subcommands().front()->get_name()));
}

}  // namespace
}  // namespace fslens::app

int main(int argc, char** argv) { return fslens::app::main(argc, argv); }
