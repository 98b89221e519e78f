// IDX, the format of MNIST: 00 00 TT DD, DD big-endian 32-bit extents, the elements (big endian).
#include <fmt/format.h>

#include <array>
#include <optional>
#include <span>

#include "array_formats.hpp"
#include "byte_source.hpp"
#include "elements.hpp"
#include "fslens/core/error.hpp"

namespace fslens::io {
namespace {

constexpr unsigned kMaxDimensions = 8;

std::optional<ElementType> element_type_of(unsigned code) {
  switch (code) {
    case 0x08:
      return ElementType::uint8;
    case 0x09:
      return ElementType::int8;
    case 0x0B:
      return ElementType::int16;
    case 0x0C:
      return ElementType::int32;
    case 0x0D:
      return ElementType::float32;
    case 0x0E:
      return ElementType::float64;
    default:
      return std::nullopt;
  }
}

}  // namespace

PendingArray open_idx(const std::string& path) {
  auto source = open_maybe_gzip(path);
  std::array<unsigned char, 4> magic{};
  source->read_exactly(std::as_writable_bytes(std::span(magic)), "the IDX magic number");
  if (magic[0] != 0 || magic[1] != 0)
    source->fail_at(0,
                    fmt::format("not an IDX file: expected two zero bytes, found {:02x} {:02x}", magic[0], magic[1]));
  const auto type = element_type_of(magic[2]);
  if (!type) source->fail_at(2, fmt::format("IDX element type 0x{:02x}, expected 08, 09, 0b, 0c, 0d or 0e", magic[2]));
  if (magic[3] < 1 || magic[3] > kMaxDimensions)
    source->fail_at(3, fmt::format("{} IDX dimensions, expected 1 to {}", magic[3], kMaxDimensions));
  std::vector<std::size_t> shape;
  for (unsigned axis = 0; axis < magic[3]; ++axis) {
    std::array<unsigned char, 4> extent{};
    source->read_exactly(std::as_writable_bytes(std::span(extent)), "an IDX extent");
    shape.push_back(static_cast<std::size_t>(extent[0]) << 24 | static_cast<std::size_t>(extent[1]) << 16 |
                    static_cast<std::size_t>(extent[2]) << 8 | extent[3]);
  }
  return {std::move(source), std::move(shape), {.type = *type, .big_endian = true}};
}

}  // namespace fslens::io
