#include "fslens/io/stored_array.hpp"

#include <cstdint>
#include <optional>
#include <variant>

#include "array_formats.hpp"
#include "elements.hpp"
#include "mapped_file.hpp"

namespace fslens {
namespace {

/// Reading this much costs nothing, and a small file may then be edited while it is in use.
constexpr std::uint64_t kLeastMappedBytes = std::uint64_t{1} << 20;

template <class T>
StoredArray own(std::vector<std::size_t> shape, std::vector<T>&& values, StoredType type) {
  const auto owner = std::make_shared<const std::vector<T>>(std::move(values));
  return {std::move(shape), type, owner->data(), owner, false};
}

std::optional<StoredType> stored_type(io::ElementType type) {
  switch (type) {
    case io::ElementType::float64:
      return StoredType::float64;
    case io::ElementType::float32:
      return StoredType::float32;
    case io::ElementType::float16:
      return StoredType::float16;
    case io::ElementType::bfloat16:
      return StoredType::bfloat16;
    case io::ElementType::uint8:
      return StoredType::uint8;
    default:
      return std::nullopt;
  }
}

/// The array as its file holds it; nothing if it must be read. @throws DataError if the header lies about its size
std::optional<StoredArray> map_elements(const io::PendingArray& pending) {
  const auto type = stored_type(pending.layout.type);
  const std::uint64_t width = io::byte_width(pending.layout.type);
  const bool lies_as_in_memory = type && (width == 1 || !pending.layout.big_endian) &&
                                 (pending.shape.size() < 2 || !pending.layout.fortran_order) &&
                                 pending.source->offset() % width == 0;
  if (!lies_as_in_memory) return std::nullopt;
  const std::uint64_t bytes = io::require_elements(pending) * width;
  if (bytes < kLeastMappedBytes) return std::nullopt;
  std::shared_ptr<const void> mapping = io::map_bytes(*pending.source, bytes);
  if (mapping == nullptr) return std::nullopt;
  const void* values = mapping.get();
  return StoredArray{pending.shape, *type, values, std::move(mapping), true};
}

}  // namespace

std::size_t StoredArray::size() const {
  std::size_t product = 1;
  for (const std::size_t extent : shape) product *= extent;
  return product;
}

std::string_view name_of(StoredType type) {
  static constexpr std::string_view kNames[] = {"float64", "float32", "float16", "bfloat16", "uint8"};
  return kNames[static_cast<std::size_t>(type)];
}

StoredArray to_stored(NumericArray array) {
  std::vector<std::size_t> shape = array.shape;
  if (auto* values = std::get_if<std::vector<float>>(&array.values))
    return own(std::move(shape), std::move(*values), StoredType::float32);
  if (auto* values = std::get_if<std::vector<std::uint8_t>>(&array.values))
    return own(std::move(shape), std::move(*values), StoredType::uint8);
  return own(std::move(shape), std::move(array).to_double(), StoredType::float64);
}

StoredArray open_array(const std::string& path_with_key) {
  auto opened = io::open_pending(path_with_key);
  if (auto* whole = std::get_if<NumericArray>(&opened)) return to_stored(std::move(*whole));
  auto& pending = std::get<io::PendingArray>(opened);
  if (auto mapped = map_elements(pending)) return std::move(*mapped);
  return io::read_stored_elements(std::move(pending));
}

}  // namespace fslens
