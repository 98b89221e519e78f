#include "console.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace fslens::app {
namespace {

std::atomic<bool> interrupt_requested{false};

void on_interrupt(int) {
  if (interrupt_requested.exchange(true)) std::_Exit(kExitInterrupted);  // the second time means it
}

/// Atoms are mapped files: reading beyond the end of one that was cut meanwhile raises SIGBUS, wherever that is.
void on_bus_error(int) {
  constexpr std::string_view kMessage =
      "\nfslens: a file was cut short, or can no longer be read, while its arrays were in use; put it back and run again\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage.data(), kMessage.size());
  std::_Exit(kExitIo);
}

std::size_t width_of(int terminal, std::size_t fallback) {
  winsize size{};
  return ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : fallback;
}

}  // namespace

void catch_signals() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  std::signal(SIGBUS, on_bus_error);
}

bool stdout_is_terminal() { return isatty(STDOUT_FILENO) == 1; }

std::size_t terminal_width() {
  const std::size_t width = width_of(STDOUT_FILENO, 0);
  return width >= 40 ? std::min<std::size_t>(width, 120) : 100;
}

ConsoleObserver::ConsoleObserver() : active_(isatty(STDERR_FILENO) == 1) {
  if (active_) clock_ = std::thread([this] { keep_drawing(); });
}

ConsoleObserver::~ConsoleObserver() {
  if (!active_) return;
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
  }
  ended_.notify_all();
  clock_.join();
  clear();
}

void ConsoleObserver::progress(std::string_view stage, std::size_t done, std::size_t total) {
  if (!active_) return;
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  if (stage != state_.stage || done < state_.done) {
    state_ = ProgressState{std::string(stage)};
    stage_start_ = now;
  }
  state_.done = done;
  state_.total = total;
  state_.seconds_when_reported = std::chrono::duration<double>(now - stage_start_).count();
  if (done >= total) clear();  // what is printed next begins on a clear line
}

void ConsoleObserver::keep_drawing() {
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, std::chrono::milliseconds(200), [this] { return !running_; })) draw(Clock::now());
}

void ConsoleObserver::draw(Clock::time_point now) {
  if (state_.done >= state_.total) return;
  state_.seconds = std::chrono::duration<double>(now - stage_start_).count();
  const std::string line = progress_line(state_, width_of(STDERR_FILENO, 80) - 1);  // the last column would wrap
  if (line == drawn_) return;
  // The new line over the old one, then the rest of the old one away: a line that is cleared first flickers.
  fmt::print(stderr, "\r{}\x1b[K", line);
  std::fflush(stderr);
  drawn_ = line;
}

void ConsoleObserver::clear() {
  if (drawn_.empty()) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_.clear();
}

bool ConsoleObserver::interrupted() { return interrupt_requested.load(); }

}  // namespace fslens::app
