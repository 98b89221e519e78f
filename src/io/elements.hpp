// Decoding of raw array elements into NumericArray.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "byte_source.hpp"
#include "fslens/io/array.hpp"

namespace fslens::io {

enum class ElementType {
  float16,
  bfloat16,
  float32,
  float64,  // clang-format off
  int8, int16, int32, int64, uint8, uint16, uint32, uint64, boolean  // clang-format on
};

std::size_t byte_width(ElementType type);
std::string_view type_name(ElementType type);

/// How elements lie in the file.
struct ElementLayout {
  ElementType type = ElementType::float64;
  bool big_endian = false;
  bool fortran_order = false;
};

/// Number of elements; absent if it, or its bytes, overflow 63 bits.
std::optional<std::uint64_t> checked_element_count(const std::vector<std::size_t>& shape, ElementType type);

/// Reads the elements of an array of this shape, which must be all that is left of the source.
/// Memory is taken after the size was checked, and filled piece by piece. @throws DataError, IoError
NumericArray read_elements(ByteSource& source, std::vector<std::size_t> shape, const ElementLayout& layout);

/// The same where more data may follow (one tensor of several).
NumericArray read_some_elements(ByteSource& source, std::vector<std::size_t> shape, const ElementLayout& layout);

/// "4f 4b 21": bytes as they are shown in messages.
std::string hex_bytes(std::string_view bytes);

}  // namespace fslens::io
