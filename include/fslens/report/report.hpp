// A diagnosis shown: for a terminal, for programs, for continuous integration. Computes nothing.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fslens/diagnosis/diagnosis.hpp"
#include "fslens/diagnosis/tuning.hpp"

namespace fslens {

struct TextOptions {
  bool color = false;       ///< ANSI colours
  std::size_t width = 100;  ///< columns
  bool full = false;        ///< every check with its numbers, not only what failed
};

/// The verdict table, then what failed and what to do about it.
std::string to_text(const Diagnosis& diagnosis, const TextOptions& options = {});

/// diagnosis.json, schema 1 (interface.md). Undefined numbers are null.
std::string to_json(const Diagnosis& diagnosis);
/// Reads diagnosis.json back. @throws DataError naming the path and what is wrong
Diagnosis diagnosis_from_json(const std::string& text, const std::string& path);

/// JUnit XML: a suite a sampler, a case a check; inconclusive and not-run are skipped, fail is a failure.
std::string to_junit(const Diagnosis& diagnosis);

/// Candidates, the best of them, what it is worth on unseen measurements, ζ*(t), and what remains.
std::string to_text(const TuneResult& result);
/// tuning.json, schema 1 (docs/tuning.md). Undefined numbers are null.
std::string to_json(const TuneResult& result);

/// What manifest.json records of a run.
struct Manifest {
  std::string version;
  std::string cpu_target;
  std::string command;
  std::uint64_t seed = 0;
  std::size_t threads = 0;
  std::string started;  ///< ISO 8601, UTC
  std::vector<std::pair<std::string, std::string>> inputs;  ///< path, sha256
  std::vector<std::pair<std::string, std::string>> outputs;  ///< path in the run, sha256
};
std::string to_json(const Manifest& manifest);

}  // namespace fslens
