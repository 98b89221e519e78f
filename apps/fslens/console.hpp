// The terminal: progress on stderr, interruption, colours.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "fslens/core/observer.hpp"
#include "progress_line.hpp"

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

/// From here on Ctrl-C asks running computations to stop, and a file that is cut while its atoms are in use ends the program with
/// a message.
void catch_signals();

bool stdout_is_terminal();
std::size_t terminal_width();

/// A progress bar with time left on stderr; silent where stderr is not a terminal. A stage of a large problem takes long from
/// one report to the next, so the clock goes on in between.
class ConsoleObserver final : public Observer {
 public:
  ConsoleObserver();
  ~ConsoleObserver() override;
  void progress(std::string_view stage, std::size_t done, std::size_t total) override;
  bool interrupted() override;

 private:
  using Clock = std::chrono::steady_clock;
  void keep_drawing();
  void draw(Clock::time_point now);
  void clear();

  const bool active_;
  std::mutex mutex_;  // of all that follows
  std::condition_variable ended_;
  bool running_ = true;
  ProgressState state_;
  Clock::time_point stage_start_;
  std::string drawn_;  // empty: the line is clear
  std::thread clock_;
};

}  // namespace fslens::app
