#include "fslens/io/run_directory.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "fslens/io/file.hpp"
#include "io/scratch.hpp"

namespace fslens {
namespace {

using namespace fslens::test;

TEST(RunDirectory, AppearsWholeAtCommit) {
  const ScratchFolder folder;
  const std::string target = folder.path("results/run1");
  RunDirectory run(target);
  EXPECT_EQ(run.target(), target);
  write_file_atomically(run.path("arrays/ess.npy"), "array");
  write_file_atomically(run.path("manifest.json"), "{}");
  EXPECT_FALSE(std::filesystem::exists(target));
  run.commit();
  EXPECT_EQ(read_text_file(target + "/arrays/ess.npy"), "array");
  EXPECT_EQ(run.path("manifest.json"), target + "/manifest.json");
  EXPECT_THROW(run.commit(), InvalidArgument);
}

TEST(RunDirectory, LeavesNothingWithoutCommit) {
  const ScratchFolder folder;
  {
    RunDirectory run(folder.path("run"));
    write_file_atomically(run.path("a/b/c.txt"), "x");
    ASSERT_EQ(folder.names().size(), 1U);
    EXPECT_EQ(folder.names()[0], "run.partial-" + std::to_string(getpid()));
  }
  EXPECT_TRUE(folder.names().empty());
  { RunDirectory run(folder.path("runs/first")); }
  EXPECT_TRUE(folder.names().empty()) << "the folder that was made for the run stays";
  std::filesystem::create_directory(folder.path("runs"));
  { RunDirectory run(folder.path("runs/first")); }
  EXPECT_EQ(folder.names().size(), 1U) << "a folder that was there is gone";
}

TEST(RunDirectory, ReplacesAFormerRunOnlyAtCommit) {
  const ScratchFolder folder;
  folder.write("run/manifest.json", "old");
  folder.write("run/old.txt", "old");
  {
    RunDirectory abandoned(folder.path("run"));
    write_file_atomically(abandoned.path("manifest.json"), "abandoned");
  }
  EXPECT_EQ(bytes_of(folder.path("run/manifest.json")), "old");
  RunDirectory run(folder.path("run") + "/");
  write_file_atomically(run.path("manifest.json"), "new");
  EXPECT_EQ(bytes_of(folder.path("run/manifest.json")), "old");
  run.commit();
  EXPECT_EQ(bytes_of(folder.path("run/manifest.json")), "new");
  EXPECT_FALSE(std::filesystem::exists(folder.path("run/old.txt")));
  EXPECT_EQ(folder.names(), std::vector<std::string>{"run"});
}

TEST(RunDirectory, TakesAnEmptyDirectoryAndNothingElse) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder.path("empty"));
  RunDirectory run(folder.path("empty"));
  write_file_atomically(run.path("manifest.json"), "{}");
  run.commit();
  EXPECT_TRUE(std::filesystem::exists(folder.path("empty/manifest.json")));

  folder.write("thesis/chapter1.tex", "years of work");
  expect_contains(message_of<UsageError>([&] { RunDirectory taken(folder.path("thesis")); }),
                  folder.path("thesis") + ": exists, is not empty and is not a former run (it holds no manifest.json)");
  folder.write("file", "x");
  expect_contains(message_of<UsageError>([&] { RunDirectory taken(folder.path("file")); }),
                  "exists and is not a directory");
  std::filesystem::create_directory_symlink(folder.path("empty"), folder.path("link"));
  EXPECT_THROW(RunDirectory(folder.path("link")), UsageError);
  EXPECT_EQ(bytes_of(folder.path("thesis/chapter1.tex")), "years of work");
}

TEST(RunDirectory, RefusesATargetThatWasFilledMeanwhile) {
  const ScratchFolder folder;
  RunDirectory run(folder.path("run"));
  folder.write("run/precious.txt", "x");
  EXPECT_THROW(run.commit(), UsageError);
  EXPECT_EQ(bytes_of(folder.path("run/precious.txt")), "x");
}

TEST(RunDirectory, FailsEarlyWhereNothingCanBeWritten) {
  const ScratchFolder folder;
  folder.write("file", "x");
  const auto message = message_of<IoError>([&] { RunDirectory run(folder.path("file/run")); });
  expect_contains(message, folder.path("file"));
  expect_contains(message, "Not a directory");
  expect_contains(message_of<IoError>([&] { RunDirectory run("/proc/fslens-run"); }), "/proc/fslens-run.partial-");
}

TEST(RunDirectory, FailsEarlyInAReadOnlyFolder) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write into a read-only folder";
  const ScratchFolder folder;
  std::filesystem::create_directory(folder.path("locked"));
  ::chmod(folder.path("locked").c_str(), 0500);
  expect_contains(message_of<IoError>([&] { RunDirectory run(folder.path("locked/run")); }), "Permission denied");
}

TEST(RunDirectory, StepsAroundLeftoversOfACrash) {
  const ScratchFolder folder;
  const std::string leftover = "run.partial-" + std::to_string(getpid());
  folder.write(leftover + "/half.txt", "x");
  RunDirectory run(folder.path("run"));
  write_file_atomically(run.path("manifest.json"), "{}");
  run.commit();
  auto names = folder.names();
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"run", leftover}));
}

TEST(RunDirectory, KeepsFilesInside) {
  const ScratchFolder folder;
  const RunDirectory run(folder.path("run"));
  for (const char* outside : {"../x", "a/../../x", "/tmp/x", ""})
    EXPECT_THROW(run.path(outside), InvalidArgument) << outside;
  EXPECT_THROW(RunDirectory(""), InvalidArgument);
  EXPECT_THROW(RunDirectory("/"), InvalidArgument);
}

}  // namespace
}  // namespace fslens
