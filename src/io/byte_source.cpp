#include "byte_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <vector>

#include "fslens/core/error.hpp"

namespace fslens::io {

std::size_t ByteSource::read(std::span<std::byte> out) {
  std::size_t filled = 0;
  while (filled < out.size()) {
    const std::size_t got = read_some(out.subspan(filled));
    if (got == 0) break;
    filled += got;
    offset_ += got;
  }
  return filled;
}

void ByteSource::read_exactly(std::span<std::byte> out, std::string_view what) {
  const std::uint64_t start = offset_;
  const std::size_t got = read(out);
  if (got != out.size())
    fail_at(start, fmt::format("truncated: expected {} bytes of {}, found {}", out.size(), what, got));
}

void ByteSource::skip(std::uint64_t bytes, std::string_view what) {
  if (size_ && bytes <= *size_ - offset_ && seek_forward(bytes)) {
    offset_ += bytes;
    return;
  }
  std::vector<std::byte> ignored(std::size_t{1} << 20);
  while (bytes > 0) {
    const std::size_t now = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, ignored.size()));
    read_exactly(std::span(ignored).first(now), what);
    bytes -= now;
  }
}

void ByteSource::require_end(std::string_view what) {
  const std::uint64_t end = offset_;
  std::byte extra;
  if (read({&extra, 1}) != 0) fail_at(end, fmt::format("trailing data after {}", what));
}

void ByteSource::require_remaining(std::uint64_t payload, std::string_view what) const {
  const std::uint64_t remaining = size_bound_ > offset_ ? size_bound_ - offset_ : 0;
  if (size_ && remaining > payload)
    fail(fmt::format("trailing data: expected {} bytes of {}, found {}", payload, what, remaining));
  if (remaining < payload)
    fail(fmt::format("truncated: expected {} bytes of {}, found {}{}", payload, what, size_ ? "" : "at most ",
                     remaining));
}

void ByteSource::fail_at(std::uint64_t offset, std::string_view problem) const {
  throw DataError(name_, problem, static_cast<std::size_t>(offset));
}

void require_readable_file(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) throw DataError(path, "no such file");
    throw IoError(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
  }
  if (S_ISDIR(status.st_mode)) throw DataError(path, "is a directory, expected a file");
  if (!S_ISREG(status.st_mode)) throw DataError(path, "is not a regular file");
}

namespace {

class FileSource final : public ByteSource {
 public:
  explicit FileSource(const std::string& path) : ByteSource(path) {
    require_readable_file(path);
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) throw IoError(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
    struct stat status {};
    ::fstat(descriptor_, &status);
    set_exact_size(static_cast<std::uint64_t>(status.st_size));
  }
  ~FileSource() override { ::close(descriptor_); }
  int descriptor() const override { return descriptor_; }

 protected:
  bool seek_forward(std::uint64_t bytes) override {
    return ::lseek(descriptor_, static_cast<off_t>(bytes), SEEK_CUR) >= 0;
  }
  std::size_t read_some(std::span<std::byte> out) override {
    for (;;) {
      const ssize_t got = ::read(descriptor_, out.data(), out.size());
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) throw IoError(fmt::format("{}: cannot be read: {}", name(), std::strerror(errno)));
    }
  }

 private:
  int descriptor_ = -1;
};

/// Offsets are those of the decompressed data.
class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<ByteSource> file)
      : ByteSource(file->name()), file_(std::move(file)), input_(std::size_t{1} << 16) {
    set_size_bound(file_->size_bound() * kMaxDeflateRatio);
    if (::inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) throw IoError("zlib cannot be initialised");
  }
  ~GzipSource() override { ::inflateEnd(&stream_); }

 protected:
  std::size_t read_some(std::span<std::byte> out) override {
    const std::size_t room = std::min<std::size_t>(out.size(), std::numeric_limits<uInt>::max());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(room);
    while (stream_.avail_out == room && room > 0) {
      if (stream_.avail_in == 0 && !refill()) {
        if (inside_member_) fail("the gzip stream ends too early");
        return 0;
      }
      if (!inside_member_) begin_member();
      const int status = ::inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        inside_member_ = false;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        fail(fmt::format("damaged gzip stream: {}", stream_.msg != nullptr ? stream_.msg : "invalid data"));
      }
    }
    return room - stream_.avail_out;
  }

 private:
  bool refill() {
    const std::size_t got = file_->read(input_);
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    stream_.avail_in = static_cast<uInt>(got);
    return got > 0;
  }
  void begin_member() {
    ::inflateReset(&stream_);
    inside_member_ = true;
  }

  std::unique_ptr<ByteSource> file_;
  std::vector<std::byte> input_;
  z_stream stream_{};
  bool inside_member_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_file(const std::string& path) { return std::make_unique<FileSource>(path); }

std::unique_ptr<ByteSource> open_maybe_gzip(const std::string& path) {
  unsigned char magic[2] = {0, 0};
  {
    FileSource file(path);
    file.read(std::as_writable_bytes(std::span(magic)));
  }
  auto file = open_file(path);
  if (magic[0] == 0x1f && magic[1] == 0x8b) return std::make_unique<GzipSource>(std::move(file));
  return file;
}

std::string peek(const std::string& path, std::size_t limit) {
  std::string head(limit, '\0');
  const auto source = open_maybe_gzip(path);
  head.resize(source->read(std::as_writable_bytes(std::span(head.data(), head.size()))));
  return head;
}

}  // namespace fslens::io
