#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "array_formats.hpp"
#include "byte_source.hpp"
#include "fslens/core/error.hpp"
#include "npy.hpp"

namespace fslens::io {

PendingArray open_npy_file(const std::string& path) { return open_npy(open_file(path)); }

std::vector<std::string> list_array_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::directory_iterator entries(path, error);
  if (error) throw IoError(fmt::format("{}: cannot be read: {}", path, error.message()));
  std::vector<std::string> keys;
  for (const auto& entry : entries)
    if (entry.path().extension() == ".npy" && entry.is_regular_file(error))
      keys.push_back(entry.path().stem().string());
  std::sort(keys.begin(), keys.end());
  return keys;
}

PendingArray open_array_directory(const std::string& path, const std::string& key) {
  const std::string found = resolve_key(path, key, list_array_directory(path));
  return open_npy_file((std::filesystem::path(path) / (found + ".npy")).string());
}

}  // namespace fslens::io
