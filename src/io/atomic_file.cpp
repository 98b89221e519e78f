#include "atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "fslens/core/error.hpp"

namespace fslens::io {

AtomicFile::AtomicFile(const std::string& path) : path_(path), partial_path_(path + ".partial") {
  descriptor_ = ::open(partial_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("created");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial_path_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("written");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset_ += static_cast<std::uint64_t>(written);
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) fail("flushed to the disk");
  const int descriptor = descriptor_;
  descriptor_ = -1;
  // Some filesystems report a full disk or an exceeded quota only now.
  bool renamed = false;
  const char* action = "closed";
  if (::close(descriptor) == 0) {
    action = "put in place";
    renamed = std::rename(partial_path_.c_str(), path_.c_str()) == 0;
  }
  if (!renamed) {
    const int reason = errno;
    ::unlink(partial_path_.c_str());
    errno = reason;
    fail(action);
  }
  flush_directory(std::filesystem::path(path_).parent_path().string());
}

void AtomicFile::fail(std::string_view action) const {
  throw IoError(fmt::format("{}: cannot be {}: {}", path_, action, std::strerror(errno)));
}

void flush_directory(const std::string& directory) {
  const int descriptor = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace fslens::io
