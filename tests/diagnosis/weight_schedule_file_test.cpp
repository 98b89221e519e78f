#include "fslens/diagnosis/weight_schedule_file.hpp"

#include <gtest/gtest.h>

#include <string>

#include "fslens/core/error.hpp"
#include "fslens/diagnosis/diagnose.hpp"
#include "fslens/io/array_writer.hpp"
#include "io/scratch.hpp"
#include "problems.hpp"

namespace fslens::test {
namespace {

std::string refusal(const std::string& path) {
  try {
    read_weight_schedule(path);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

TEST(WeightScheduleFile, ReadsBackTheSameBits) {
  const ScratchFolder folder;
  const WeightSchedule schedule{{1.0, 1.0 / 3.0, 1e-3}, {0.1, 2.0 / 7.0, -1e-17}};
  write(folder.path("zeta.csv"), to_csv(schedule));
  EXPECT_EQ(read_weight_schedule(folder.path("zeta.csv")), schedule);
  NpzWriter archive(folder.path("zeta.npz"));
  archive.add("t", {3}, std::span<const double>(schedule.t));
  archive.add("weight", {3}, std::span<const double>(schedule.weight));
  archive.close();
  EXPECT_EQ(read_weight_schedule(folder.path("zeta.npz")), schedule);
}

TEST(WeightScheduleFile, RefusesOtherTables) {
  const ScratchFolder folder;
  const std::string path = folder.path("zeta.csv");
  const auto refused = [&](const std::string& text) {
    write(path, text);
    return refusal(path);
  };
  EXPECT_NE(refused("weight,t\n1,1\n").find("begins with 'weight,t'"), std::string::npos);
  EXPECT_NE(refused("1,1\n").find("begins with the line t,weight"), std::string::npos);
  EXPECT_NE(refused("t,weight\n").find("no rows"), std::string::npos);
  EXPECT_NE(refused("t,weight\n1,x\n").find("'x' is not a number"), std::string::npos);
  EXPECT_NE(refused("t,weight\n1,1\n1,2\n").find("strictly"), std::string::npos);
  EXPECT_NE(refused("t,weight\n0,1\n").find("t[0]"), std::string::npos);
  EXPECT_NE(refusal(folder.path("none.csv")).find("none.csv"), std::string::npos);
}

TEST(WeightScheduleFile, IsRelativeToTheProblemThatNamesIt) {
  const ScratchFolder folder;
  write(folder.path("zeta.csv"), "t,weight\n0.5,2\n");
  const std::string text = std::string(kThreeAtoms) + "[[sampler]]\nname = \"dps-sigma\"\nschedule = \"zeta.csv\"\n";
  SilentObserver observer;
  const Problem problem = build_problem(parse_problem(text, "test.toml", folder.str()), "test", observer);
  ASSERT_EQ(problem.samplers.size(), 1u);
  EXPECT_EQ(problem.samplers[0].schedule, (WeightSchedule{{0.5}, {2.0}}));
  EXPECT_EQ(sampler_label(problem.samplers[0]), "dps-sigma schedule=zeta.csv");
  EXPECT_THROW(build_problem(parse_problem(text, "test.toml", folder.str() + "/elsewhere"), "test", observer), DataError);
  // Random numbers follow the weights, not the place of the file.
  SamplerSpec moved = problem.samplers[0], other = moved;
  moved.parameters["schedule"] = "/elsewhere/zeta.csv";
  other.schedule->weight[0] = 3.0;
  EXPECT_EQ(sampler_stream(1, moved).normal(0, 0), sampler_stream(1, problem.samplers[0]).normal(0, 0));
  EXPECT_NE(sampler_stream(1, other).normal(0, 0), sampler_stream(1, problem.samplers[0]).normal(0, 0));
}

}  // namespace
}  // namespace fslens::test
