// The directory that a run writes: all of it or nothing.
#pragma once

#include <filesystem>
#include <string>

namespace fslens {

/// A run directory under construction. It grows beside its target as `<name>.partial-<pid>` and takes the target's name
/// at commit(); what was not committed is removed when the object dies.
///
/// The target must not exist, or be empty, or be a former run (it holds manifest.json), which stays untouched until
/// commit() replaces it. Everything that could forbid the run's name is checked by the constructor, before hours of
/// sampling.
class RunDirectory {
 public:
  /// Creates the parent directories too. @throws UsageError if the target holds something else; IoError if nothing can
  /// be written there.
  explicit RunDirectory(const std::string& target);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::string& target() const { return target_; }
  /// Where `relative` is to be written now, e.g. "arrays/ess.npy"; its folders are created. @throws InvalidArgument if
  /// it leaves the run directory; IoError
  std::string path(const std::string& relative) const;
  /// Gives the directory its name. Afterwards path() points into the target. @throws UsageError, IoError
  void commit();

 private:
  std::string target_;
  std::filesystem::path staging_;
  bool made_parent_ = false;
  bool committed_ = false;
};

}  // namespace fslens
