#include "fslens/io/array.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "array_formats.hpp"
#include "byte_source.hpp"
#include "fslens/core/error.hpp"

namespace fslens {
namespace {

constexpr std::string_view kFormats = ".npy, .npz:key, .csv, .csv.gz, .safetensors:key, IDX (.gz), a directory of .npy";

struct ArrayPath {
  std::string path;
  std::string key;
};

/// Also true where the path may not be looked at: opening it then says why.
bool exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error) || error;
}

/// A file may have a colon in its name, so the longest existing path decides what is the key.
ArrayPath split_key(const std::string& text) {
  if (exists(text)) return {text, ""};
  for (std::size_t colon = text.rfind(':'); colon != std::string::npos && colon > 0; colon = text.rfind(':', colon - 1))
    if (exists(text.substr(0, colon))) return {text.substr(0, colon), text.substr(colon + 1)};
  const std::size_t colon = text.rfind(':');
  const bool names_archive = colon != std::string::npos && (text.substr(0, colon).ends_with(".npz") ||
                                                            text.substr(0, colon).ends_with(".safetensors"));
  throw DataError(names_archive ? text.substr(0, colon) : text, "no such file");
}

std::string lower_case_name(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return name;
}

bool ends_with_any(const std::string& name, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(), [&](std::string_view ending) { return name.ends_with(ending); });
}

enum class Format { npy, npz, csv, idx, safetensors, directory };

[[noreturn]] void refuse_pickle(const std::string& path, bool torch) {
  const std::filesystem::path file(path);
  const std::string target = std::filesystem::path(file).replace_extension(".npy").string();
  const std::string command =
      torch ? fmt::format("import torch,numpy; numpy.save('{}', torch.load('{}', map_location='cpu').numpy())", target,
                          path)
            : fmt::format("import pickle,numpy; numpy.save('{}', numpy.asarray(pickle.load(open('{}','rb'))))", target,
                          path);
  throw DataError(path,
                  fmt::format("a pickle can run any program when it is loaded, so it is not read; convert it with: "
                              "python3 -c \"{}\"",
                              command));
}

Format detect_format(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return Format::directory;
  const std::string name = lower_case_name(path);
  if (ends_with_any(name, {".pt", ".pth", ".ckpt"})) refuse_pickle(path, true);
  if (ends_with_any(name, {".pkl", ".pickle"})) refuse_pickle(path, false);
  if (name.ends_with(".npy")) return Format::npy;
  if (name.ends_with(".npz")) return Format::npz;
  if (name.ends_with(".safetensors")) return Format::safetensors;
  if (ends_with_any(name, {".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz"})) return Format::csv;
  const std::string head = io::peek(path, 4);
  if (name.find("idx") != std::string::npos || (head.size() == 4 && head[0] == 0 && head[1] == 0)) return Format::idx;
  throw DataError(path, fmt::format("unknown kind of file; expected {}", kFormats));
}

void refuse_key(const ArrayPath& array) {
  if (!array.key.empty()) throw DataError(array.path, fmt::format("is a single array and has no key '{}'", array.key));
}

}  // namespace

std::size_t NumericArray::size() const {
  return std::visit([](const auto& held) { return held.size(); }, values);
}

std::string NumericArray::element_type() const {
  static constexpr const char* kNames[] = {"float64", "float32", "uint8", "int64"};
  return kNames[values.index()];
}

std::vector<double> NumericArray::to_double() const& {
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&values)) {
    constexpr std::int64_t kExact = std::int64_t{1} << 53;
    for (std::size_t i = 0; i < integers->size(); ++i) {
      const std::int64_t value = (*integers)[i];
      require(value >= -kExact && value <= kExact, fmt::format("array[{}]", i), fmt::format("{}", value),
              "must lie within ±2^53 to be exact in float64");
    }
  }
  return std::visit([](const auto& held) { return std::vector<double>(held.begin(), held.end()); }, values);
}

std::vector<double> NumericArray::to_double() && {
  if (auto* held = std::get_if<std::vector<double>>(&values)) return std::move(*held);
  std::vector<double> converted = static_cast<const NumericArray&>(*this).to_double();
  values = std::vector<double>{};
  shape = {0};
  return converted;
}

std::string shape_text(std::span<const std::size_t> shape) {
  if (shape.size() == 1) return fmt::format("({},)", shape[0]);
  return fmt::format("({})", fmt::join(shape, ", "));
}

std::variant<io::PendingArray, NumericArray> io::open_pending(const std::string& path_with_key) {
  const ArrayPath array = split_key(path_with_key);
  switch (detect_format(array.path)) {
    case Format::npz:
      return open_npz(array.path, array.key);
    case Format::safetensors:
      return open_safetensors(array.path, array.key);
    case Format::directory:
      return open_array_directory(array.path, array.key);
    case Format::npy:
      refuse_key(array);
      return open_npy_file(array.path);
    case Format::csv:
      refuse_key(array);
      return read_csv(array.path);
    case Format::idx:
      refuse_key(array);
      return open_idx(array.path);
  }
  throw DataError(array.path, "unknown kind of file");
}

NumericArray read_array(const std::string& path_with_key) {
  auto opened = io::open_pending(path_with_key);
  if (auto* whole = std::get_if<NumericArray>(&opened)) return std::move(*whole);
  return io::read_elements(std::get<io::PendingArray>(std::move(opened)));
}

std::vector<std::string> list_arrays(const std::string& path) {
  if (!exists(path)) throw DataError(path, "no such file");
  switch (detect_format(path)) {
    case Format::npz:
      return io::list_npz(path);
    case Format::safetensors:
      return io::list_safetensors(path);
    case Format::directory:
      return io::list_array_directory(path);
    default:
      return {};
  }
}

ArrayInfo inspect_array(const std::string& path_with_key) {
  const NumericArray array = read_array(path_with_key);
  ArrayInfo info{path_with_key, array.shape, array.stored_type, std::nullopt, std::nullopt, 0};
  std::visit(
      [&](const auto& held) {
        for (const auto element : held) {
          const double value = static_cast<double>(element);
          if (!std::isfinite(value)) {
            ++info.num_non_finite;
            continue;
          }
          if (!info.min || value < *info.min) info.min = value;
          if (!info.max || value > *info.max) info.max = value;
        }
      },
      array.values);
  return info;
}

}  // namespace fslens
