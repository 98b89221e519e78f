// A zip archive of stored entries, written front to back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "atomic_file.hpp"

namespace fslens::io {

/// libzip wants every entry's data until the archive is closed; a run's arrays are too large for that, so the few
/// records that stored entries need are written here. All sizes are zip64, so that there is one code path, and all
/// dates are 1980-01-01, so that equal content gives equal bytes.
class ZipWriter {
 public:
  explicit ZipWriter(const std::string& path) : file_(path) {}
  bool contains(std::string_view name) const;
  /// Adds the entry made of `head` followed by `body`.
  void add(const std::string& name, std::span<const std::byte> head, std::span<const std::byte> body);
  void close();
  const std::string& path() const { return file_.path(); }

 private:
  struct Entry {
    std::string name;
    std::uint64_t size;
    std::uint64_t offset;
    std::uint32_t crc;
  };
  AtomicFile file_;
  std::vector<Entry> entries_;
};

}  // namespace fslens::io
