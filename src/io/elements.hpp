// Decoding of raw array elements into NumericArray or StoredArray.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "byte_source.hpp"
#include "fslens/io/array.hpp"
#include "fslens/io/stored_array.hpp"

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

/// An array whose header was read: the source stands at its first element.
struct PendingArray {
  std::unique_ptr<ByteSource> source;
  std::vector<std::size_t> shape;
  ElementLayout layout;
  bool ends_source = true;  ///< nothing may follow; false for one tensor of several
};

/// Checks the size that the header claims against what there is; returns the number of elements. @throws DataError
std::uint64_t require_elements(const PendingArray& array);

/// Reads the elements. Memory is taken after the size was checked, and filled piece by piece. @throws DataError, IoError
NumericArray read_elements(PendingArray array);

/// The same, 16-bit elements as they are. @throws as read_elements; InvalidArgument if an integer has no exact double
StoredArray read_stored_elements(PendingArray array);

/// "4f 4b 21": bytes as they are shown in messages.
std::string hex_bytes(std::string_view bytes);

}  // namespace fslens::io
