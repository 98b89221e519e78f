#include "zip_writer.hpp"

#include <zlib.h>

#include <algorithm>

namespace fslens::io {
namespace {

constexpr std::uint16_t kNeedsZip64 = 45;  // version of the format that introduced zip64
constexpr std::uint16_t kMadeByUnix = 3 << 8 | kNeedsZip64;
constexpr std::uint16_t kUtf8Name = 1 << 11;
constexpr std::uint16_t kStored = 0;
constexpr std::uint16_t kMidnight = 0;
constexpr std::uint16_t kFirstOfJanuary1980 = 1 << 5 | 1;
constexpr std::uint16_t kZip64Extra = 1;
constexpr std::uint32_t kSeeZip64 = 0xffffffff;
constexpr std::uint32_t kRegularFile0644 = 0100644U << 16;

class Record {
 public:
  template <class Integer>
  Record& put(Integer value) {
    for (std::size_t i = 0; i < sizeof(Integer); ++i)
      bytes_ += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff);
    return *this;
  }
  Record& put_text(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// What local and central headers have in common, from "version needed" to the two 32-bit sizes.
void put_shared_fields(Record& record, std::uint32_t crc) {
  record.put(kNeedsZip64).put(kUtf8Name).put(kStored).put(kMidnight).put(kFirstOfJanuary1980);
  record.put(crc).put(kSeeZip64).put(kSeeZip64);
}

}  // namespace

bool ZipWriter::contains(std::string_view name) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.name == name; });
}

void ZipWriter::add(const std::string& name, std::span<const std::byte> head, std::span<const std::byte> body) {
  // zlib takes a null pointer, which empty spans may hold, as the wish to start anew.
  auto crc = ::crc32_z(0, reinterpret_cast<const Bytef*>(head.data()), head.size());
  if (!body.empty()) crc = ::crc32_z(crc, reinterpret_cast<const Bytef*>(body.data()), body.size());
  const Entry entry{name, head.size() + body.size(), file_.offset(), static_cast<std::uint32_t>(crc)};

  Record local;
  local.put(std::uint32_t{0x04034b50});
  put_shared_fields(local, entry.crc);
  local.put(static_cast<std::uint16_t>(name.size())).put(std::uint16_t{20}).put_text(name);
  local.put(kZip64Extra).put(std::uint16_t{16}).put(entry.size).put(entry.size);
  file_.write(local.bytes());
  file_.write(head);
  file_.write(body);
  entries_.push_back(entry);
}

void ZipWriter::close() {
  const std::uint64_t directory_at = file_.offset();
  for (const Entry& entry : entries_) {
    Record central;
    central.put(std::uint32_t{0x02014b50}).put(kMadeByUnix);
    put_shared_fields(central, entry.crc);
    central.put(static_cast<std::uint16_t>(entry.name.size())).put(std::uint16_t{28});
    central.put(std::uint16_t{0}).put(std::uint16_t{0}).put(std::uint16_t{0});  // no comment, disk 0, no text flag
    central.put(kRegularFile0644).put(kSeeZip64).put_text(entry.name);
    central.put(kZip64Extra).put(std::uint16_t{24}).put(entry.size).put(entry.size).put(entry.offset);
    file_.write(central.bytes());
  }
  const std::uint64_t end_at = file_.offset();
  const std::uint64_t count = entries_.size();
  Record end;
  end.put(std::uint32_t{0x06064b50}).put(std::uint64_t{44}).put(kMadeByUnix).put(kNeedsZip64);
  end.put(std::uint32_t{0}).put(std::uint32_t{0}).put(count).put(count).put(end_at - directory_at).put(directory_at);
  end.put(std::uint32_t{0x07064b50}).put(std::uint32_t{0}).put(end_at).put(std::uint32_t{1});  // zip64 locator
  end.put(std::uint32_t{0x06054b50}).put(std::uint16_t{0}).put(std::uint16_t{0});
  end.put(std::uint16_t{0xffff}).put(std::uint16_t{0xffff}).put(kSeeZip64).put(kSeeZip64).put(std::uint16_t{0});
  file_.write(end.bytes());
  file_.commit();
}

}  // namespace fslens::io
