#include "../../apps/fslens/progress_line.hpp"

#include <gtest/gtest.h>

namespace fslens::app {
namespace {

ProgressState state(std::size_t done, std::size_t total, double reported, double now) {
  return {"sample pigdm", done, total, reported, now};
}

TEST(ProgressLine, TellsStagePercentTimeTakenAndTimeLeft) {
  EXPECT_EQ(progress_line(state(25, 100, 10.0, 10.0), 80), "sample pigdm [#######.......................]  25 %  10 s, 30 s left");
  EXPECT_EQ(progress_line(state(99, 100, 99.0, 99.0), 80), "sample pigdm [#############################.]  99 %  1 min 39 s, 1 s left");
}

TEST(ProgressLine, TheClockGoesOnBetweenReports) {
  EXPECT_EQ(progress_line(state(1, 4, 60.0, 90.0), 80), "sample pigdm [#######.......................]  25 %  1 min 30 s, 2 min 30 s left");
  EXPECT_EQ(progress_line(state(3, 4, 60.0, 500.0), 60), "sample pigdm [############.....]  75 %  8 min 20 s, 0 s left")
      << "later than expected";
}

TEST(ProgressLine, LeavesTheTimeLeftOutUntilThereIsSomethingToTellItFrom) {
  EXPECT_EQ(progress_line(state(0, 100, 0.0, 12.0), 80), "sample pigdm [..............................]   0 %  12 s");
  EXPECT_EQ(progress_line(state(1, 100, 0.1, 0.4), 80), "sample pigdm [..............................]   1 %  0 s");
}

TEST(ProgressLine, IsNeverWiderThanTheTerminal) {
  const ProgressState wide{"judge méthode", 123456789, 987654321, 5000.0, 5001.0};
  for (std::size_t width = 0; width <= 120; ++width) {
    const std::string line = progress_line(wide, width);
    EXPECT_LE(line.size(), width + 1) << width;  // one character of two bytes
    EXPECT_EQ(line.find('[') != std::string::npos, width >= 59) << width;
  }
  EXPECT_EQ(progress_line(state(25, 100, 10.0, 10.0), 36), "sample pigdm  25 %  10 s, 30 s left") << "no room for a bar";
  EXPECT_EQ(progress_line(state(25, 100, 10.0, 10.0), 8), "sample p");
}

TEST(ProgressLine, IsFullAtTheEndAndNotBefore) {
  EXPECT_NE(progress_line(state(100, 100, 10.0, 10.0), 80).find("] 100 %"), std::string::npos);
  EXPECT_NE(progress_line(state(999, 1000, 10.0, 10.0), 80).find(".]  99 %"), std::string::npos);
  EXPECT_NE(progress_line(state(0, 0, 10.0, 10.0), 80).find("] 100 %"), std::string::npos);
}

TEST(DurationText, IsInTheUnitsThatMatter) {
  EXPECT_EQ(duration_text(0.0), "0 s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(59.6), "1 min 00 s");
  EXPECT_EQ(duration_text(3599.0), "59 min 59 s");
  EXPECT_EQ(duration_text(3600.0), "1 h 00 min");
  EXPECT_EQ(duration_text(90061.0), "25 h 01 min");
  EXPECT_EQ(duration_text(-3.0), "0 s");
}

}  // namespace
}  // namespace fslens::app
