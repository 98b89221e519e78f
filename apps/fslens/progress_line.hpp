// What a progress bar says, as text.
#pragma once

#include <cstddef>
#include <string>

namespace fslens::app {

/// How far a stage of a computation is.
struct ProgressState {
  std::string stage;
  std::size_t done = 0;
  std::size_t total = 0;
  double seconds_when_reported = 0.0;  ///< since the stage began, when `done` was reported
  double seconds = 0.0;                ///< the same now
};

/// "7 s", "3 min 05 s", "2 h 07 min"
std::string duration_text(double seconds);

/// "sample pigdm [#######.............]  35 %  1 min 10 s, 2 min 10 s left", of `width` characters at most: a narrow terminal costs
/// the bar, then the end of the line. The time left takes what is to come to be as fast as what was; it is left out until enough
/// was seen to tell.
std::string progress_line(const ProgressState& state, std::size_t width);

}  // namespace fslens::app
