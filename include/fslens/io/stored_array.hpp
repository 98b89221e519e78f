// Large arrays as their files hold them: mapped into memory where the file allows it, read otherwise.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fslens/io/array.hpp"

namespace fslens {

/// The element types that are kept as they are stored. 16-bit elements are their bit patterns.
enum class StoredType { float64, float32, float16, bfloat16, uint8 };

/// A dense array in row-major (C) order and this machine's byte order.
struct StoredArray {
  std::vector<std::size_t> shape;
  StoredType type = StoredType::float64;
  const void* values = nullptr;       ///< aligned for the type; shape's product of them
  std::shared_ptr<const void> owner;  ///< keeps the values alive
  bool is_mapped = false;             ///< the values are the file's own bytes
  std::size_t size() const;
};

std::string_view name_of(StoredType type);  ///< "float64", …

/// Opens one array: what read_array takes, in the same way and with the same refusals, but as StoredArray.
///
/// float64, float32, float16, bfloat16 and uint8 are kept, every other type becomes float64. An array that lies in its file as it
/// would in memory (`.npy` in C order and native byte order, a `.safetensors` tensor, an uncompressed IDX of bytes; aligned for its
/// type and of 1 MiB or more) is mapped: it takes no memory that the machine could not give to others, and no time to read
/// what is not asked for. Everything else is read. The header is checked against the size of the file before either.
///
/// A mapped file must stay as it is while the array lives: values that are overwritten in place change, and reading beyond
/// the end of a file that was cut is a SIGBUS. Renaming another file over it, or deleting it, does no harm.
/// @throws as read_array; InvalidArgument if an integer has no exact double
StoredArray open_array(const std::string& path_with_key);

/// The same of an array that is in memory already. @throws InvalidArgument as above
StoredArray to_stored(NumericArray array);

}  // namespace fslens
