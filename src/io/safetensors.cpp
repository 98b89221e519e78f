// .safetensors: u64 header length, a JSON header, the tensors' bytes one after the other.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <span>

#include "array_formats.hpp"
#include "byte_source.hpp"
#include "elements.hpp"
#include "fslens/core/error.hpp"

namespace fslens::io {
namespace {

constexpr std::uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;  // the reference implementation's own limit

struct Tensor {
  std::string dtype;
  std::vector<std::size_t> shape;
  std::vector<std::uint64_t> offsets;
  bool has_shape = false;
};

/// Takes the header's events one by one and accepts just the structure that a header has, so that no input can make it
/// recurse or allocate beyond its own length.
class HeaderHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::map<std::string, Tensor> tensors;
  std::string problem;
  std::size_t problem_at = 0;

  bool start_object(std::size_t) override {
    if (in_array_ || depth_ == 2 || (depth_ == 1 && tensor_name_.empty())) return complain("unexpected object");
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (depth_ == 2) tensor_name_.clear();
    --depth_;
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == 1) {
      if (name.empty()) return complain("a tensor without a name");
      tensor_name_ = name;
      in_metadata_ = name == "__metadata__";
      if (!in_metadata_ && !tensors.emplace(name, Tensor{}).second)
        return complain(fmt::format("tensor '{}' appears twice", name));
      return true;
    }
    field_ = name;
    if (in_metadata_ || name == "dtype" || name == "shape" || name == "data_offsets") return true;
    return complain(fmt::format("tensor '{}' has the unknown field '{}'", tensor_name_, name));
  }
  bool string(string_t& text) override {
    if (depth_ == 2 && in_metadata_) return true;
    if (depth_ != 2 || in_array_ || field_ != "dtype" || !tensors[tensor_name_].dtype.empty())
      return complain("unexpected string");
    tensors[tensor_name_].dtype = text;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_array_ || in_metadata_ || (field_ != "shape" && field_ != "data_offsets"))
      return complain("unexpected array");
    if (field_ == "shape") {
      if (tensors[tensor_name_].has_shape) return complain("a shape given twice");
      tensors[tensor_name_].has_shape = true;
    }
    in_array_ = true;
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_) return complain("unexpected number");
    if (field_ == "shape") tensors[tensor_name_].shape.push_back(value);
    if (field_ == "data_offsets") tensors[tensor_name_].offsets.push_back(value);
    return true;
  }
  bool number_integer(number_integer_t) override { return complain("unexpected negative number"); }
  bool number_float(number_float_t, const string_t&) override { return complain("unexpected fractional number"); }
  bool boolean(bool) override { return complain("unexpected boolean"); }
  bool null() override { return complain("unexpected null"); }
  bool binary(binary_t&) override { return complain("unexpected binary"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    problem_at = position;
    return complain("invalid JSON");
  }

 private:
  bool complain(std::string text) {
    problem = std::move(text);
    return false;
  }

  int depth_ = 0;
  bool in_array_ = false;
  bool in_metadata_ = false;
  std::string tensor_name_;
  std::string field_;
};

std::optional<ElementType> element_type_of(const std::string& dtype) {
  static const std::map<std::string, ElementType> kTypes = {
      {"F16", ElementType::float16}, {"BF16", ElementType::bfloat16}, {"F32", ElementType::float32},
      {"F64", ElementType::float64}, {"I8", ElementType::int8},       {"I16", ElementType::int16},
      {"I32", ElementType::int32},   {"I64", ElementType::int64},     {"U8", ElementType::uint8},
      {"U16", ElementType::uint16},  {"U32", ElementType::uint32},    {"U64", ElementType::uint64},
      {"BOOL", ElementType::boolean}};
  const auto found = kTypes.find(dtype);
  if (found == kTypes.end()) return std::nullopt;
  return found->second;
}

struct OpenedFile {
  std::unique_ptr<ByteSource> source;  ///< standing at the first byte after the header
  std::map<std::string, Tensor> tensors;
};

/// The tensors must follow each other without holes or overlaps and end with the file.
void check_offsets(const ByteSource& source, const std::map<std::string, Tensor>& tensors) {
  const std::uint64_t data_bytes = *source.size() - source.offset();
  std::vector<std::pair<std::uint64_t, std::uint64_t>> extents;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.dtype.empty() || !tensor.has_shape || tensor.offsets.size() != 2)
      source.fail_at(8, fmt::format("tensor '{}' lacks dtype, shape or two data_offsets", name));
    const auto [first, last] = std::pair(tensor.offsets[0], tensor.offsets[1]);
    if (first > last || last > data_bytes)
      source.fail_at(
          8, fmt::format("tensor '{}' claims bytes {} to {} of {} bytes of data", name, first, last, data_bytes));
    const auto type = element_type_of(tensor.dtype);
    const auto count = type ? checked_element_count(tensor.shape, *type) : std::nullopt;
    if (type && (!count || *count * byte_width(*type) != last - first))
      source.fail_at(8, fmt::format("tensor '{}' of shape {} and dtype {} does not fill its {} bytes", name,
                                    shape_text(tensor.shape), tensor.dtype, last - first));
    extents.emplace_back(first, last);
  }
  std::sort(extents.begin(), extents.end());
  std::uint64_t end = 0;
  for (const auto& [first, last] : extents) {
    if (first != end)
      source.fail_at(
          source.offset() + end,
          fmt::format("tensors leave a hole or overlap: expected one to begin at data byte {}, found {}", end, first));
    end = last;
  }
  if (end != data_bytes)
    source.fail_at(source.offset() + end,
                   fmt::format("trailing data: the tensors hold {} bytes, the file {}", end, data_bytes));
}

OpenedFile read_header(const std::string& path) {
  OpenedFile file{open_file(path), {}};
  ByteSource& source = *file.source;
  std::array<unsigned char, 8> prefix{};
  source.read_exactly(std::as_writable_bytes(std::span(prefix)), "the header length");
  std::uint64_t length = 0;
  for (std::size_t i = 8; i-- > 0;) length = length << 8 | prefix[i];
  const std::uint64_t rest = *source.size() - source.offset();
  if (length > rest || length > kMaxSafetensorsHeaderBytes)
    source.fail_at(0, fmt::format("header of {} bytes claimed, {} bytes follow", length, rest));
  std::string text(static_cast<std::size_t>(length), '\0');
  source.read_exactly(std::as_writable_bytes(std::span(text.data(), text.size())), "the header");
  if (!text.starts_with('{')) source.fail_at(8, "the header does not begin with '{'");
  HeaderHandler handler;
  if (!nlohmann::json::sax_parse(text, &handler))
    source.fail_at(8 + handler.problem_at, fmt::format("header: {}", handler.problem));
  file.tensors = std::move(handler.tensors);
  check_offsets(source, file.tensors);
  return file;
}

std::vector<std::string> keys_of(const OpenedFile& file) {
  std::vector<std::string> keys;
  for (const auto& [name, tensor] : file.tensors) keys.push_back(name);
  return keys;
}

}  // namespace

std::vector<std::string> list_safetensors(const std::string& path) { return keys_of(read_header(path)); }

PendingArray open_safetensors(const std::string& path, const std::string& key) {
  OpenedFile file = read_header(path);
  const std::string found = resolve_key(path, key, keys_of(file));
  Tensor& tensor = file.tensors[found];
  const auto type = element_type_of(tensor.dtype);
  if (!type)
    throw DataError(path, fmt::format("tensor '{}' has dtype '{}', which is not supported", found, tensor.dtype));
  file.source->skip(tensor.offsets[0], "tensor data");
  return {std::move(file.source), std::move(tensor.shape), {.type = *type}, false};
}

}  // namespace fslens::io
