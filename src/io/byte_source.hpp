// Sequential bytes from a file, a gzip stream or a zip entry, with errors that say where.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace fslens::io {

/// Deflate cannot shrink data by more than this factor, so a file bounds what it can decompress to.
inline constexpr std::uint64_t kMaxDeflateRatio = 1032;

class ByteSource {
 public:
  explicit ByteSource(std::string name) : name_(std::move(name)) {}
  virtual ~ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  const std::string& name() const { return name_; }
  std::uint64_t offset() const { return offset_; }
  /// How many bytes there are in all, where the container says so exactly.
  std::optional<std::uint64_t> size() const { return size_; }
  /// No more bytes than this can come in all.
  std::uint64_t size_bound() const { return size_bound_; }

  /// Fills `out` as far as the data goes; returns fewer bytes only at the end.
  std::size_t read(std::span<std::byte> out);
  /// @throws DataError "truncated: …" naming `what` if there are not enough bytes.
  void read_exactly(std::span<std::byte> out, std::string_view what);
  /// Passes over bytes that are there. @throws DataError as read_exactly
  void skip(std::uint64_t bytes, std::string_view what);
  /// The open file whose bytes these are, at the same offsets; −1 where they are not a file's own.
  virtual int descriptor() const { return -1; }
  /// @throws DataError if bytes are left.
  void require_end(std::string_view what);
  /// @throws DataError unless `payload` bytes and no more are still to come, as far as that is known beforehand.
  void require_remaining(std::uint64_t payload, std::string_view what) const;
  [[noreturn]] void fail(std::string_view problem) const { fail_at(offset_, problem); }
  [[noreturn]] void fail_at(std::uint64_t offset, std::string_view problem) const;

 protected:
  virtual std::size_t read_some(std::span<std::byte> out) = 0;  // 0: end of data
  /// True if the next byte is now `bytes` further on; false if they must be read.
  virtual bool seek_forward(std::uint64_t /*bytes*/) { return false; }

  void set_exact_size(std::uint64_t size) {
    size_ = size;
    size_bound_ = size;
  }
  void set_size_bound(std::uint64_t bound) { size_bound_ = bound; }

 private:
  std::string name_;
  std::uint64_t offset_ = 0;
  std::optional<std::uint64_t> size_;
  std::uint64_t size_bound_ = 0;
};

/// @throws DataError "…: no such file", or that it is a directory; IoError if it cannot be read.
void require_readable_file(const std::string& path);

std::unique_ptr<ByteSource> open_file(const std::string& path);
/// The file's bytes, decompressed if it begins as gzip does (one or more members).
std::unique_ptr<ByteSource> open_maybe_gzip(const std::string& path);

/// At most `limit` first bytes of what open_maybe_gzip(path) gives.
std::string peek(const std::string& path, std::size_t limit);

}  // namespace fslens::io
