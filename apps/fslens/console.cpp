#include "console.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace fslens::app {
namespace {

std::atomic<bool> interrupt_requested{false};

void on_interrupt(int) {
  if (interrupt_requested.exchange(true)) std::_Exit(kExitInterrupted);  // the second time means it
}

std::string duration(double seconds) {
  return seconds < 90.0 ? fmt::format("{:.0f} s", seconds) : fmt::format("{:.0f} min", seconds / 60.0);
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
}

bool stdout_is_terminal() { return isatty(STDOUT_FILENO) == 1; }

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) return std::min<std::size_t>(size.ws_col, 120);
  return 100;
}

ConsoleObserver::ConsoleObserver() : active_(isatty(STDERR_FILENO) == 1) {}

ConsoleObserver::~ConsoleObserver() { clear(); }

void ConsoleObserver::clear() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

void ConsoleObserver::progress(std::string_view stage, std::size_t done, std::size_t total) {
  if (!active_) return;
  const auto now = std::chrono::steady_clock::now();
  if (stage != stage_) {
    stage_ = stage;
    stage_start_ = now;
    last_drawn_ = {};
  }
  if (done >= total) return clear();
  if (drawn_ && now - last_drawn_ < std::chrono::milliseconds(100)) return;
  last_drawn_ = now;
  const double fraction = static_cast<double>(done) / static_cast<double>(total);
  const double elapsed = std::chrono::duration<double>(now - stage_start_).count();
  constexpr std::size_t kBar = 24;
  const auto filled = static_cast<std::size_t>(fraction * kBar);
  const std::string left = done > 0 && elapsed > 0.5 ? ", " + duration(elapsed * (1.0 - fraction) / fraction) + " left" : "";
  fmt::print(stderr, "\r\x1b[K{} [{}{}] {:3.0f} %{}", stage_, std::string(filled, '#'), std::string(kBar - filled, '.'),
             100.0 * fraction, left);
  std::fflush(stderr);
  drawn_ = true;
}

bool ConsoleObserver::interrupted() { return interrupt_requested.load(); }

}  // namespace fslens::app
