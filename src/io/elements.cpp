#include "elements.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <stdexcept>

#include "fslens/core/error.hpp"

namespace fslens::io {
namespace {

static_assert(std::endian::native == std::endian::little, "decoding assumes a little-endian machine");

constexpr std::size_t kPieceElements = std::size_t{1} << 18;

float float_from_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fU;
  const std::uint32_t fraction = half & 0x3ffU;
  if (exponent == 0) {  // zero or subnormal: fraction · 2⁻²⁴, exact in float32
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 31 ? 0xffU : exponent + 112U;
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

float float_from_bfloat(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

template <class Raw>
Raw swapped(Raw value) {
  auto bytes = std::bit_cast<std::array<std::byte, sizeof(Raw)>>(value);
  std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<Raw>(bytes);
}

/// Linear C-order positions visited in Fortran order (first index fastest).
class FortranOrder {
 public:
  explicit FortranOrder(const std::vector<std::size_t>& shape)
      : shape_(shape), stride_(shape.size()), index_(shape.size()) {
    std::size_t stride = 1;
    for (std::size_t axis = shape.size(); axis-- > 0; stride *= shape[axis]) stride_[axis] = stride;
  }
  std::size_t next() {
    const std::size_t current = position_;
    for (std::size_t axis = 0; axis < shape_.size(); ++axis) {
      position_ += stride_[axis];
      if (++index_[axis] < shape_[axis]) break;
      position_ -= stride_[axis] * shape_[axis];
      index_[axis] = 0;
    }
    return current;
  }

 private:
  std::vector<std::size_t> shape_;
  std::vector<std::size_t> stride_;
  std::vector<std::size_t> index_;
  std::size_t position_ = 0;
};

/// Reads `count` elements stored as Raw into a vector of Value, each through `convert(raw, byte offset)`.
template <class Raw, class Value, class Convert>
std::vector<Value> decode(ByteSource& source, const std::vector<std::size_t>& shape, std::size_t count,
                          const ElementLayout& layout, const Convert& convert) {
  std::vector<Value> values;
  values.reserve(count);
  const bool transpose = layout.fortran_order && shape.size() > 1;
  if (transpose) values.resize(count);
  FortranOrder order(shape);
  std::vector<Raw> piece;
  for (std::size_t done = 0; done < count;) {
    const std::size_t now = std::min(kPieceElements, count - done);
    const std::uint64_t start = source.offset();
    if (std::is_same_v<Raw, Value> && !transpose) {
      values.resize(done + now);
      source.read_exactly(std::as_writable_bytes(std::span(values.data() + done, now)), "array data");
      if (layout.big_endian)
        for (std::size_t i = done; i < done + now; ++i) values[i] = swapped(values[i]);
    } else {
      piece.resize(now);
      source.read_exactly(std::as_writable_bytes(std::span(piece)), "array data");
      for (std::size_t i = 0; i < now; ++i) {
        const Raw raw = layout.big_endian ? swapped(piece[i]) : piece[i];
        const Value value = convert(raw, start + i * sizeof(Raw));
        if (transpose)
          values[order.next()] = value;
        else
          values.push_back(value);
      }
    }
    done += now;
  }
  return values;
}

template <class Raw, class Value>
std::vector<Value> decode_plain(ByteSource& source, const std::vector<std::size_t>& shape, std::size_t count,
                                const ElementLayout& layout) {
  return decode<Raw, Value>(source, shape, count, layout,
                            [](Raw raw, std::uint64_t) { return static_cast<Value>(raw); });
}

void decode_into(NumericArray& array, ByteSource& source, std::size_t count, const ElementLayout& layout) {
  const auto& shape = array.shape;
  switch (layout.type) {
    case ElementType::float16:
      array.values = decode<std::uint16_t, float>(
          source, shape, count, layout, [](std::uint16_t raw, std::uint64_t) { return float_from_half(raw); });
      return;
    case ElementType::bfloat16:
      array.values = decode<std::uint16_t, float>(
          source, shape, count, layout, [](std::uint16_t raw, std::uint64_t) { return float_from_bfloat(raw); });
      return;
    case ElementType::float32:
      array.values = decode_plain<float, float>(source, shape, count, layout);
      return;
    case ElementType::float64:
      array.values = decode_plain<double, double>(source, shape, count, layout);
      return;
    case ElementType::uint8:
      array.values = decode_plain<std::uint8_t, std::uint8_t>(source, shape, count, layout);
      return;
    case ElementType::int8:
      array.values = decode_plain<std::int8_t, std::int64_t>(source, shape, count, layout);
      return;
    case ElementType::int16:
      array.values = decode_plain<std::int16_t, std::int64_t>(source, shape, count, layout);
      return;
    case ElementType::int32:
      array.values = decode_plain<std::int32_t, std::int64_t>(source, shape, count, layout);
      return;
    case ElementType::int64:
      array.values = decode_plain<std::int64_t, std::int64_t>(source, shape, count, layout);
      return;
    case ElementType::uint16:
      array.values = decode_plain<std::uint16_t, std::int64_t>(source, shape, count, layout);
      return;
    case ElementType::uint32:
      array.values = decode_plain<std::uint32_t, std::int64_t>(source, shape, count, layout);
      return;
    case ElementType::uint64:
      array.values = decode<std::uint64_t, std::int64_t>(
          source, shape, count, layout, [&](std::uint64_t raw, std::uint64_t offset) {
            if (raw > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
              source.fail_at(offset, fmt::format("uint64 value {} does not fit a signed 64-bit integer", raw));
            return static_cast<std::int64_t>(raw);
          });
      return;
    case ElementType::boolean:
      array.values =
          decode<std::uint8_t, std::int64_t>(source, shape, count, layout, [&](std::uint8_t raw, std::uint64_t offset) {
            if (raw > 1) source.fail_at(offset, fmt::format("boolean byte {}, expected 0 or 1", raw));
            return static_cast<std::int64_t>(raw);
          });
      return;
  }
}

std::string description(const PendingArray& array) {
  return fmt::format("{} data of shape {}", type_name(array.layout.type), shape_text(array.shape));
}

/// Calls read(count) once the count is known to be true, and checks that it took all that there is.
template <class Read>
void read_checked(const PendingArray& array, const Read& read) {
  const auto count = static_cast<std::size_t>(require_elements(array));
  const auto out_of_memory = [&] {
    return IoError(fmt::format("{}: not enough memory for an array of shape {} ({})", array.source->name(),
                               shape_text(array.shape), type_name(array.layout.type)));
  };
  try {
    read(count);
  } catch (const std::bad_alloc&) {
    throw out_of_memory();
  } catch (const std::length_error&) {
    throw out_of_memory();
  }
  if (array.ends_source) array.source->require_end(description(array));
}

template <class Raw>
StoredArray keep(const PendingArray& pending, StoredType type) {
  StoredArray array{pending.shape, type, nullptr, nullptr, false};
  read_checked(pending, [&](std::size_t count) {
    const auto owner = std::make_shared<const std::vector<Raw>>(decode_plain<Raw, Raw>(*pending.source, pending.shape, count, pending.layout));
    array.values = owner->data();
    array.owner = owner;
  });
  return array;
}

}  // namespace

std::size_t byte_width(ElementType type) {
  switch (type) {
    case ElementType::int8:
    case ElementType::uint8:
    case ElementType::boolean:
      return 1;
    case ElementType::float16:
    case ElementType::bfloat16:
    case ElementType::int16:
    case ElementType::uint16:
      return 2;
    case ElementType::float32:
    case ElementType::int32:
    case ElementType::uint32:
      return 4;
    default:
      return 8;
  }
}

std::string_view type_name(ElementType type) {
  static constexpr std::string_view kNames[] = {"float16", "bfloat16", "float32", "float64", "int8",   "int16", "int32",
                                                "int64",   "uint8",    "uint16",  "uint32",  "uint64", "bool"};
  return kNames[static_cast<std::size_t>(type)];
}

std::optional<std::uint64_t> checked_element_count(const std::vector<std::size_t>& shape, ElementType type) {
  // Zero-sized axes do not excuse the others: strides are products of them.
  constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
  std::uint64_t count = 1;
  std::uint64_t nonzero = byte_width(type);
  for (const std::size_t extent : shape) {
    count *= extent;
    if (extent == 0) continue;
    if (nonzero > kMax / extent) return std::nullopt;
    nonzero *= extent;
  }
  return count;
}

std::uint64_t require_elements(const PendingArray& array) {
  const ByteSource& source = *array.source;
  const auto count = checked_element_count(array.shape, array.layout.type);
  if (!count)
    source.fail(fmt::format("shape {} of {} is too large for any memory", shape_text(array.shape), type_name(array.layout.type)));
  if (array.ends_source) source.require_remaining(*count * byte_width(array.layout.type), description(array));
  return *count;
}

NumericArray read_elements(PendingArray pending) {
  NumericArray array;
  read_checked(pending, [&](std::size_t count) {
    array.shape = pending.shape;
    array.stored_type = type_name(pending.layout.type);
    decode_into(array, *pending.source, count, pending.layout);
  });
  return array;
}

StoredArray read_stored_elements(PendingArray pending) {
  switch (pending.layout.type) {
    case ElementType::float64:
      return keep<double>(pending, StoredType::float64);
    case ElementType::float32:
      return keep<float>(pending, StoredType::float32);
    case ElementType::float16:
      return keep<std::uint16_t>(pending, StoredType::float16);
    case ElementType::bfloat16:
      return keep<std::uint16_t>(pending, StoredType::bfloat16);
    case ElementType::uint8:
      return keep<std::uint8_t>(pending, StoredType::uint8);
    default:
      return to_stored(read_elements(std::move(pending)));
  }
}

std::string hex_bytes(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes)
    text += fmt::format("{}{:02x}", text.empty() ? "" : " ", static_cast<unsigned char>(byte));
  return text;
}

}  // namespace fslens::io
