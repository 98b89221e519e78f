#include "fslens/io/run_directory.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "atomic_file.hpp"
#include "fslens/core/error.hpp"

namespace fslens {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "manifest.json";
constexpr int kMaxLeftovers = 100;

[[noreturn]] void fail(const fs::path& path, std::string_view action, const std::error_code& error) {
  throw IoError(fmt::format("{}: cannot be {}: {}", path.string(), action, error.message()));
}

/// The target may be replaced if nothing of value to others is lost.
void require_replaceable(const fs::path& target) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(target, error);
  if (status.type() == fs::file_type::not_found) return;
  if (status.type() == fs::file_type::none) fail(target, "inspected", error);
  if (status.type() != fs::file_type::directory)
    throw UsageError(fmt::format("{}: exists and is not a directory; give a new name for the run", target.string()));
  const bool empty = fs::is_empty(target, error);
  if (error) fail(target, "read", error);
  if (!empty && !fs::is_regular_file(target / kManifest, error))
    throw UsageError(fmt::format("{}: exists, is not empty and is not a former run (it holds no {}); give another name",
                                 target.string(), kManifest));
}

/// A crash may have left a directory of this process number behind; such leftovers are stepped around, never deleted.
fs::path create_staging(const fs::path& target) {
  for (int attempt = 0; attempt < kMaxLeftovers; ++attempt) {
    fs::path staging = target;
    staging += fmt::format(".partial-{}{}", ::getpid(), attempt == 0 ? "" : fmt::format("-{}", attempt));
    std::error_code error;
    if (fs::create_directory(staging, error)) return staging;
    if (error) fail(staging, "created", error);
  }
  throw IoError(fmt::format("{}: too many leftovers named {}.partial-* beside it; remove them", target.string(),
                            target.filename().string()));
}

}  // namespace

RunDirectory::RunDirectory(const std::string& target) {
  require(!target.empty(), "run directory", "''", "must be a path");
  fs::path absolute = fs::absolute(target).lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();  // "run/"
  require(absolute.has_filename(), "run directory", target, "must not be the root directory");
  target_ = absolute.string();
  require_replaceable(absolute);
  std::error_code error;
  made_parent_ = fs::create_directories(absolute.parent_path(), error);
  if (error) fail(absolute.parent_path(), "created", error);
  staging_ = create_staging(absolute);
}

RunDirectory::~RunDirectory() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove_all(staging_, ignored);
  if (made_parent_) fs::remove(staging_.parent_path(), ignored);  // it stays unless it is empty
}

std::string RunDirectory::path(const std::string& relative) const {
  const fs::path inside = fs::path(relative).lexically_normal();
  require(!inside.empty() && inside.is_relative() && *inside.begin() != "..", "relative", fmt::format("'{}'", relative),
          "must be a path inside the run directory");
  const fs::path full = (committed_ ? fs::path(target_) : staging_) / inside;
  std::error_code error;
  fs::create_directories(full.parent_path(), error);
  if (error) fail(full.parent_path(), "created", error);
  return full.string();
}

void RunDirectory::commit() {
  require(!committed_, "RunDirectory::commit", target_, "must be called once");
  require_replaceable(target_);
  std::error_code error;
  fs::path former;
  if (fs::exists(target_, error)) {
    former = staging_;
    former += ".former";
    fs::rename(target_, former, error);
    if (error) fail(target_, "replaced", error);
  }
  fs::rename(staging_, target_, error);
  if (error) {
    std::error_code ignored;
    if (!former.empty()) fs::rename(former, target_, ignored);
    fail(target_, "put in place", error);
  }
  committed_ = true;
  if (!former.empty()) fs::remove_all(former, error);
  io::flush_directory(fs::path(target_).parent_path().string());
}

}  // namespace fslens
