#include "npy.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <span>

#include "fslens/core/error.hpp"

namespace fslens::io {
namespace {

constexpr std::string_view kMagic{"\x93NUMPY", 6};
/// The shapes and types that are read here need a few hundred bytes; numpy itself refuses more than 10,000.
constexpr std::uint64_t kMaxNpyHeaderBytes = 1 << 16;

std::uint64_t read_little_endian(ByteSource& source, std::size_t width, std::string_view what) {
  std::array<std::byte, 8> bytes{};
  source.read_exactly(std::span(bytes).first(width), what);
  std::uint64_t value = 0;
  for (std::size_t i = width; i-- > 0;) value = value << 8 | static_cast<std::uint64_t>(bytes[i]);
  return value;
}

}  // namespace

PendingArray open_npy(std::unique_ptr<ByteSource> opened) {
  ByteSource& source = *opened;
  std::array<char, 6> magic{};
  source.read_exactly(std::as_writable_bytes(std::span(magic)), "the .npy magic");
  const std::string_view found(magic.data(), magic.size());
  if (found != kMagic)
    source.fail_at(
        0, fmt::format("not a .npy file: expected the bytes {}, found {}", hex_bytes(kMagic), hex_bytes(found)));
  const std::uint64_t version_at = source.offset();
  const std::uint64_t major = read_little_endian(source, 1, "the .npy version");
  const std::uint64_t minor = read_little_endian(source, 1, "the .npy version");
  if (major < 1 || major > 3 || minor != 0)
    source.fail_at(version_at, fmt::format(".npy version {}.{}, expected 1.0, 2.0 or 3.0", major, minor));
  const std::uint64_t length_at = source.offset();
  const std::uint64_t length = read_little_endian(source, major == 1 ? 2 : 4, "the .npy header length");
  if (length > kMaxNpyHeaderBytes)
    source.fail_at(length_at, fmt::format(".npy header of {} bytes, at most {} are accepted", length, kMaxNpyHeaderBytes));
  const std::uint64_t start = source.offset();
  std::string text(static_cast<std::size_t>(length), '\0');
  source.read_exactly(std::as_writable_bytes(std::span(text.data(), text.size())), "the .npy header");
  NpyHeader header = parse_npy_header(source, text, start);
  return {std::move(opened), std::move(header.shape), header.layout};
}

std::string npy_preamble(std::string_view descr, const std::vector<std::size_t>& shape) {
  std::string dict = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", descr, shape_text(shape));
  const bool version1 = kMagic.size() + 4 + dict.size() + 64 <= 0xffff;
  const std::size_t prefix = kMagic.size() + (version1 ? 4 : 6);
  const std::size_t unpadded = prefix + dict.size() + 1;
  dict.append((64 - unpadded % 64) % 64, ' ');
  dict += '\n';
  std::string preamble(kMagic);
  preamble += version1 ? '\x01' : '\x02';
  preamble += '\0';
  for (std::size_t i = 0; i < (version1 ? 2U : 4U); ++i) preamble += static_cast<char>(dict.size() >> (8 * i) & 0xff);
  return preamble + dict;
}

}  // namespace fslens::io
