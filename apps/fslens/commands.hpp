// One function a subcommand: adds its options to the parser and returns what to run when it was chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace fslens::app {

inline constexpr const char* kExactScanHelp =
    "compute every atom in full in every step, with nothing left out after a cheaper look; for comparison";

/// Runs the subcommand; returns its exit code.
using Command = std::function<int()>;

Command add_diagnose(CLI::App& parent, const std::string& command_line);
Command add_calibrate(CLI::App& parent, const std::string& command_line);
Command add_converge(CLI::App& parent, const std::string& command_line);
Command add_eval(CLI::App& parent);
Command add_sample(CLI::App& parent);
Command add_tune(CLI::App& parent, const std::string& command_line);
Command add_inspect(CLI::App& parent);
Command add_list(CLI::App& parent);
Command add_report(CLI::App& parent);
Command add_doctor(CLI::App& parent);

}  // namespace fslens::app
