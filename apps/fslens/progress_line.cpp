#include "progress_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace fslens::app {
namespace {

constexpr std::size_t kWidestBar = 30;
constexpr std::size_t kNarrowestBar = 8;
constexpr double kEnoughSeconds = 0.5;

/// Of a text in UTF-8: bytes that continue a character are not counted.
std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string first_characters(const std::string& text, std::size_t count) {
  std::size_t end = 0;
  for (std::size_t seen = 0; end < text.size(); ++end)
    if ((static_cast<unsigned char>(text[end]) & 0xc0) != 0x80 && seen++ == count) break;
  return text.substr(0, end);
}

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<long long>(std::round(std::max(0.0, seconds)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string progress_line(const ProgressState& state, std::size_t width) {
  const double fraction = state.total == 0 ? 1.0 : std::min(1.0, static_cast<double>(state.done) / static_cast<double>(state.total));
  std::string times = duration_text(state.seconds);
  if (state.done > 0 && state.seconds_when_reported >= kEnoughSeconds) {
    const double expected = state.seconds_when_reported / fraction;
    times += fmt::format(", {} left", duration_text(expected - state.seconds));
  }
  const std::string after = fmt::format("{:3.0f} %  {}", std::floor(100.0 * fraction), times);
  const std::size_t taken = characters(state.stage) + after.size() + 4;  // a blank, two brackets, a blank
  if (taken + kNarrowestBar > width) return first_characters(fmt::format("{} {}", state.stage, after), width);
  const std::size_t bar = std::min(kWidestBar, width - taken);
  const auto filled = static_cast<std::size_t>(fraction * static_cast<double>(bar));
  return fmt::format("{} [{}{}] {}", state.stage, std::string(filled, '#'), std::string(bar - filled, '.'), after);
}

}  // namespace fslens::app
