// A file that takes its name only when it is complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace fslens::io {

/// Writes to `path + ".partial"`; commit() flushes it to the disk and renames it. Without commit() it is removed.
class AtomicFile {
 public:
  /// @throws IoError
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  std::uint64_t offset() const { return offset_; }
  const std::string& path() const { return path_; }
  void commit();

 private:
  [[noreturn]] void fail(std::string_view action) const;  // with the text of errno

  std::string path_;
  std::string partial_path_;
  int descriptor_ = -1;
  std::uint64_t offset_ = 0;
};

/// Makes renames inside a directory durable. Filesystems that cannot do so are left alone.
void flush_directory(const std::string& directory);

}  // namespace fslens::io
