// The terminal: progress on stderr, interruption, colours.
#pragma once

#include <chrono>
#include <string>

#include "fslens/core/observer.hpp"

namespace fslens::app {

enum ExitCode {
  kExitPass = 0,
  kExitFail = 1,
  kExitUsage = 2,
  kExitInconclusive = 3,
  kExitInvalidInput = 4,
  kExitIo = 5,
  kExitInternal = 70,
  kExitInterrupted = 75
};

/// From here on Ctrl-C asks running computations to stop.
void catch_interrupts();

bool stdout_is_terminal();
std::size_t terminal_width();

/// A progress bar with time left on stderr; silent where stderr is not a terminal.
class ConsoleObserver final : public Observer {
 public:
  ConsoleObserver();
  ~ConsoleObserver() override;
  void progress(std::string_view stage, std::size_t done, std::size_t total) override;
  bool interrupted() override;

 private:
  void clear();
  bool active_;
  bool drawn_ = false;
  std::string stage_;
  std::chrono::steady_clock::time_point stage_start_;
  std::chrono::steady_clock::time_point last_drawn_;
};

}  // namespace fslens::app
