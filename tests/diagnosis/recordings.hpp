// Recordings of exact draws, to plant faults in, and what the diagnosis says of them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "diagnosis/problems.hpp"
#include "fslens/diagnosis/diagnose.hpp"
#include "fslens/io/array_writer.hpp"
#include "io/scratch.hpp"

namespace fslens::test {

/// States at decreasing times.
struct Trajectory {
  std::vector<double> times;
  std::vector<Matrix> states;

  Matrix& last() { return states.back(); }
  /// Calls fault(t, b, x_b) for every state.
  void plant(const std::function<void(double, std::size_t, std::span<double>)>& fault) {
    for (std::size_t i = 0; i < times.size(); ++i)
      for (std::size_t b = 0; b < states[i].rows(); ++b) fault(times[i], b, states[i].row(b));
  }
};

inline const std::vector<double> kTimes = {1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01};

/// What an exact sampler would have recorded. Its numbers are apart from those of the judge.
inline Trajectory exact_trajectory(const Problem& problem, std::size_t num_particles, std::uint64_t seed = 1,
                                   const std::vector<double>& times = kTimes) {
  Trajectory out{times, {}};
  const RandomStream stream = RandomStream(seed).child("contestant");
  for (const double t : times)
    out.states.push_back(problem.lens->sample(Measure::posterior, num_particles, t, stream).x);
  return out;
}

/// Written to an .npz and read back, as one that was made elsewhere would be.
inline Recording recorded(const Problem& problem, const Trajectory& trajectory, const std::string& name = "recorded") {
  const ScratchFolder folder;
  const std::size_t rows = trajectory.states[0].rows(), d = trajectory.states[0].cols();
  std::vector<double> values;
  for (const Matrix& x : trajectory.states) values.insert(values.end(), x.values().begin(), x.values().end());
  NpzWriter writer(folder.path(name + ".npz"));
  writer.add("t", {trajectory.times.size()}, std::span<const double>(trajectory.times));
  writer.add("x", {trajectory.times.size(), rows, d}, std::span<const double>(values));
  writer.close();
  return Recording::read(folder.path(name + ".npz"), problem.lens->schedule(), problem.lens->dim(), 100);
}

/// Final samples alone.
inline Recording recorded_final(const Problem& problem, const Matrix& x0) {
  const ScratchFolder folder;
  NpzWriter writer(folder.path("final.npz"));
  writer.add("x0", {x0.rows(), x0.cols()}, x0.values());
  writer.close();
  return Recording::read(folder.path("final.npz"), problem.lens->schedule(), problem.lens->dim(), 100);
}

inline SamplerDiagnosis judge(const Problem& problem, const Recording& recording) {
  SilentObserver observer;
  DiagnoseOptions options;
  options.recordings.push_back(recording);
  return diagnose(problem, options, observer).samplers.at(0);
}

inline SamplerDiagnosis judge(const Problem& problem, const Trajectory& trajectory) {
  return judge(problem, recorded(problem, trajectory));
}

inline const Check& check_of(const SamplerDiagnosis& diagnosis, const std::string& id) {
  const auto found = std::ranges::find(diagnosis.checks, id, &Check::id);
  if (found != diagnosis.checks.end()) return *found;
  ADD_FAILURE() << "no check " << id;
  static const Check none;
  return none;
}

inline Verdict verdict_of(const SamplerDiagnosis& diagnosis, const std::string& id) {
  return check_of(diagnosis, id).verdict;
}

/// The ids of the checks with this verdict.
inline std::vector<std::string> checks_that(const SamplerDiagnosis& diagnosis, Verdict verdict) {
  std::vector<std::string> ids;
  for (const Check& check : diagnosis.checks)
    if (check.verdict == verdict) ids.push_back(check.id);
  return ids;
}

}  // namespace fslens::test

namespace fslens {
/// How GoogleTest shows one.
inline void PrintTo(Verdict verdict, std::ostream* out) { *out << to_string(verdict); }
}  // namespace fslens
